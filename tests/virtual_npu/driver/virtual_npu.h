/* SPDX-License-Identifier: MIT
 *
 * What a test may ask of the virtual NPU below its process: faults, counters, what is left alive.
 *
 * The functions are in libvirtual-npu.so, which is preloaded. They are weak here, so that a program
 * links and runs without it: test that a function is there before calling it.
 */
#ifndef VIRTUAL_NPU_H
#define VIRTUAL_NPU_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this process, since it began or since the last reset. */
typedef struct virtual_npu_counters {
    uint64_t submissions;     /* EXEC_CMD */
    uint64_t commands;        /* that ran to their end: of a chain each one */
    uint64_t syncs_to_device; /* SYNC_BO */
    uint64_t syncs_from_device;
    uint64_t bytes_to_device;
    uint64_t bytes_from_device;
    uint64_t buffers_created;
    uint64_t buffers_destroyed;
    uint64_t contexts_created;
    uint64_t contexts_destroyed;
    uint64_t waits;  /* TIMELINE_WAIT and WAIT_CMD */
    uint64_t loads;  /* of a PDI into the array */
    uint64_t cycles; /* of the simulated array; 0 in the functional mode */
} virtual_npu_counters;

/* Of this process, now. */
typedef struct virtual_npu_alive {
    uint64_t files, contexts, buffers, buffer_bytes, mappings, syncobjs, jobs;
    uint64_t contexts_of_all;    /* of all processes that share the state */
    uint64_t contexts_reclaimed; /* of processes that died without closing theirs */
} virtual_npu_alive;

#define VIRTUAL_NPU_WEAK __attribute__((weak))

/* Replaces the list of faults of all processes that share the state, and plugs a removed device in
 * again: "" for none. Returns 0, or -1 for a list that cannot be read. */
VIRTUAL_NPU_WEAK int virtual_npu_set_faults(const char* list);
VIRTUAL_NPU_WEAK void virtual_npu_read_counters(virtual_npu_counters* out);
VIRTUAL_NPU_WEAK void virtual_npu_reset_counters(void);
VIRTUAL_NPU_WEAK void virtual_npu_read_alive(virtual_npu_alive* out);

#ifdef __cplusplus
}
#endif
#endif /* VIRTUAL_NPU_H */
