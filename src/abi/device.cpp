// SPDX-License-Identifier: MIT
#include "abi/boundary.hpp"
#include "abi/drivers.hpp"

using namespace npuenc;

extern "C" {

int32_t npuenc_device_count(uint32_t* count) {
    return guarded([&] {
        require_not_null(count, "count");
        *count = static_cast<uint32_t>(Drivers().devices().size());
    });
}

int32_t npuenc_device_get(uint32_t i, npuenc_device_info* info) {
    return guarded([&] {
        check_out_struct(info, "info");
        const std::vector<DeviceDescription> devices = Drivers().devices();
        if (i >= devices.size())
            fail(NPUENC_E_NOT_FOUND, "no device %u: there are %zu", i, devices.size());
        const DeviceDescription& device = devices[i];
        npuenc_device_info known{};
        known.device_type = device.type;
        known.index = device.index;
        known.status = device.status;
        known.n_cores = device.n_cores;
        known.n_columns = device.n_columns;
        known.memory_bytes = device.memory_bytes;
        write_text(known.name, device.name);
        write_text(known.isa, device.isa);
        write_text(known.bus_address, device.bus_address);
        write_text(known.driver, device.driver);
        write_text(known.firmware, device.firmware);
        write_text(known.runtime, device.runtime);
        write_text(known.reason, device.reason);
        write_struct(info, known);
    });
}

} // extern "C"
