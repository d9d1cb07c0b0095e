// SPDX-License-Identifier: MIT
// What becomes of the sums of a linear layer, as the kernels are told.
#pragma once

#include <cstddef>

#include "device/device.hpp"
#include "kernels/cpu/kernels.h"

namespace npuenc {

inline npuenc_float float_of(npuenc_dtype type) {
    return type == NPUENC_BF16  ? npuenc_float_bf16
           : type == NPUENC_F16 ? npuenc_float_f16
                                : npuenc_float_f32;
}

// From the first element on. `scales` are those of the weight's rows, null where it has none.
inline npuenc_finish finish_of(const Linear& shape, npuenc_precision precision, const float* scales,
                               const float* bias, void* y) {
    npuenc_finish finish{};
    finish.col_scale = scales;
    finish.bias = bias;
    if (shape.gelu)
        finish.gelu = shape.y_type == NPUENC_BF16 && precision != NPUENC_PRECISION_F32
                          ? npuenc_gelu_bf16
                          : npuenc_gelu_f32;
    finish.addend = shape.addend;
    finish.ld_addend = shape.ld_addend;
    finish.type = float_of(shape.y_type);
    finish.y = y;
    finish.ldy = shape.ldy;
    return finish;
}

// The same from element (row, col) on.
inline npuenc_finish shifted(npuenc_finish finish, size_t row, size_t col) {
    if (finish.col_scale)
        finish.col_scale += col;
    if (finish.bias)
        finish.bias += col;
    if (finish.addend)
        finish.addend += row * finish.ld_addend + col;
    const size_t size = finish.type == npuenc_float_f32 ? 4 : 2;
    finish.y = static_cast<char*>(finish.y) + (row * finish.ldy + col) * size;
    return finish;
}

} // namespace npuenc
