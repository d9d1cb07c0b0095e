// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "shared_state.hpp"

namespace virtual_npu {
namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

[[noreturn]] void refuse(const char* name, const std::string& value) {
    dprintf(STDERR_FILENO, "virtual NPU: %s cannot be '%s'\n", name, value.c_str());
    _exit(127);
}

template <typename Value>
struct Choice {
    const char* word;
    Value value;
};

template <typename Value, size_t n>
void choose(const char* name, const Choice<Value> (&choices)[n], Value& value) {
    const std::string word = variable(name);
    if (word.empty())
        return;
    for (const Choice<Value>& choice : choices)
        if (word == choice.word) {
            value = choice.value;
            return;
        }
    refuse(name, word);
}

void number(const char* name, unsigned long least, unsigned long most, unsigned long& value) {
    const std::string word = variable(name);
    if (word.empty())
        return;
    char* end;
    value = std::strtoul(word.c_str(), &end, 10);
    if (*end || value < least || value > most)
        refuse(name, word);
}

} // namespace

Options read_options() {
    Options options;
    choose("VIRTUAL_NPU_MODE",
           {Choice<Mode>{"simulated", Mode::simulated}, {"functional", Mode::functional}},
           options.mode);
    choose("VIRTUAL_NPU_COHERENT", {Choice<bool>{"0", false}, {"1", true}}, options.coherent);
    choose("VIRTUAL_NPU_RELOAD",
           {Choice<Reload>{"never", Reload::never},
            {"switch", Reload::on_switch},
            {"always", Reload::before_command}},
           options.reload);
    unsigned long devices = options.devices;
    number("VIRTUAL_NPU_DEVICES", 0, max_devices, devices);
    options.devices = static_cast<unsigned>(devices);
    unsigned long timeout = static_cast<unsigned long>(options.hang_timeout.count());
    number("VIRTUAL_NPU_TDR_MS", 1, 600'000, timeout);
    options.hang_timeout = std::chrono::milliseconds(timeout);
    options.state = variable("VIRTUAL_NPU_STATE");
    options.report = variable("VIRTUAL_NPU_REPORT");
    options.faults = variable("VIRTUAL_NPU_FAULT");
    FaultList list;
    if (!list.read(options.faults))
        refuse("VIRTUAL_NPU_FAULT", options.faults);
    return options;
}

} // namespace virtual_npu
