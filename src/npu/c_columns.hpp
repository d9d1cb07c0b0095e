// SPDX-License-Identifier: MIT
// What one core has of a band of C, out of the order in which it sends it (gemm_packing.hpp): 64
// columns of eight rows, with results of 16 bits widened to 32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace npuenc {

// Into rows `ldc` elements apart. As many bytes from `ahead` on, which is read next, are asked for
// on the way.
template <class From, class To>
using UnpackColumns = void (*)(const From* packed, const From* ahead, To* c, size_t ldc);

// For each type of result; all ways have the same results.
struct CColumns {
    UnpackColumns<int32_t, int32_t> s32;
    UnpackColumns<int16_t, int32_t> s16;
    UnpackColumns<int8_t, int8_t> s8;
    UnpackColumns<float, float> f32;
};

extern const CColumns portable_c_columns;
const CColumns& best_c_columns(); // on this CPU

} // namespace npuenc
