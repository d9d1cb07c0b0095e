/* SPDX-License-Identifier: MIT
 *
 * libnpuenc.so as dlopen gives it to a program that is not linked to it.
 */
#ifndef NPUENC_TESTS_ABI_PLUGIN_H
#define NPUENC_TESTS_ABI_PLUGIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include <cmocka.h>

#include <npuenc/npuenc.h>

/* Sanitizers need /proc, and to be bound before the C library. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { is_instrumented = 1 };
#else
enum { is_instrumented = 0 };
#endif

enum {
    header_version = NPUENC_VERSION_MAJOR << 16 | NPUENC_VERSION_MINOR << 8 | NPUENC_VERSION_PATCH
};

void* open_library(const char* path, int flags);
void* function(void* library, const char* name);

/* ISO C has no conversion from object pointers to functions; POSIX does. */
#define FUNCTION(library, name) (*(__typeof__(&name)*)&(void*){function(library, #name)})

/* Opens a context with a thread of its own, and makes a call succeed and another one fail. */
void use(void* library);

void copy_file(const char* from, const char* to, mode_t mode);

#endif
