// SPDX-License-Identifier: MIT
#include "npu/c_columns.hpp"

#include <cstring>

#include "aligned_buffer.hpp"
#include "kernels/cpu/kernels.h"
#include "npu/gemm_packing.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace npuenc {
namespace {

// Of micro-tiles: of int8 operands, and of bf16.
constexpr size_t s8_width = 8, bf16_width = 4;

void prefetch(const void* from, size_t bytes) {
    for (size_t byte = 0; byte < bytes; byte += cache_line)
        __builtin_prefetch(static_cast<const char*>(from) + byte);
}

// In vectors that every compiler has instructions for.
template <class T, size_t n>
struct VectorOf {
    typedef T Type __attribute__((vector_size(n * sizeof(T))));
};

template <size_t n, class From, class To>
void move_values(const From* from, To* to) {
    typename VectorOf<From, n>::Type narrow;
    std::memcpy(&narrow, from, sizeof narrow);
    const auto wide = __builtin_convertvector(narrow, typename VectorOf<To, n>::Type);
    std::memcpy(to, &wide, sizeof wide);
}

template <size_t width, class From, class To>
void unpack(const From* packed, const From* ahead, To* c, size_t ldc) {
    for (size_t column = 0; column < core_tile; column += width, ahead += band_rows * width) {
        prefetch(ahead, band_rows * width * sizeof *ahead);
        for (size_t row = 0; row < band_rows; ++row, packed += width)
            move_values<width>(packed, c + row * ldc + column);
    }
}

#if defined(__x86_64__)

[[gnu::target("avx2")]] void unpack_s32_avx2(const int32_t* packed, const int32_t* ahead,
                                             int32_t* c, size_t ldc) {
    for (size_t column = 0; column < core_tile; column += s8_width, ahead += band_rows * s8_width) {
        prefetch(ahead, band_rows * s8_width * sizeof *ahead);
        for (size_t row = 0; row < band_rows; ++row, packed += s8_width)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + row * ldc + column),
                                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed)));
    }
}

[[gnu::target("avx2")]] void unpack_s16_avx2(const int16_t* packed, const int16_t* ahead,
                                             int32_t* c, size_t ldc) {
    for (size_t column = 0; column < core_tile; column += s8_width, ahead += band_rows * s8_width) {
        prefetch(ahead, band_rows * s8_width * sizeof *ahead);
        for (size_t row = 0; row < band_rows; ++row, packed += s8_width)
            _mm256_storeu_si256(
                reinterpret_cast<__m256i*>(c + row * ldc + column),
                _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed))));
    }
}

// Two micro-tile columns at a time.
[[gnu::target("avx2")]] void unpack_f32_avx2(const float* packed, const float* ahead, float* c,
                                             size_t ldc) {
    constexpr size_t tile = band_rows * bf16_width;
    for (size_t column = 0; column < core_tile; column += 2 * bf16_width) {
        prefetch(ahead, 2 * tile * sizeof *ahead);
        for (size_t row = 0; row < band_rows; ++row) {
            const float* left = packed + row * bf16_width;
            _mm256_storeu_ps(c + row * ldc + column, _mm256_loadu2_m128(left + tile, left));
        }
        packed += 2 * tile;
        ahead += 2 * tile;
    }
}

#endif

} // namespace

constexpr CColumns portable_c_columns = {
    unpack<s8_width, int32_t, int32_t>, unpack<s8_width, int16_t, int32_t>,
    unpack<s8_width, int8_t, int8_t>, unpack<bf16_width, float, float>};

const CColumns& best_c_columns() {
#if defined(__x86_64__)
    static constexpr CColumns avx2 = {unpack_s32_avx2, unpack_s16_avx2, portable_c_columns.s8,
                                      unpack_f32_avx2};
    // Compilers' own way of asking brings an initialiser into the library.
    static const bool has_avx2 = [] {
        npuenc_kernels kernels;
        return npuenc_kernels_init(&kernels, "avx2") == NPUENC_KERNELS_OK;
    }();
    if (has_avx2)
        return avx2;
#endif
    return portable_c_columns;
}

} // namespace npuenc
