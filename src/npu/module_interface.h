/* SPDX-License-Identifier: MIT
 *
 * Between libnpuenc and a module that drives NPUs, npuenc-xrt.so: private, and of one version at a
 * time. Plain C, so that the two may have been compiled against different C++ libraries.
 *
 * The module exports npuenc_module_get alone. Its functions return an npuenc_status; after a
 * failure `failure`, never NULL, holds one line for a person, and an output handle is NULL. Nothing
 * throws or prints, and of the environment only XCL_EMULATION_MODE is looked at, which XRT obeys.
 * All functions may be called from several threads at once; a handle must not be freed while
 * another thread still passes it to a call. Handles keep what they need of each other alive: they
 * may be freed in any order.
 *
 *   E_INVALID      misuse: no commands, or commands of different overlays; no arguments, or more
 *                  than npuenc_module_max_arguments; a range outside of its buffer; a program of
 *                  no words
 *   E_NOT_FOUND    no such device
 *   E_UNSUPPORTED  the device, its driver or its firmware cannot be used as they are set up
 *   E_NOMEM        memory of the host or of the device's heap
 *   E_BUSY         other processes hold all of the array's contexts, and did so for some seconds
 *   E_TIMEOUT      a command did not end: the driver has stopped it. The session goes on
 *   E_DEVICE       the device, its driver or its firmware failed this call. The session goes on
 *   E_CTX_LOST     the device has gone: every later call of the session fails so
 */
#ifndef NPUENC_MODULE_INTERFACE_H
#define NPUENC_MODULE_INTERFACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NPUENC_MODULE_INTERFACE 3u

/* Buffer arguments of a command: the firmware translates the addresses of no more. */
enum { npuenc_module_max_arguments = 5 };

/* An argument begins on a multiple of this in its buffer, a page. */
enum { npuenc_module_alignment = 4096 };

typedef struct npuenc_module_failure {
    int32_t status;
    char detail[512];
} npuenc_module_failure;

/* What the runtime says of a device; empty where it says nothing. */
typedef struct npuenc_module_device {
    char name[64];
    char bus_address[32];
    char firmware[64];
    char runtime[64];   /* "XRT 2.25.0" */
    int32_t status;     /* NPUENC_OK, or what session_open would return */
    char reason[512];   /* why, and what to do about it */
    uint32_t n_columns; /* 0: not known */
} npuenc_module_device;

typedef struct npuenc_module_session npuenc_module_session; /* an open device */
typedef struct npuenc_module_overlay npuenc_module_overlay; /* an xclbin on it */
typedef struct npuenc_module_program npuenc_module_program; /* an instruction stream for one */
typedef struct npuenc_module_buffer npuenc_module_buffer;
typedef struct npuenc_module_submission npuenc_module_submission;

/* `bytes` of a buffer from byte `offset` on, a multiple of npuenc_module_alignment. */
typedef struct npuenc_module_argument {
    npuenc_module_buffer* buffer;
    size_t offset, bytes;
} npuenc_module_argument;

/* One run of a program. */
typedef struct npuenc_module_command {
    npuenc_module_program* program;
    uint32_t n_arguments;
    npuenc_module_argument arguments[npuenc_module_max_arguments];
} npuenc_module_command;

typedef enum npuenc_module_direction {
    npuenc_module_to_device,
    npuenc_module_from_device,
    /* To the device, and all that it will read of these bytes was stored past the caches, by
     * threads that have fenced since (npu/streaming.hpp). */
    npuenc_module_streamed_to_device
} npuenc_module_direction;

/* Threads of the caller's: for_each calls body(of_body, i) once for every i below n, on any of
 * them, and returns when all have ended. A body does not call back, and does not fail. */
typedef struct npuenc_module_threads {
    void* context;
    void (*for_each)(void* context, size_t n, void (*body)(void* of_body, size_t i), void* of_body);
} npuenc_module_threads;

typedef struct npuenc_module {
    uint32_t interface; /* NPUENC_MODULE_INTERFACE */

    /* Writes up to `capacity` devices, and how many there are to *count. */
    int32_t (*list)(npuenc_module_device* devices, uint32_t capacity, uint32_t* count,
                    npuenc_module_failure* failure);

    int32_t (*session_open)(const char* bus_address, npuenc_module_session** out,
                            npuenc_module_failure* failure);
    void (*session_close)(npuenc_module_session* session);

    /* Registers an xclbin, which is copied. Whether and when the overlay has a hardware context is
     * the session's affair: it keeps as many as it gets, and drops the one used least recently. */
    int32_t (*overlay_create)(npuenc_module_session* session, const void* xclbin, size_t bytes,
                              npuenc_module_overlay** out, npuenc_module_failure* failure);
    void (*overlay_free)(npuenc_module_overlay* overlay);

    /* An instruction stream, which is copied. */
    int32_t (*program_create)(npuenc_module_overlay* overlay, const uint32_t* words, size_t n_words,
                              npuenc_module_program** out, npuenc_module_failure* failure);
    void (*program_free)(npuenc_module_program* program);

    /* Memory that host and device see, *memory on the host's side: whole pages, zeroed. */
    int32_t (*buffer_create)(npuenc_module_session* session, size_t bytes,
                             npuenc_module_buffer** out, void** memory,
                             npuenc_module_failure* failure);
    void (*buffer_free)(npuenc_module_buffer* buffer);

    /* Makes what the host wrote visible to the device, or what the device wrote to the host; the
     * caller's thread may share that with `threads`, unless NULL. */
    int32_t (*buffer_sync)(npuenc_module_buffer* buffer, npuenc_module_direction direction,
                           size_t offset, size_t bytes, const npuenc_module_threads* threads,
                           npuenc_module_failure* failure);

    /* Hands over commands, 1 or more and all of one overlay, to run one after another: one
     * submission. Buffers and programs must live until `wait` has returned. */
    int32_t (*submit)(npuenc_module_session* session, const npuenc_module_command* commands,
                      size_t n, npuenc_module_submission** out, npuenc_module_failure* failure);

    /* Waits until all commands have ended and frees the submission. After a failure what its
     * buffers hold is unspecified, but the device no longer writes to them. */
    int32_t (*wait)(npuenc_module_submission* submission, npuenc_module_failure* failure);
} npuenc_module;

/* The module's functions, static storage; NULL when it has no such interface. */
typedef const npuenc_module* (*npuenc_module_get_fn)(uint32_t interface);

#define NPUENC_MODULE_GET "npuenc_module_get"

#ifdef __cplusplus
}
#endif
#endif /* NPUENC_MODULE_INTERFACE_H */
