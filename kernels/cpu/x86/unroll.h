/* SPDX-License-Identifier: MIT
 *
 * UNROLL before a loop over registers: left rolled, it would keep them in memory.
 */
#ifndef NPUENC_KERNELS_UNROLL_H
#define NPUENC_KERNELS_UNROLL_H

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif /* NPUENC_KERNELS_UNROLL_H */
