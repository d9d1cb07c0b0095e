/* SPDX-License-Identifier: MIT
 *
 * The polynomials behind softmax and gelu, the same for every instruction set. Both were fitted for
 * this project by linear programming (least greatest error on a dense Chebyshev grid, in double).
 */
#ifndef NPUENC_KERNELS_APPROXIMATION_H
#define NPUENC_KERNELS_APPROXIMATION_H

/* exp(x) = 2^n exp(r), n = rint(x / ln 2), r = x - n ln 2, |r| <= ln 2 / 2 (a little more, for the
 * rounding of n), and exp(r) = 1 + r + r^2 (E0 + E1 r + E2 r^2 + E3 r^3 + E4 r^4) within 3.1e-9 of
 * itself: 0.05 ulp. ln 2 is taken in two parts, the first of nine bits so that n times it is exact.
 * With the roundings of the evaluation the error stays below 2 ulp, fused or not.
 *
 * The kernels need exp of what is at most about 0. Below npuenc_exp_least the result rounds to 0.
 */
#define npuenc_exp_least (-104.0f)
#define npuenc_exp_log2e 0x1.715476p+0f
#define npuenc_exp_ln2_high 0x1.63p-1f
#define npuenc_exp_ln2_low (-0x1.bd0106p-13f)
#define npuenc_exp_0 0x1.fffffcp-2f
#define npuenc_exp_1 0x1.555492p-3f
#define npuenc_exp_2 0x1.5558f2p-5f
#define npuenc_exp_3 0x1.123a20p-7f
#define npuenc_exp_4 0x1.6a2426p-10f

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
/* Any y <= sqrt 26 would do: the factor of 0 in the lower tail, where -inf would make a NaN. */
#define npuenc_gelu_least (-8.0f)

#define npuenc_layer_norm_epsilon 1e-5f

#endif /* NPUENC_KERNELS_APPROXIMATION_H */
