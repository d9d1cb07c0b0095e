/* SPDX-License-Identifier: MIT
 *
 * What the tests of the ABI share: checks of statuses, numbers, buffers, and contexts.
 */
#ifndef NPUENC_TESTS_ABI_SUPPORT_H
#define NPUENC_TESTS_ABI_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <npuenc/npuenc.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The exit code by which a test tells Meson that it was skipped. */
enum { skipped = 77 };

/* ---- Statuses ---- */

/* The call must return the status; after a failure there must be one line of detail. */
#define expect(status, call) expect_status(status, call, #call, __FILE__, __LINE__)
#define expect_ok(call) expect(NPUENC_OK, call)
#define expect_invalid(call) expect(NPUENC_E_INVALID, call)

void expect_status(int32_t expected, int32_t status, const char* call, const char* file, int line);

/* ---- Numbers ---- */

/* The same sequence on every machine, from any seed. */
typedef struct random_source {
    uint64_t state;
} random_source;

uint32_t random_below(random_source* source, uint32_t n);
float random_real(random_source* source); /* in [-1, 1), a multiple of 2^-23 */

/* Half the distance from 1 to the next number: rounding to nearest errs by no more, relatively. */
#define unit_f32 0x1p-24
#define unit_f16 0x1p-11
#define unit_bf16 0x1p-8

/* The relative error of a sum of n products in f32, in any order, fused or not, is at most this
 * times the sum of their magnitudes (Higham, Accuracy and Stability, equation 3.5). */
double sum_error(size_t n);

/* The same for the device's own sums of products of bf16. On the CPU that is sum_error. The array
 * of an NPU adds eight products at a time to a sum: nine terms on a grid of 2^-23 of the largest
 * one's binade, which is at most twice its magnitude, so off by half a place each, and the result
 * rounded to 24 bits; no term is larger than the sum of all magnitudes. That is
 * 9 * 0.5 * 2 + 1 = 10 times 2^-23 for each eight. */
double bf16_sum_error(size_t n);

/* Rounded to nearest even, from the definition of the formats. */
uint16_t bf16_of(double x);
double real_of_bf16(uint16_t bits);
uint16_t f16_of(double x);
double real_of_f16(uint16_t bits);

size_t element_bytes(int32_t dtype);
double element(int32_t dtype, const void* data, size_t i);
void set_element(int32_t dtype, void* data, size_t i, double value); /* rounded to nearest even */

/* n elements between -1 and 1, or for S8 between -128 and 127; freed by the caller. The allocation
 * has no slack, so that AddressSanitizer sees what is read past it. */
void* random_elements(random_source* source, int32_t dtype, size_t n);

/* ---- Buffers ---- */

/* A buffer that a failed call must leave as it is. Freed by the caller. */
void* filled(size_t bytes);
bool is_filled(const void* data, size_t bytes);

/* ---- Devices and contexts ---- */

/* The device under test: NPUENC_TEST_DEVICE is "npu", or "cpu" where it is not set. */
int32_t device_under_test(void);

npuenc_ctx* open_device(uint32_t n_threads); /* the one under test */
npuenc_ctx* open_cpu(uint32_t n_threads);

/* What a call without fault returns whose products are of this npuenc_dtype or npuenc_precision
 * (float's numbers are the same in both): E_UNSUPPORTED for F32 on an NPU, whose array has none. */
int32_t support_of(int32_t type);

/* Of calls that are over: on the CPU all that concerns an NPU is 0, on an NPU none of it is. */
void check_transfers(const npuenc_stats* stats);

/* For tests that Meson runs once for each value of NPUENC_ISA. */
bool has_forced_isa(void);

uint64_t now_ns(void);

#endif
