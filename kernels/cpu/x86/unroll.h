/* SPDX-License-Identifier: MIT
 *
 * UNROLLED_FOR for a loop over registers: left rolled, it would keep them in memory.
 */
#ifndef NPUENC_KERNELS_UNROLL_H
#define NPUENC_KERNELS_UNROLL_H

#if defined(__clang__)
#define UNROLLED_FOR(...) _Pragma("clang loop unroll(full)") for (__VA_ARGS__)
#else
#define UNROLLED_FOR(...) _Pragma("GCC unroll 16") for (__VA_ARGS__)
#endif

#endif /* NPUENC_KERNELS_UNROLL_H */
