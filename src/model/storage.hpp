// SPDX-License-Identifier: MIT
// How files store weights, and how stored weights become f32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace npuenc {

// The q types are ggml's: blocks of 32 weights that share a scale (and, in _1, a minimum).
enum class Storage : uint8_t { f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, int8 };

const char* name_of(Storage storage); // "q5_0"
uint32_t block_elements(Storage storage);
uint32_t block_bytes(Storage storage);

// Converts `elements`, a multiple of block_elements. All of it is exact but the one rounding of a
// q type's scale * q (and of + minimum). int8 gives the integers: their scale is stored elsewhere.
void decode(Storage storage, const void* blocks, size_t elements, float* out);

} // namespace npuenc
