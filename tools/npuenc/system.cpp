// SPDX-License-Identifier: MIT
#include "system.hpp"

#include <sys/utsname.h>

#include "text.hpp"

namespace npuenc {
namespace {

// Parts with commas, without those that are empty.
class Enumeration {
  public:
    void add(const std::string& part) {
        if (!part.empty())
            text_ += (text_.empty() ? "" : ", ") + part;
    }
    void add(const char* label, const char* part) {
        if (*part)
            add(std::string(label) + part);
    }

    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

} // namespace

std::string system_text() {
    struct utsname system;
    if (uname(&system) != 0)
        return "unknown";
    return format("%s %s, %s", system.sysname, system.release, system.machine);
}

std::string device_properties(const npuenc_device_info& device) {
    Enumeration what, driven;
    what.add(device.name);
    what.add(device.isa);
    if (device.n_cores)
        what.add(count_text(device.n_cores,
                            device.device_type == NPUENC_DEVICE_CPU ? "core" : "compute tile"));
    if (device.n_columns)
        what.add(count_text(device.n_columns, "column"));
    if (device.memory_bytes)
        what.add(bytes_text(device.memory_bytes));
    driven.add(device.bus_address);
    driven.add("driver ", device.driver);
    driven.add("firmware ", device.firmware);
    driven.add(device.runtime);
    return what.text() + (driven.text().empty() ? "" : "\n" + driven.text());
}

void append_device(Json& json, const npuenc_device_info& device) {
    json.member("device", device_name(device.device_type))
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
        .member("runtime", device.runtime);
}

} // namespace npuenc
