/* SPDX-License-Identifier: MIT
 *
 * The allocator of tests: the C library's own, under other names, behind a counter and a trap.
 */
#include "allocator.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* old, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* data);

static atomic_long calls;
static atomic_long allocations_left = -1; /* before the one that fails; negative: none does */
static atomic_bool has_failed;
static bool all_fail_from_there;

long allocator_calls(void) {
    return atomic_load(&calls);
}

void fail_allocation(long n, bool all_from_there) {
    all_fail_from_there = all_from_there;
    has_failed = false;
    allocations_left = n;
}

bool stop_failing(void) {
    allocations_left = -1;
    return has_failed;
}

static bool is_to_fail(void) {
    atomic_fetch_add(&calls, 1);
    long left = atomic_load(&allocations_left);
    while (left > 0)
        if (atomic_compare_exchange_weak(&allocations_left, &left, left - 1))
            return false;
    if (left < 0)
        return false;
    if (!all_fail_from_there && atomic_exchange(&has_failed, true))
        return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void* malloc(size_t bytes) {
    return is_to_fail() ? NULL : __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
    return is_to_fail() ? NULL : __libc_calloc(count, bytes);
}

void* realloc(void* old, size_t bytes) {
    return is_to_fail() ? NULL : __libc_realloc(old, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
    return is_to_fail() ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void** out, size_t alignment, size_t bytes) {
    void* data = aligned_alloc(alignment, bytes);
    if (!data)
        return ENOMEM;
    *out = data;
    return 0;
}

void free(void* data) {
    if (data)
        atomic_fetch_add(&calls, 1);
    __libc_free(data);
}

/* Offsets are of 64 bits, here as in the library: both are compiled so. */
void* mmap(void* at, size_t bytes, int protection, int flags, int file, off_t offset) {
    atomic_fetch_add(&calls, 1);
    void* (*next)(void*, size_t, int, int, int, off_t);
    *(void**)&next = dlsym(RTLD_NEXT, "mmap64");
    return next(at, bytes, protection, flags, file, offset);
}
