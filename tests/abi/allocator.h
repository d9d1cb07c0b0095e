/* SPDX-License-Identifier: MIT
 *
 * malloc and its kin, counted and made to fail when a test says so: they are replaced in programs
 * that have allocator.c, for libnpuenc.so and the C++ library as well. Sanitizers replace them too,
 * so such programs are for builds without one.
 */
#ifndef NPUENC_TESTS_ABI_ALLOCATOR_H
#define NPUENC_TESTS_ABI_ALLOCATOR_H

#include <stdbool.h>

/* How often any thread has asked for memory, or given some back. */
long allocator_calls(void);

/* After n more allocations one fails, alone or with all that follow. */
void fail_allocation(long n, bool all_from_there);

/* No more: tells whether one has failed. */
bool stop_failing(void);

#endif
