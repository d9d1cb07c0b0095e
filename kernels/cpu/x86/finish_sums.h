/* SPDX-License-Identifier: MIT
 *
 * The entries of finish_sums, for a file that defines, always inline,
 *
 *   finish(int of_s32, npuenc_gelu gelu, size_t rows, size_t cols, const void* sums, size_t ld,
 *          const npuenc_finish* how);
 *
 * before it includes this: it is expanded for each kind of sums and of gelu.
 */
static ALWAYS_INLINE void finish_each(int of_s32, size_t rows, size_t cols, const void* sums,
                                      size_t ld, const npuenc_finish* how) {
    switch (how->gelu) {
    case npuenc_gelu_none:
        finish(of_s32, npuenc_gelu_none, rows, cols, sums, ld, how);
        break;
    case npuenc_gelu_f32:
        finish(of_s32, npuenc_gelu_f32, rows, cols, sums, ld, how);
        break;
    case npuenc_gelu_bf16:
        finish(of_s32, npuenc_gelu_bf16, rows, cols, sums, ld, how);
        break;
    }
}

static void finish_f32(size_t rows, size_t cols, const float* sums, size_t ld,
                       const npuenc_finish* how) {
    finish_each(0, rows, cols, sums, ld, how);
}

static void finish_s32(size_t rows, size_t cols, const int32_t* sums, size_t ld,
                       const npuenc_finish* how) {
    finish_each(1, rows, cols, sums, ld, how);
}
