/* SPDX-License-Identifier: MIT
 *
 * For a suite whose tests share one context and need nothing else.
 */
#ifndef NPUENC_TESTS_ABI_FIXTURE_H
#define NPUENC_TESTS_ABI_FIXTURE_H

#include "support.h"

static npuenc_ctx* ctx;

static int open_ctx(void** state) {
    (void)state;
    ctx = open_device(1);
    return 0;
}

static int close_ctx(void** state) {
    (void)state;
    npuenc_close(ctx);
    return 0;
}

#endif
