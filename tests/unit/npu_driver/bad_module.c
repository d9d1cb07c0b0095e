/* SPDX-License-Identifier: MIT
 *
 * Modules that npuenc must refuse, or that fail, one for each macro. */
#include <stdio.h>
#include <string.h>

#include "npu/module_interface.h"

#define EXPORT __attribute__((visibility("default")))

const npuenc_module* npuenc_module_get(uint32_t interface);

#if defined NEEDS_XRT
int xrt_of_a_test(void);
EXPORT int needs_xrt(void);
int needs_xrt(void) {
    return xrt_of_a_test();
}
#elif defined NEEDS_NEW_XRT
int xrt_of_next_year(void);
EXPORT int needs_xrt(void);
int needs_xrt(void) {
    return xrt_of_next_year();
}
#elif defined NEEDS_NEW_LIBRARY
int library_of_next_year(void);
EXPORT int needs_library(void);
int needs_library(void) {
    return library_of_next_year();
}
#elif defined OTHER_VERSION
EXPORT const npuenc_module* npuenc_module_get(uint32_t interface) {
    (void)interface;
    return NULL;
}
#elif defined OTHER_TABLE
EXPORT const npuenc_module* npuenc_module_get(uint32_t interface) {
    static npuenc_module module;
    module.interface = interface + 1;
    return &module;
}
#elif defined NO_TABLE
EXPORT int something_else;
#else

enum { n_devices = 11 };

/* More devices than anybody has, the last one unusable; or none, and why. */
static int32_t list(npuenc_module_device* devices, uint32_t capacity, uint32_t* count,
                    npuenc_module_failure* failure) {
#ifdef FAILS
    (void)devices;
    (void)capacity;
    *count = 0;
    failure->status = (-9 /* E_DEVICE */);
    strcpy(failure->detail, "it was told to fail");
    return failure->status;
#else
    (void)failure;
    *count = n_devices;
    for (uint32_t i = 0; i < n_devices && i < capacity; i++) {
        memset(&devices[i], 0, sizeof devices[i]);
        snprintf(devices[i].bus_address, sizeof devices[i].bus_address, "0000:%02x:00.1", i);
        strcpy(devices[i].runtime, "XRT 2.25.0");
    }
    if (capacity > 0) {
        strcpy(devices[0].name, "NPU of XRT");
        strcpy(devices[0].firmware, "1.5.5.400");
        devices[0].n_columns = 4;
    }
    if (n_devices <= capacity) {
        devices[n_devices - 1].status = (-9 /* E_DEVICE */);
        strcpy(devices[n_devices - 1].reason, "it was told so");
    }
    return 0;
#endif
}

EXPORT const npuenc_module* npuenc_module_get(uint32_t interface) {
    static npuenc_module module;
    if (interface != NPUENC_MODULE_INTERFACE)
        return NULL;
    module.interface = interface;
    module.list = list;
    return &module;
}
#endif
