/* SPDX-License-Identifier: MIT
 *
 * What kernels ask the caches for, since it is read soon.
 */
#ifndef NPUENC_KERNELS_PREFETCH_H
#define NPUENC_KERNELS_PREFETCH_H

#include <stddef.h>

#include "kernels/cpu/kernels.h"

enum { line_bytes = 64 };

/* Into the L2, from `at` up to `end`. */
static inline void prefetch(const char* at, const char* end) {
    for (; at < end; at += line_bytes)
        __builtin_prefetch(at, 0, 2);
}

/* All of it at once, where a tile takes no longer than that does. */
static inline void prefetch_soon(const npuenc_tile* tile) {
    const char* soon = tile->soon;
    if (tile->soon_bytes)
        prefetch(soon, soon + tile->soon_bytes);
}

#endif /* NPUENC_KERNELS_PREFETCH_H */
