/* SPDX-License-Identifier: MIT
 *
 * The polynomials behind softmax and gelu, the same for most instruction sets. All were fitted for
 * this project by linear programming (least greatest error on a dense Chebyshev grid, in double).
 */
#ifndef NPUENC_KERNELS_APPROXIMATION_H
#define NPUENC_KERNELS_APPROXIMATION_H

/* exp2(t) = 2^n 2^f, n = rint(t), f = t - n, |f| <= 1/2. For f32, 2^f is the polynomial with the
 * coefficients 0 (of f^0) to 6, within 2^-25 of itself; for what is rounded to bf16 afterwards a
 * shorter one, within 2^-13.7; and for what becomes one of 256 levels one within 2^-9.1. With a
 * table of 2^(i / 32) |f| is at most 1/64, and 1 and two coefficients are within 2^-24.1.
 *
 * The kernels need it for what is at most about 0. Below npuenc_exp2_least, where the result would
 * be a denormal, it is 0. */
#define npuenc_exp2_least (-126.0f)
#define npuenc_log2e 0x1.715476p+0f
#define npuenc_exp2_0 1.0f
#define npuenc_exp2_1 0x1.62e430p-1f
#define npuenc_exp2_2 0x1.ebfbe0p-3f
#define npuenc_exp2_3 0x1.c6b08ap-5f
#define npuenc_exp2_4 0x1.3b23d0p-7f
#define npuenc_exp2_5 0x1.5e6baep-10f
#define npuenc_exp2_6 0x1.4a56a2p-13f
#define npuenc_exp2_32_1 0x1.62e584p-1f
#define npuenc_exp2_32_2 0x1.ebfbdep-3f
#define npuenc_exp2_bf16_0 0x1.fff692p-1f
#define npuenc_exp2_bf16_1 0x1.62f318p-1f
#define npuenc_exp2_bf16_2 0x1.f0de1cp-3f
#define npuenc_exp2_bf16_3 0x1.c3f804p-5f
#define npuenc_exp2_u8_0 0x1.001d0ap+0f
#define npuenc_exp2_u8_1 0x1.682a56p-1f
#define npuenc_exp2_u8_2 0x1.e84d6ep-3f

/* gelu(y) = y (1/2 + h(y)), where h(y) = erf(y / sqrt 2) / 2 = y (G0 + G1 u + ... + G12 u^12) with
 * u = y^2 / 13 - 1, clamped to [-1/2, 1/2]. The polynomial passes 1/2 a little before |y| = sqrt 26
 * and grows from there on, so the clamp alone makes the tails: 0 below, y above. Its error in gelu
 * is at most 2e-7 max(1, |y|), and 3.3e-7 max(1, |y|) with the roundings, fused or not. */
#define npuenc_gelu_inverse_13 0x1.3b13b2p-4f
#define npuenc_gelu_0 0x1.1beb02p-3f
#define npuenc_gelu_1 (-0x1.1aafdep-4f)
#define npuenc_gelu_2 0x1.a010bap-5f
#define npuenc_gelu_3 (-0x1.49939ap-5f)
#define npuenc_gelu_4 0x1.03f28ap-5f
#define npuenc_gelu_5 (-0x1.883034p-6f)
#define npuenc_gelu_6 0x1.1c4004p-6f
#define npuenc_gelu_7 (-0x1.905670p-7f)
#define npuenc_gelu_8 0x1.d2dab2p-8f
#define npuenc_gelu_9 (-0x1.870b20p-9f)
#define npuenc_gelu_10 0x1.12bbfap-9f
#define npuenc_gelu_11 (-0x1.0d7cccp-9f)
#define npuenc_gelu_12 0x1.9775f6p-11f
/* The same with u = 2 y^2 / 15 - 1 and seven coefficients, for what is rounded to bf16 afterwards:
 * within 2^-13.6 max(1/8, |y|), of which 2^-13.67 are the polynomial's. */
#define npuenc_gelu_bf16_factor 0x1.111112p-3f
#define npuenc_gelu_bf16_0 0x1.73a09ap-3f
#define npuenc_gelu_bf16_1 (-0x1.613218p-4f)
#define npuenc_gelu_bf16_2 0x1.c6e876p-5f
#define npuenc_gelu_bf16_3 (-0x1.1378d4p-5f)
#define npuenc_gelu_bf16_4 0x1.573794p-6f
#define npuenc_gelu_bf16_5 (-0x1.e8680cp-7f)
#define npuenc_gelu_bf16_6 0x1.848e98p-8f
/* Any y <= sqrt 26 would do: the factor of 0 in the lower tail, where -inf would make a NaN. */
#define npuenc_gelu_least (-8.0f)

#define npuenc_layer_norm_epsilon 1e-5f

#endif /* NPUENC_KERNELS_APPROXIMATION_H */
