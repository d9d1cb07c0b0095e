// SPDX-License-Identifier: MIT
// virtual_npu.h, and the end of the process.
#include "virtual_npu.h"

#include "driver.hpp"
#include "inside.hpp"

using virtual_npu::Driver;
using virtual_npu::Inside;

extern "C" {

int virtual_npu_set_faults(const char* list) {
    const Inside guard;
    return Driver::instance().set_faults(list) ? 0 : -1;
}

void virtual_npu_read_counters(virtual_npu_counters* out) {
    const Inside guard;
    Driver& driver = Driver::instance();
    std::lock_guard lock(driver.mutex);
    *out = driver.counters;
}

void virtual_npu_reset_counters(void) {
    const Inside guard;
    Driver::instance().reset_counters();
}

void virtual_npu_read_alive(virtual_npu_alive* out) {
    const Inside guard;
    *out = Driver::instance().alive();
}

// Later than the destructors of all objects of the program and its libraries: those are called by
// exit handlers.
__attribute__((destructor)) static void finish() {
    const Inside guard;
    if (Driver* driver = Driver::existing())
        driver->finish();
}

} // extern "C"
