// SPDX-License-Identifier: MIT
// Packed matrices against the layout of tiles, written out index by index.
#include <algorithm>
#include <bit>
#include <cmath>

#include "cpu/cpu_device.hpp"
#include "cpu/thread_pool.hpp"
#include "kernels/aie2/gelu_tile.hpp"
#include "npu/gemm_packing.hpp"
#include "support.hpp"

using namespace npuenc;

namespace {

// The place of an element in a tile message, counted in elements from the end of the header.
// In blocks: rows or columns in the block, then step along K, then micro-tiles.

size_t place_in_a(size_t row, size_t k, size_t k_tile) {
    const size_t i = row / 8, h = row % 8 / 4, s = k / 8;
    return ((i * (k_tile / 8) + s) * 2 + h) * 32 + row % 4 * 8 + k % 8;
}

size_t place_in_b_s8(size_t k, size_t column) {
    const size_t j = column / 16, right = column % 16 / 8, s = k / 8;
    return ((j * 8 + s) * 2 + right) * 64 + k % 8 * 8 + column % 8;
}

size_t place_in_b_bf16(size_t k, size_t column) {
    const size_t j = column / 16, q = column % 16 / 4, s = k / 8;
    return ((j * 4 + s) * 4 + q) * 32 + k % 8 * 4 + column % 4;
}

// In the whole tile, of 64 rows.
size_t place_in_c_s8(size_t row, size_t column) {
    const size_t i = row / 8, j = column / 16, h = row % 8 / 4, right = column % 16 / 8;
    return (i * 4 + j) * 128 + (right * 2 + h) * 32 + row % 4 * 8 + column % 8;
}

size_t place_in_c_bf16(size_t row, size_t column) {
    const size_t i = row / 8, j = column / 16, h = row % 8 / 4, q = column % 16 / 4;
    return (i * 4 + j) * 128 + (q * 2 + h) * 16 + row % 4 * 4 + column % 4;
}

size_t groups(size_t n) {
    return (n + 255) / 256;
}

template <class T>
std::vector<T> expected_a(const std::vector<T>& a, size_t lda, size_t m, size_t k) {
    const size_t k_tile = sizeof(T) == 1 ? 64 : 32, tiles = (k + k_tile - 1) / k_tile;
    const size_t tile = 64 * k_tile;
    std::vector<T> packed(4 * groups(m) * tiles * tile);
    for (size_t row = 0; row < m; ++row)
        for (size_t i = 0; i < k; ++i) {
            const size_t group = row / 256, core = row % 256 / 64;
            packed[((core * groups(m) + group) * tiles + i / k_tile) * tile +
                   place_in_a(row % 64, i % k_tile, k_tile)] = a[row * lda + i];
        }
    return packed;
}

// As bytes: headers are words. `b(k, column)`.
template <class T, class B>
std::vector<char> expected_b(const B& b, size_t n, size_t k, uint32_t form, uint32_t shift) {
    const size_t k_tile = sizeof(T) == 1 ? 64 : 32, tiles = (k + k_tile - 1) / k_tile;
    std::vector<char> packed(4 * groups(n) * tiles * 4128);
    for (size_t core = 0; core < 4; ++core)
        for (size_t group = 0; group < groups(n); ++group)
            for (size_t tile = 0; tile < tiles; ++tile) {
                char* message = packed.data() + ((core * groups(n) + group) * tiles + tile) * 4128;
                const uint32_t header[2] = {
                    form | (tile == 0 ? 1u : 0u) | (tile == tiles - 1 ? 2u : 0u), shift};
                std::memcpy(message, header, sizeof header);
                for (size_t i = 0; i < k_tile; ++i)
                    for (size_t j = 0; j < 64; ++j) {
                        const size_t row = tile * k_tile + i;
                        const size_t column = group * 256 + core * 64 + j;
                        if (row >= k || column >= n)
                            continue;
                        const size_t place =
                            sizeof(T) == 1 ? place_in_b_s8(i, j) : place_in_b_bf16(i, j);
                        const T value = b(row, column);
                        std::memcpy(message + 32 + place * sizeof(T), &value, sizeof(T));
                    }
            }
    return packed;
}

const size_t sizes[] = {1, 63, 64, 65, 255, 257, 1500};
const size_t depths[] = {1, 7, 8, 31, 32, 33, 63, 64, 65, 127, 200, 1025};

void assert_same(const void* found, const void* expected, size_t bytes, const char* what, size_t n,
                 size_t k) {
    if (std::memcmp(found, expected, bytes) != 0) {
        const auto *x = static_cast<const uint8_t*>(found),
                   *y = static_cast<const uint8_t*>(expected);
        const auto where = static_cast<size_t>(std::mismatch(x, x + bytes, y).first - x);
        print_error("%s of %zu x %zu: byte %zu is %d, expected %d\n", what, n, k, where, x[where],
                    y[where]);
        assert_memory_equal(found, expected, bytes);
    }
}

template <class T>
void packs_a(const GemmOverlay& overlay) {
    Serial serial;
    for (const size_t m : sizes)
        for (const size_t k : depths) {
            const size_t lda = k + m % 3 * 5;
            const GemmTiling tiling(overlay, m, 1, k);
            const std::vector<T> a = Random(static_cast<uint32_t>(m + k)).values<T>(m * lda);
            std::vector<char> packed(tiling.a_bytes() + 8, 0x55); // what lies there before is lost
            pack_a(tiling, a.data(), lda, packed.data(), serial);
            const std::vector<T> expected = expected_a(a, lda, m, k);
            assert_int_equal(tiling.a_bytes(), expected.size() * sizeof(T));
            assert_same(packed.data(), expected.data(), tiling.a_bytes(), "A", m, k);
            for (size_t i = 0; i < 8; ++i)
                assert_int_equal(packed[tiling.a_bytes() + i], 0x55);
        }
}

template <class T>
void packs_b(const GemmOverlay& overlay, unsigned shift, uint32_t form = 0) {
    Serial serial;
    for (const size_t n : sizes)
        for (const size_t k : depths) {
            const size_t ld = std::max(k, n) + k % 3 * 5;
            const GemmTiling tiling(overlay, 1, n, k);
            const std::vector<T> b =
                Random(static_cast<uint32_t>(n + k)).values<T>(std::max(k, n) * ld);
            for (const BLayout layout : {BLayout::k_by_n, BLayout::n_by_k}) {
                std::vector<char> packed(tiling.b_bytes() + 8, 0x55);
                pack_b(tiling, b.data(), ld, layout, shift, packed.data(), serial);
                const std::vector<char> expected = expected_b<T>(
                    [&](size_t row, size_t column) {
                        return layout == BLayout::k_by_n ? b[row * ld + column]
                                                         : b[column * ld + row];
                    },
                    n, k, form, shift);
                assert_int_equal(tiling.b_bytes(), expected.size());
                assert_same(packed.data(), expected.data(), expected.size(), "B", n, k);
                for (size_t i = 0; i < 8; ++i)
                    assert_int_equal(packed[tiling.b_bytes() + i], 0x55);
            }
        }
}

// One more tile in each strip.
template <class T>
std::vector<char> with_room_for_a_tile(const std::vector<T>& packed, size_t strips, size_t tile) {
    const auto* bytes = reinterpret_cast<const char*>(packed.data());
    const size_t strip = packed.size() * sizeof(T) / strips;
    std::vector<char> result(packed.size() * sizeof(T) + strips * tile);
    for (size_t i = 0; i < strips; ++i)
        std::copy_n(bytes + i * strip, strip,
                    result.begin() + static_cast<std::ptrdiff_t>(i * (strip + tile)));
    return result;
}

// What is multiplied is as without GELU, but for the last tile's header. Then A has a tile of
// zeros.
void operands_of_gelu(void**) {
    Serial serial;
    for (const size_t m : {1, 65, 300})
        for (const size_t k : {1, 32, 33, 200}) {
            const GemmTiling tiling(gemm_bf16_gelu, m, m, k);
            const std::vector<uint16_t> values = Random(1).values<uint16_t>(m * k);
            const size_t strips = 4 * groups(m), tiles = (k + 31) / 32;
            std::vector<char> packed(tiling.a_bytes(), 0x55);
            pack_a(tiling, values.data(), k, packed.data(), serial);
            const std::vector<char> a =
                with_room_for_a_tile(expected_a(values, k, m, k), strips, 4096);
            assert_int_equal(packed.size(), a.size());
            assert_same(packed.data(), a.data(), a.size(), "A", m, k);

            std::vector<char> b = with_room_for_a_tile(
                expected_b<uint16_t>(
                    [&](size_t row, size_t column) { return values[column * k + row]; }, m, k, 0,
                    0),
                strips, 4128);
            for (size_t strip = 0; strip < strips; ++strip) {
                char* message = b.data() + strip * (tiles + 1) * 4128;
                message[(tiles - 1) * 4128] &= 1;
                std::memset(message + tiles * 4128, 0x55, 4128); // who packs it is another
            }
            packed.assign(tiling.b_bytes(), 0x55);
            pack_b(tiling, values.data(), k, BLayout::n_by_k, 0, packed.data(), serial);
            assert_int_equal(packed.size(), b.size());
            assert_same(packed.data(), b.data(), b.size(), "B", m, k);
        }
}

// And B a tile that says how: of each strip the biases of its own columns.
void gelu_tiles_have_the_biases_of_their_strip(void**) {
    for (const size_t n : {1, 64, 70, 300}) {
        const GemmTiling tiling(gemm_bf16_gelu, 1, n, 40);
        std::vector<float> bias = Random(1).reals(n);
        bias.resize(b_strips(tiling) * 64);
        std::vector<char> packed(tiling.b_bytes(), 0x55), message(4128);
        std::vector<char> without = packed;
        for (size_t strip = 0; strip < b_strips(tiling); ++strip) {
            pack_gelu_tile(tiling, strip, bias.data() + strip * 64, packed.data());
            pack_gelu_tile(tiling, strip, nullptr, without.data());
            const size_t core = strip % 4, group = strip / 4;
            const size_t place = (core * groups(n) + group) * 3 * 4128;
            const size_t count = n > strip * 64 ? std::min(n - strip * 64, size_t{64}) : 0;
            gelu_tile::write(bias.data() + strip * 64, count, message.data());
            assert_memory_equal(packed.data() + place + 2 * 4128, message.data(), 4128);
            gelu_tile::write(nullptr, count, message.data());
            assert_memory_equal(without.data() + place + 2 * 4128, message.data(), 4128);
            for (size_t i = 0; i < 2 * 4128; ++i) // tiles of K are left as they are
                assert_int_equal(packed[place + i], 0x55);
        }
    }
}

// The message, value by value. A bias is what both of its parts make, each of them of 8 bits.
void gelu_tile_is_what_it_says(void**) {
    std::vector<float> bias = Random(1).reals(64);
    bias[0] = 1.00390625f; // a tie: 1, and 2^-8
    bias[1] = -3.0f;
    bias[2] = 0x1.fffffep30f;
    constexpr size_t count = 50;
    std::vector<char> message(4128, 0x55);
    gelu_tile::write(bias.data(), count, message.data());
    const auto word = [&](size_t at) {
        uint32_t value;
        std::memcpy(&value, message.data() + at, sizeof value);
        return value;
    };
    const auto half = [&](size_t at) {
        uint16_t value;
        std::memcpy(&value, message.data() + 32 + at, sizeof value);
        return value;
    };
    const auto bf16 = [&](size_t at) {
        return static_cast<double>(std::bit_cast<float>(uint32_t{half(at)} << 16));
    };
    assert_int_equal(word(0), 10);
    for (size_t i = 1; i < 8; ++i)
        assert_int_equal(word(4 * i), 0);
    for (size_t column = 0; column < 64; ++column)
        for (size_t row = 0; row < 4; ++row) {
            const size_t at = column / 4 * 64 + (row * 4 + column % 4) * 2;
            const double wanted = column < count ? static_cast<double>(bias[column]) : 0;
            assert_true(std::fabs(bf16(at) - wanted) <= 0x1p-8 * std::fabs(wanted));
            assert_true(std::fabs(bf16(at) - bf16(at + 32) - wanted) <=
                        0x1p-16 * std::fabs(wanted));
        }
    assert_true(bf16(0) == 1 && bf16(32) == -0x1p-8);
    assert_true(bf16(2) == -3 && bf16(34) == 0);
    const auto minus = [](uint32_t value) { return ~value + 1; };
    // From 1024 on: 32 lanes of each, or 16 and 16.
    const struct {
        size_t at, size;
        uint32_t lower, upper;
    } operands[] = {{1024, 2, 0x7fff, 0x7fff}, // all bits but the sign
                    {1088, 2, 0x409b, 0x409b}, // 4.84375
                    {1152, 2, 0x0080, 0x3f40}, // 2^-126, 0.75
                    {1216, 2, 0x45d3, 0},      // 6752
                    {1280, 2, 0x3f80, 0xbf80}, // 1, -1
                    {1344, 2, 20030, 20030},
                    {1408, 2, 311, 311},
                    {1472, 4, minus(1025562592), minus(1025562592)},
                    {1600, 4, minus(451476538), minus(451476538)},
                    {1728, 4, 983616623, 983616623},
                    {1920, 4, 0x3f400000, 0x3f400000}};
    for (const auto& [at, size, lower, upper] : operands)
        for (size_t lane = 0; lane < 32; ++lane) {
            const uint32_t found = size == 2 ? half(at + lane * 2) : word(32 + at + lane * 4);
            assert_int_equal(found, lane < 16 ? lower : upper);
        }
    for (size_t lane = 0; lane < 16; ++lane)
        assert_int_equal(word(32 + 1856 + lane * 4), 0x4b400000); // 1.5 * 2^23
    for (size_t i = 32 + 2048; i < 4128; ++i)
        assert_int_equal(message[i], 0);
}

int32_t unpacked(int16_t value) {
    return value;
}
template <class T>
T unpacked(T value) {
    return value;
}

template <class T>
void unpacks_c(const GemmOverlay& overlay, bool bf16, size_t in_chunk = 4) { // bands
    using Result = decltype(unpacked(T{}));
    Serial serial;
    for (const size_t m : sizes)
        for (const size_t n : {1, 15, 16, 64, 65, 255, 257, 1500}) {
            const GemmTiling tiling(overlay, m, n, 1);
            const size_t m_groups = groups(m), n_groups = groups(n), ldc = n + m % 3 * 5;
            const std::vector<T> packed =
                Random(static_cast<uint32_t>(m + n)).values<T>(m_groups * n_groups * 256 * 256);
            assert_int_equal(tiling.c_bytes(), packed.size() * sizeof(T));
            const auto untouched = static_cast<Result>(77);
            std::vector<Result> c(m * ldc, untouched), expected(m * ldc, untouched);
            unpack_c(select_kernels(nullptr).unpack, tiling, packed.data(), c.data(), ldc, serial);
            for (size_t row = 0; row < m; ++row)
                for (size_t column = 0; column < n; ++column) {
                    const size_t i = row / 256, j = column / 256;
                    const size_t t = n_groups <= m_groups ? i * n_groups + j : j * m_groups + i;
                    const size_t core = row % 256 / 64, half = core / 2;
                    const size_t place = bf16 ? place_in_c_bf16(row % 64, column % 64)
                                              : place_in_c_s8(row % 64, column % 64);
                    const size_t band_size = 512, band = place / band_size;
                    const size_t block =
                        ((half * m_groups * n_groups + t) * (8 / in_chunk) + band / in_chunk) * 2 +
                        core % 2;
                    const size_t from =
                        ((block * in_chunk + band % in_chunk) * 4 + column % 256 / 64) * band_size +
                        place % band_size;
                    expected[row * ldc + column] = unpacked(packed[from]);
                }
            assert_same(c.data(), expected.data(), c.size() * sizeof(Result), "C", m, n);
        }
}

void a_of_int8(void**) {
    packs_a<int8_t>(gemm_s8_s32);
}
void a_of_bf16(void**) {
    packs_a<uint16_t>(gemm_bf16_f32);
}
void b_of_int8(void**) {
    packs_b<int8_t>(gemm_s8_s32, 0);
    packs_b<int8_t>(gemm_s8_s8, 9);
}
void b_of_bf16(void**) {
    packs_b<uint16_t>(gemm_bf16_f32, 0);
    packs_b<uint16_t>(gemm_bf16_s16, 0, 4);
}
void c_of_int32(void**) {
    unpacks_c<int32_t>(gemm_s8_s32, false);
}
void c_of_int8(void**) {
    unpacks_c<int8_t>(gemm_s8_s8, false);
}
void c_of_f32(void**) {
    unpacks_c<float>(gemm_bf16_f32, true);
}

void c_of_int16(void**) {
    unpacks_c<int16_t>(gemm_s8_s16, false);
    unpacks_c<int16_t>(gemm_bf16_s16, true, 8);
}

void threads_change_nothing(void**) {
    Serial one;
    ThreadPool three(3);
    for (const GemmOverlay* overlay : gemm_overlays) {
        const size_t m = 700, n = 300, k = 130;
        const GemmTiling tiling(*overlay, m, n, k);
        const std::vector<uint16_t> values = Random(1).values<uint16_t>(m * k + n * k);
        std::vector<char> a[2], b[2], c[2];
        const std::vector<char> packed_c = Random(2).values<char>(tiling.c_bytes());
        for (int i = 0; i < 2; ++i) {
            Parallel& threads = i == 0 ? static_cast<Parallel&>(one) : three;
            a[i].resize(tiling.a_bytes());
            b[i].resize(tiling.b_bytes());
            c[i].resize(m * n * 4);
            pack_a(tiling, values.data(), k, a[i].data(), threads);
            pack_b(tiling, values.data(), n, BLayout::k_by_n, 0, b[i].data(), threads);
            unpack_c(select_kernels(nullptr).unpack, tiling, packed_c.data(), c[i].data(), n,
                     threads);
        }
        assert_true(a[0] == a[1] && b[0] == b[1] && c[0] == c[1]);
    }
}

void wrong_arguments(void**) {
    Serial serial;
    char stays[1];
    assert_error(unpack_c_band(select_kernels(nullptr).unpack, gemm_bf16_gelu, stays, stays, 256),
                 NPUENC_E_INTERNAL, "stay on the device");
    const GemmTiling tiling(gemm_s8_s8, 2, 3, 4);
    const GemmTiling wide(gemm_s8_s32, 2, 3, 4);
    char nothing[1];
    assert_error(pack_a(tiling, nothing, 3, nothing, serial), NPUENC_E_INVALID,
                 "gemm_s8_s8: rows of A are 4 elements long but 3 apart");
    assert_error(pack_b(tiling, nothing, 2, BLayout::k_by_n, 0, nothing, serial), NPUENC_E_INVALID,
                 "rows of B are 3 elements long but 2 apart");
    assert_error(pack_b(tiling, nothing, 3, BLayout::n_by_k, 0, nothing, serial), NPUENC_E_INVALID,
                 "rows of B are 4 elements long but 3 apart");
    assert_error(unpack_c(select_kernels(nullptr).unpack, tiling, nothing, nothing, 2, serial),
                 NPUENC_E_INVALID, "rows of C are 3 elements long but 2 apart");
    assert_error(pack_b(tiling, nothing, 3, BLayout::k_by_n, 32, nothing, serial), NPUENC_E_INVALID,
                 "right shift of 32 is above 31");
    assert_error(pack_b(wide, nothing, 3, BLayout::k_by_n, 1, nothing, serial), NPUENC_E_INVALID,
                 "right shift of 1 is above 0");
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_of_int8),
        cmocka_unit_test(a_of_bf16),
        cmocka_unit_test(b_of_int8),
        cmocka_unit_test(b_of_bf16),
        cmocka_unit_test(operands_of_gelu),
        cmocka_unit_test(gelu_tiles_have_the_biases_of_their_strip),
        cmocka_unit_test(gelu_tile_is_what_it_says),
        cmocka_unit_test(c_of_int32),
        cmocka_unit_test(c_of_int8),
        cmocka_unit_test(c_of_int16),
        cmocka_unit_test(c_of_f32),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(wrong_arguments),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
