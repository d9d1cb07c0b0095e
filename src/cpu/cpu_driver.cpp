// SPDX-License-Identifier: MIT
#include "cpu/cpu_driver.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "cpu/cpu_device.hpp"
#include "cpu/thread_pool.hpp"
#include "error.hpp"

namespace npuenc {
namespace {

// Null where the environment must not be trusted.
const char* forced_isa() {
    const char* isa = secure_getenv("NPUENC_ISA");
    return isa && *isa ? isa : nullptr;
}

// As Linux calls it; ARM kernels have no such line.
std::string processor_name() {
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);) {
        const size_t colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos)
            return line.substr(colon + 2);
    }
    return "CPU";
}

uint64_t memory_bytes() {
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : 0;
}

} // namespace

std::vector<DeviceDescription> CpuDriver::list() const {
    DeviceDescription cpu;
    cpu.type = NPUENC_DEVICE_CPU;
    cpu.n_cores = default_thread_count();
    cpu.memory_bytes = memory_bytes();
    cpu.name = processor_name();
    try {
        cpu.isa = select_kernels(forced_isa()).isa;
    } catch (const Error& error) {
        cpu.status = error.status();
        cpu.reason = error.what();
    }
    return {cpu};
}

std::unique_ptr<Device> CpuDriver::open(const DeviceDescription&, unsigned n_threads) const {
    return std::make_unique<CpuDevice>(n_threads, forced_isa());
}

} // namespace npuenc
