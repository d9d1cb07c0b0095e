/* SPDX-License-Identifier: MIT
 *
 * One of every handle on the NPU, a small call of every kind with its result, and what the virtual
 * NPU below has to say.
 */
#ifndef NPUENC_TESTS_VIRTUAL_NPU_HANDLES_H
#define NPUENC_TESTS_VIRTUAL_NPU_HANDLES_H

#include "tests/abi/support.h"
#include "tests/virtual_npu/driver/virtual_npu.h"

enum { side = 40, n_states = 10 * 128 };

typedef struct handles {
    npuenc_ctx* ctx;
    npuenc_weight* weight;
    npuenc_model* model;
    npuenc_run* run;
    int32_t product[side * side];
    float projected[side * side];
    uint16_t attended[side * side]; /* bf16 */
    float states[n_states];
} handles;

/* Once in a program, before and after all others; as cmocka takes them. */
int set_up_handles(void** state);
int tear_down_handles(void** state);

/* Any device, with one thread. */
int32_t open_type(int32_t type, npuenc_ctx** ctx);

handles* make_handles(uint32_t n_threads);
void close_handles(handles* of); /* the results stay */
void free_handles(handles* of);

/* Each with the same operands at every call. They return what npuenc does, so that threads may
 * call them. */
int32_t multiply(handles* of); /* int8 */
int32_t project(handles* of);  /* bf16 */
int32_t attend(handles* of);   /* bf16 */
int32_t load_another(handles* of);
int32_t encode(handles* of); /* int8 */
int32_t encode_submitted(handles* of);
int32_t submit_encode(handles* of, float* states, npuenc_run* run);

/* All of these. */
typedef struct call {
    const char* name;
    int32_t (*make)(handles* of);
} call;
enum { call_of_load = 3, n_calls = 6 };
extern const call calls[n_calls];
int32_t make_calls(handles* of); /* each once, up to one that fails */

/* On a context alone: c = a a of n x n int8 matrices. */
int32_t multiply_by_itself(npuenc_ctx* ctx, uint32_t n, const int8_t* a, int32_t* c);

bool has_same_results(const handles* of, const handles* expected);
void expect_same_results(const handles* of, const handles* expected);

/* ---- The virtual NPU ---- */

void set_faults(const char* list); /* "": none */
void expect_nothing_alive(void);   /* of this process, in the driver */

#endif
