// SPDX-License-Identifier: MIT
// How products are cut: sizes, places, costs, and the limits.
#include <vector>

#include "npu/gemm_stream.hpp"
#include "npu/gemm_tiling.hpp"
#include "support.hpp"

using namespace npuenc;

namespace {

void known_products(void**) {
    const struct {
        const GemmOverlay& overlay;
        size_t m, n, k;
        size_t m_groups, n_groups, k_tiles;
        bool replays_a;
        size_t a_bytes, b_bytes, c_bytes, operations;
    } products[] = {
        {gemm_s8_s32, 512, 512, 512, 2, 2, 8, true, 262144, 264192, 1048576, 50},
        {gemm_s8_s8, 512, 512, 512, 2, 2, 8, true, 262144, 264192, 262144, 50},
        {gemm_s8_s16, 512, 512, 512, 2, 2, 8, true, 262144, 264192, 524288, 50},
        {gemm_bf16_f32, 512, 512, 512, 2, 2, 16, true, 524288, 528384, 1048576, 50},
        {gemm_bf16_s16, 512, 512, 513, 2, 2, 17, true, 557056, 561408, 524288, 50},
        {gemm_s8_s32, 1500, 512, 512, 6, 2, 8, true, 786432, 264192, 3145728, 50},
        {gemm_s8_s32, 1500, 2048, 512, 6, 8, 8, false, 786432, 1056768, 12582912, 66},
        {gemm_s8_s32, 1500, 512, 2048, 6, 2, 32, true, 3145728, 1056768, 3145728, 50},
        {gemm_bf16_f32, 1500, 384, 384, 6, 2, 12, true, 1179648, 396288, 3145728, 50},
        {gemm_bf16_f32, 1500, 1500, 64, 6, 6, 2, true, 196608, 198144, 9437184, 66},
        {gemm_s8_s32, 1, 1, 1, 1, 1, 1, true, 16384, 16512, 262144, 46},
        {gemm_s8_s32, 257, 2304, 65, 2, 9, 2, false, 65536, 297216, 4718592, 50},
    };
    for (const auto& p : products) {
        const GemmTiling tiling(p.overlay, p.m, p.n, p.k);
        assert_int_equal(tiling.m_groups(), p.m_groups);
        assert_int_equal(tiling.n_groups(), p.n_groups);
        assert_int_equal(tiling.k_tiles(), p.k_tiles);
        assert_int_equal(tiling.replays_a(), p.replays_a);
        assert_int_equal(tiling.a_bytes(), p.a_bytes);
        assert_int_equal(tiling.b_bytes(), p.b_bytes);
        assert_int_equal(tiling.c_bytes(), p.c_bytes);
        assert_int_equal(tiling.operations(), p.operations);
        assert_int_equal(tiling.pushes(), 16);

        const GemmCost cost = tiling.cost();
        assert_int_equal(cost.submissions, 1);
        assert_int_equal(cost.synchronisations, 2);
        assert_int_equal(cost.pushes, 16);
        assert_int_equal(cost.operations, p.operations);
        assert_int_equal(cost.bytes_to_device, p.a_bytes + p.b_bytes);
        assert_int_equal(cost.bytes_from_device, p.c_bytes);
    }
}

// The two products of base's MLP, of many rows, and of the widest that a chain takes.
void chained_products(void**) {
    const struct {
        size_t m, n, k;
        GemmTiling::Replayed replayed;
        size_t k_tiles, chain, a_bytes, c_bytes, last_index;
    } products[] = {
        {1500, 2048, 512, GemmTiling::Replayed::b, 17, 6, 1671168, 6291456, 47},
        {1500, 512, 2048, GemmTiling::Replayed::a, 64, 2, 6291456, 3145728, 11},
        {100, 2304, 300, GemmTiling::Replayed::a, 10, 9, 163840, 2359296, 8},
        {2304, 16384, 32480, GemmTiling::Replayed::b, 1016, 9, 149815296, 75497472, 575},
    };
    for (const auto& p : products) {
        const GemmOverlay& overlay =
            p.k_tiles == 64 || p.k_tiles == 10 ? gemm_bf16_f32 : gemm_bf16_gelu;
        const GemmTiling tiling(overlay, p.m, p.n, p.k, p.replayed);
        assert_int_equal(tiling.k_tiles(), p.k_tiles);
        assert_int_equal(tiling.replays_a(), p.replayed == GemmTiling::Replayed::a);
        assert_int_equal(tiling.chain(), p.chain);
        assert_int_equal(tiling.a_bytes(), p.a_bytes);
        assert_int_equal(tiling.c_bytes(), p.c_bytes);
        assert_int_equal(tiling.output_index(tiling.m_groups() - 1, tiling.n_groups() - 1),
                         p.last_index);
        assert_true(gemm_stream(tiling).operations() <= 80);
    }
    const auto refuses = [](const GemmOverlay& overlay, size_t m, size_t n, size_t k,
                            GemmTiling::Replayed replayed, const char* part) {
        assert_error(GemmTiling(overlay, m, n, k, replayed), NPUENC_E_UNSUPPORTED, part);
    };
    refuses(gemm_bf16_gelu, 2305, 1, 1, GemmTiling::Replayed::b, "M = 2305 is above 2304");
    refuses(gemm_bf16_f32, 1, 2305, 1, GemmTiling::Replayed::a, "N = 2305 is above 2304");
    refuses(gemm_bf16_gelu, 1, 16385, 1, GemmTiling::Replayed::b, "N = 16385");
    refuses(gemm_bf16_gelu, 1, 1, 32481, GemmTiling::Replayed::b, "K = 32481 is above 32480");
}

// Tiles of what is the next A, one for each core.
void places_of_the_next_a(void**) {
    const GemmTiling tiling(gemm_bf16_gelu, 600, 300, 70, GemmTiling::Replayed::b);
    std::vector<bool> taken(tiling.c_bytes() / 8192);
    for (size_t column = 0; column < 4; ++column)
        for (size_t row = 0; row < 4; ++row)
            for (size_t i = 0; i < 3; ++i)
                for (size_t j = 0; j < 2; ++j) {
                    const size_t place =
                        tiling.c_offset(row, tiling.output_index(i, j), 0, 0, column);
                    assert_int_equal(place,
                                     ((row / 2 * 6 + j * 3 + i) * 8 + row % 2 * 4 + column) * 8192);
                    assert_false(taken[place / 8192]);
                    taken[place / 8192] = true;
                }
    assert_int_equal(taken.size(), 4 * 4 * 3 * 2);
}

// Every message and chunk has a place of its own, and together they fill the buffers.
void places_fill_the_buffers(void**) {
    for (const GemmOverlay* overlay : gemm_overlays)
        for (const auto& [m, n] : {std::pair{600, 300}, {300, 900}, {1, 1}}) {
            const GemmTiling tiling(*overlay, static_cast<size_t>(m), static_cast<size_t>(n), 150);
            const auto fills = [](const std::vector<size_t>& places, size_t size, size_t bytes) {
                std::vector<bool> taken(bytes / size);
                for (const size_t place : places) {
                    assert_int_equal(place % size, 0);
                    assert_true(place < bytes);
                    assert_false(taken[place / size]);
                    taken[place / size] = true;
                }
                assert_int_equal(places.size() * size, bytes);
            };
            const size_t in_chunk = overlay == &gemm_bf16_s16 ? 8 : 4; // bands
            std::vector<size_t> a, b, c;
            for (size_t core = 0; core < 4; ++core) {
                for (size_t group = 0; group < tiling.m_groups(); ++group)
                    a.push_back(tiling.a_offset(core, group));
                for (size_t group = 0; group < tiling.n_groups(); ++group)
                    b.push_back(tiling.b_offset(core, group));
            }
            for (size_t column = 0; column < 4; ++column)
                for (size_t row = 0; row < 4; ++row)
                    for (size_t i = 0; i < tiling.m_groups(); ++i)
                        for (size_t j = 0; j < tiling.n_groups(); ++j)
                            for (size_t band = 0; band < 8; ++band)
                                c.push_back(tiling.c_offset(row, tiling.output_index(i, j),
                                                            band / in_chunk, band % in_chunk,
                                                            column));
            fills(a, tiling.a_strip(), tiling.a_bytes());
            fills(b, tiling.b_strip(), tiling.b_bytes());
            fills(c, overlay->c_chunk / in_chunk, tiling.c_bytes());
        }
}

void limits(void**) {
    const auto accepts = [](const GemmOverlay& overlay, size_t m, size_t n, size_t k) {
        const GemmTiling tiling(overlay, m, n, k);
        assert_true(tiling.operations() <= 80);
        const InstructionStream stream = gemm_stream(tiling);
        assert_int_equal(stream.operations(), tiling.operations());
        assert_int_equal(stream.pushes(), tiling.pushes());
        assert_int_equal(stream.syncs(), 2);
    };
    const auto refuses = [](const GemmOverlay& overlay, size_t m, size_t n, size_t k,
                            npuenc_status status, const char* part) {
        assert_error(GemmTiling(overlay, m, n, k), status, part);
    };
    accepts(gemm_s8_s32, 16384, 2304, 65024);
    accepts(gemm_s8_s32, 2304, 16384, 65024);
    accepts(gemm_bf16_f32, 16384, 2304, 32512);
    accepts(gemm_bf16_f32, 2304, 16384, 32512);
    accepts(gemm_s8_s8, 2304, 2304, 65024);
    refuses(gemm_s8_s32, 0, 1, 1, NPUENC_E_INVALID, "0 x 1 x 1");
    refuses(gemm_s8_s32, 1, 0, 1, NPUENC_E_INVALID, "1 x 0 x 1");
    refuses(gemm_s8_s8, 1, 1, 0, NPUENC_E_INVALID, "gemm_s8_s8: a product of 1 x 1 x 0");
    refuses(gemm_s8_s32, 16385, 1, 1, NPUENC_E_UNSUPPORTED, "M = 16385 is above 16384");
    refuses(gemm_s8_s32, 1, 16385, 1, NPUENC_E_UNSUPPORTED, "N = 16385 is above 16384");
    refuses(gemm_s8_s32, 2305, 2305, 1, NPUENC_E_UNSUPPORTED, "both above 2304");
    refuses(gemm_s8_s32, 1, 1, 65025, NPUENC_E_UNSUPPORTED, "K = 65025 is above 65024");
    refuses(gemm_bf16_f32, 1, 1, 32513, NPUENC_E_UNSUPPORTED, "K = 32513 is above 32512");
    refuses(gemm_s8_s32, SIZE_MAX, 1, 1, NPUENC_E_UNSUPPORTED, "M = ");
    refuses(gemm_s8_s32, 1, SIZE_MAX, 1, NPUENC_E_UNSUPPORTED, "N = ");
    refuses(gemm_s8_s32, 1, 1, SIZE_MAX, NPUENC_E_UNSUPPORTED, "K = ");
    refuses(gemm_s8_s32, SIZE_MAX, SIZE_MAX, SIZE_MAX, NPUENC_E_UNSUPPORTED, "M = ");
    refuses(gemm_s8_s32, size_t{1} << 33, size_t{1} << 33, 1, NPUENC_E_UNSUPPORTED, "M = ");
}

void unknown_overlays(void**) {
    const auto refuses = [](auto change) {
        GemmOverlay overlay = gemm_s8_s8;
        overlay.name = "other";
        const GemmTiling as_it_is(overlay, 1, 1, 1);
        change(overlay);
        assert_error(GemmTiling(overlay, 1, 1, 1), NPUENC_E_UNSUPPORTED,
                     "other: types or sizes of messages");
    };
    refuses([](GemmOverlay& overlay) { overlay.operand_type = NPUENC_BF16; });
    refuses([](GemmOverlay& overlay) { overlay.result = GemmResult::f32; });
    refuses([](GemmOverlay& overlay) { overlay.result = GemmResult::s32; });
    refuses([](GemmOverlay& overlay) { overlay.k_tile = 0; });
    refuses([](GemmOverlay& overlay) { overlay.k_tile = 32; });
    refuses([](GemmOverlay& overlay) { overlay.a_message = 8192; });
    refuses([](GemmOverlay& overlay) { overlay.b_header = 0; });
    refuses([](GemmOverlay& overlay) { overlay.b_message = 4096; });
    refuses([](GemmOverlay& overlay) { overlay.c_chunk = 4096; });
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(known_products),
        cmocka_unit_test(chained_products),
        cmocka_unit_test(places_of_the_next_a),
        cmocka_unit_test(places_fill_the_buffers),
        cmocka_unit_test(limits),
        cmocka_unit_test(unknown_overlays),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
