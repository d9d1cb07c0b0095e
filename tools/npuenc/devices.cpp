// SPDX-License-Identifier: MIT
// npuenc devices: every device, its state, and which one --device auto takes.
#include <cstdio>
#include <vector>

#include "commands.hpp"
#include "json.hpp"
#include "library.hpp"
#include "options.hpp"
#include "system.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

void print_text(const std::vector<npuenc_device_info>& devices, const Context& automatic) {
    for (const npuenc_device_info& device : devices) {
        std::string text = device_properties(device);
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
        json.begin_object();
        append_device(json, device);
        json.end_object();
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
    if (!parse_options({"devices",
                        "",
                        "Lists the devices, what keeps each from being used, and which one\n"
                        "`--device auto` takes. `npuenc doctor` looks further.",
                        {json_option(json)},
                        ""},
                       argc, argv))
        return exit_ok;
    const std::vector<npuenc_device_info> devices = list_devices();
    const Context automatic(NPUENC_DEVICE_AUTO, 1);
    (json ? print_json : print_text)(devices, automatic);
    return exit_ok;
}

} // namespace npuenc
