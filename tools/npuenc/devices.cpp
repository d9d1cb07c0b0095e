// SPDX-License-Identifier: MIT
// npuenc devices: every device, its state, and which one --device auto takes.
#include <cstdio>
#include <vector>

#include "commands.hpp"
#include "json.hpp"
#include "library.hpp"
#include "options.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

// What is known of it, with commas.
std::string properties(const npuenc_device_info& device) {
    std::string text = device.name;
    const auto add = [&](const std::string& more) {
        if (!more.empty())
            text += (text.empty() ? "" : ", ") + more;
    };
    const auto add_labelled = [&](const char* label, const char* more) {
        if (*more)
            add(std::string(label) + more);
    };
    add(device.isa);
    if (device.n_cores)
        add(count_text(device.n_cores,
                       device.device_type == NPUENC_DEVICE_CPU ? "core" : "compute tile"));
    if (device.n_columns)
        add(count_text(device.n_columns, "column"));
    if (device.memory_bytes)
        add(bytes_text(device.memory_bytes));
    add(device.bus_address);
    add_labelled("driver ", device.driver);
    add_labelled("firmware ", device.firmware);
    add_labelled("runtime ", device.runtime);
    return text;
}

void print_text(const std::vector<npuenc_device_info>& devices, const Context& automatic) {
    for (const npuenc_device_info& device : devices) {
        std::string text = properties(device);
        text += device.status == NPUENC_OK ? "\nusable"
                                           : format("\nnot usable: %s (%s)", device.reason,
                                                    npuenc_status_string(device.status));
        print_line(stdout, format("%s %u", device_name(device.device_type), device.index).c_str(),
                   text);
    }
    const npuenc_ctx_info info = automatic.info();
    std::string text = format("%s %u", device_name(info.device_type), info.device_index);
    if (const std::string reason = automatic.reason(); !reason.empty())
        text += '\n' + reason;
    print_line(stdout, "auto", text);
}

void print_json(const std::vector<npuenc_device_info>& devices, const Context& automatic) {
    Json json;
    json.begin_object().key("devices").begin_array();
    for (const npuenc_device_info& device : devices) {
        json.begin_object()
            .member("device", device_name(device.device_type))
            .member("index", device.index)
            .member("usable", device.status == NPUENC_OK)
            .member("status", npuenc_status_string(device.status))
            .member("reason", device.reason)
            .member("name", device.name)
            .member("isa", device.isa)
            .member("cores", device.n_cores)
            .member("columns", device.n_columns)
            .member("memory_bytes", device.memory_bytes)
            .member("bus_address", device.bus_address)
            .member("driver", device.driver)
            .member("firmware", device.firmware)
            .member("runtime", device.runtime)
            .end_object();
    }
    const npuenc_ctx_info info = automatic.info();
    json.end_array()
        .key("auto")
        .begin_object()
        .member("device", device_name(info.device_type))
        .member("index", info.device_index)
        .member("reason", automatic.reason())
        .end_object()
        .end_object()
        .print(stdout);
}

} // namespace

int run_devices(int argc, char** argv) {
    bool json = false;
    const auto operands =
        parse({"devices",
               "",
               "Lists the devices, what keeps each from being used, and which one\n"
               "`--device auto` takes.",
               {json_option(json)},
               ""},
              argc, argv);
    if (!operands)
        return exit_ok;
    no_operands(*operands);
    const std::vector<npuenc_device_info> devices = list_devices();
    const Context automatic(NPUENC_DEVICE_AUTO, 1);
    (json ? print_json : print_text)(devices, automatic);
    return exit_ok;
}

} // namespace npuenc
