// SPDX-License-Identifier: MIT
// The arithmetic of one core of the matrix product, tile by tile, to the bit, for the host's
// vectors.
//
// Tiles are as the cores read them (kernels/aie2/gemm_s8.cpp, gemm_bf16.cpp). A, 64 rows: by eights
// of rows, eights of K, 8 rows of 8 values. B, 64 columns: by sixteens of columns, eights of K,
// micro-tiles of 8 rows of K by 8 (int8) or 4 (bf16) columns. Results: by eights of rows, sixteens
// of columns, the micro-tiles' columns, 8 rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace virtual_npu {

constexpr size_t core_tile = 64; // rows of A, columns of B

// Sums are [64][64]: 32-bit integers, or f32 as bits.
struct GemmArithmetic {
    const char* name; // of the instruction set
    // sums += A B, A 64 deep.
    void (*multiply_s8)(const int8_t* a, const int8_t* b, uint32_t* sums);
    // A 32 deep. Sums are of normal range or zero. False: a value is not finite, or became so and
    // was used again; what the hardware makes of that is not known.
    bool (*multiply_bf16)(const uint16_t* a, const uint16_t* b, uint32_t* sums);
    // GELU (sum + bias) in bf16, two tiles of A of another product, as kernels/aie2/gelu_tile.hpp
    // says; `operands` is what follows the header there. False: a factor or a sum that is added to
    // is not finite, or an operand that all elements share is not the same for all of them: which
    // of its lanes an element has is the program's own business.
    bool (*gelu)(const uint32_t* sums, const uint8_t* operands, uint8_t* result);
};

// Those that the host can run, all with the same results, the fastest last.
std::span<const GemmArithmetic> gemm_arithmetic();

// Sums as a core sends them. An int8 result is sum / 2^shift, to nearest even and saturated.
void write_s32(const uint32_t* sums, uint8_t* result);
void write_s8(const uint32_t* sums, unsigned shift, uint8_t* result);  // shift 0 to 62
void write_s16(const uint32_t* sums, unsigned shift, uint8_t* result); // the same in int16
void write_f32(const uint32_t* sums, uint8_t* result);
// The low 16 bits of each f32.
void write_low_bits_of_f32(const uint32_t* sums, uint8_t* result);

} // namespace virtual_npu
