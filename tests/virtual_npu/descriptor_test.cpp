// SPDX-License-Identifier: MIT
// Buffer descriptors of all three tiles: the words they name, against loops written from the
// definition.
#include <random>

#include "rig.hpp"

#include "tools/npusim/buffer_descriptor.hpp"

using namespace rig;

namespace {

constexpr int64_t zero = -1; // in an order: a word of padding

npusim::TileKind tile_of(Kind kind) {
    return kind == Kind::shim     ? npusim::TileKind::shim
           : kind == Kind::memory ? npusim::TileKind::memory
                                  : npusim::TileKind::core;
}

// Word addresses as the simulator orders them.
std::vector<int64_t> simulated(Kind kind, const Descriptor& bd, uint32_t iteration = 0) {
    std::vector<uint32_t> words = encode(kind, bd);
    npusim::set_iteration(tile_of(kind), words, iteration);
    npusim::WordOrder order(npusim::decode_descriptor(tile_of(kind), words));
    std::vector<int64_t> result;
    while (order.left() != 0) {
        result.push_back(order.is_zero() ? zero : static_cast<int64_t>(order.address()));
        order.advance();
    }
    return result;
}

// The definition: nested loops, d0 innermost, cut at the length; each bounded dimension is framed
// by its zeros.
std::vector<int64_t> defined(const Descriptor& bd, uint32_t iteration = 0) {
    std::array<Dimension, 4> d{};
    for (size_t i = 0; i < bd.dimensions.size(); ++i)
        d[i] = bd.dimensions[i];
    const auto size = [&](size_t i) {
        return d[i].wrap == 0 ? bd.words : d[i].before + d[i].wrap + d[i].after;
    };
    const auto pads = [&](size_t i, uint32_t at) {
        return at < d[i].before || (d[i].wrap != 0 && at >= d[i].before + d[i].wrap);
    };
    const auto base =
        static_cast<int64_t>(bd.address / 4 + uint64_t{iteration} * bd.iteration_step);
    std::vector<int64_t> result;
    for (uint32_t i3 = 0; i3 < size(3); ++i3)
        for (uint32_t i2 = 0; i2 < size(2); ++i2)
            for (uint32_t i1 = 0; i1 < size(1); ++i1)
                for (uint32_t i0 = 0; i0 < size(0); ++i0) {
                    if (result.size() == bd.words)
                        return result;
                    if (pads(0, i0) || pads(1, i1) || pads(2, i2)) {
                        result.push_back(zero);
                        continue;
                    }
                    const uint32_t at[] = {i0, i1, i2, i3};
                    int64_t address = base;
                    for (size_t i = 0; i < 4; ++i)
                        address += int64_t{at[i] - d[i].before} * d[i].step;
                    result.push_back(address);
                }
    return result;
}

void same(Kind kind, const Descriptor& bd, uint32_t iteration = 0) {
    const std::vector<int64_t> expected = defined(bd, iteration);
    const std::vector<int64_t> got = simulated(kind, bd, iteration);
    assert_int_equal(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i)
        if (got[i] != expected[i])
            fail_msg("word %zu is at %lld, expected %lld", i, static_cast<long long>(got[i]),
                     static_cast<long long>(expected[i]));
}

void linear(void**) {
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core})
        same(kind, {.address = 0x1230, .words = 37});
}

void one_strided_dimension(void**) {
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core})
        same(kind, {.address = 64, .words = 20, .dimensions = {{.step = 3}}});
}

void two_dimensions(void**) {
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core})
        same(kind, {.address = 64, .words = 24, .dimensions = {{.wrap = 4}, {.step = 16}}});
}

void three_dimensions(void**) {
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core})
        same(kind, {.address = 16,
                    .words = 60,
                    .dimensions = {{.wrap = 4, .step = 2}, {.wrap = 3, .step = 50}, {.step = 9}}});
}

void four_dimensions(void**) {
    same(Kind::memory, {.address = 4096,
                        .words = 120,
                        .dimensions = {{.wrap = 2, .step = 5},
                                       {.wrap = 3, .step = 1},
                                       {.wrap = 4, .step = 100},
                                       {.step = 1000}}});
}

void a_length_that_ends_inside_a_row(void**) {
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core})
        same(kind,
             {.words = 13, .dimensions = {{.wrap = 4}, {.wrap = 2, .step = 8}, {.step = 100}}});
}

void steps_go_back_over_the_same_words(void**) {
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core})
        same(kind, {.words = 32, .dimensions = {{.wrap = 8}, {.wrap = 2, .step = 4}, {.step = 1}}});
}

void iterations(void**) {
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core})
        for (uint32_t i = 0; i < 5; ++i)
            same(kind,
                 {.address = 128,
                  .words = 12,
                  .dimensions = {{.wrap = 3}, {.step = 7}},
                  .iterations = 5,
                  .iteration_step = 33},
                 i);
}

void largest_fields(void**) {
    same(Kind::shim,
         {.address = uint64_t{0x1234} << 32,
          .words = 3000,
          .dimensions = {{.wrap = 1023, .step = 1u << 20}, {.step = 1u << 20}},
          .iterations = 64,
          .iteration_step = 1u << 20},
         63);
    same(Kind::memory,
         {.address = 0x17FFFC,
          .words = 3000,
          .dimensions = {{.wrap = 1023, .step = 1u << 17}, {.step = 1u << 17}},
          .iterations = 64,
          .iteration_step = 1u << 17},
         63);
    same(Kind::core,
         {.address = 0xFFFC,
          .words = 3000,
          .dimensions = {{.wrap = 255, .step = 1u << 13},
                         {.wrap = 255, .step = 1u << 13},
                         {.step = 1u << 13}},
          .iterations = 64,
          .iteration_step = 1u << 13},
         63);
}

void zeros_frame_each_dimension(void**) {
    same(Kind::memory,
         {.words = 8 * 5, .dimensions = {{.wrap = 4, .before = 3, .after = 1}, {.step = 4}}});
    same(Kind::memory, {.words = 6 * 7 * 3,
                        .dimensions = {{.wrap = 4, .before = 1, .after = 1},
                                       {.wrap = 4, .step = 4, .before = 2, .after = 1},
                                       {.step = 16}}});
    same(Kind::memory, {.words = 3 * 4 * 5 * 2,
                        .dimensions = {{.wrap = 2, .before = 1},
                                       {.wrap = 2, .step = 10, .before = 1, .after = 1},
                                       {.wrap = 3, .step = 100, .before = 1, .after = 1},
                                       {.step = 1000}}});
    // Zeros before a dimension without an end.
    same(Kind::memory, {.words = 9, .dimensions = {{.before = 5}}});
}

void at_random(void**) {
    std::mt19937 random(1);
    const auto up_to = [&](uint32_t n) { return static_cast<uint32_t>(random() % (n + 1)); };
    for (int i = 0; i < 2000; ++i) {
        const Kind kind = std::array{Kind::shim, Kind::memory, Kind::core}[up_to(2)];
        Descriptor bd{.address = uint64_t{4} * up_to(100), .words = 1 + up_to(300)};
        const uint32_t dimensions = up_to(kind == Kind::memory ? 4 : 3);
        for (uint32_t d = 0; d < dimensions; ++d) {
            Dimension dimension{.step = 1 + up_to(40)};
            const bool outermost = d == (kind == Kind::memory ? 3u : 2u);
            if (!outermost && d + 1 < dimensions)
                dimension.wrap = 1 + up_to(9);
            if (kind == Kind::memory && dimension.wrap != 0 && up_to(1) == 0) {
                dimension.before = up_to(5);
                dimension.after = up_to(5);
            }
            bd.dimensions.push_back(dimension);
        }
        bd.iterations = 1 + up_to(63);
        bd.iteration_step = 1 + up_to(1000);
        same(kind, bd, up_to(bd.iterations - 1));
    }
}

void other_fields(void**) {
    const Descriptor bd{.address = 16,
                        .words = 5,
                        .acquire_id = 9,
                        .acquire = -40,
                        .release_id = 7,
                        .release = 40,
                        .next = 11,
                        .packet = 21,
                        .packet_type = 5,
                        .suppress_tlast = true};
    for (const Kind kind : {Kind::shim, Kind::memory, Kind::core}) {
        const npusim::BufferDescriptor got =
            npusim::decode_descriptor(tile_of(kind), encode(kind, bd));
        assert_true(got.valid);
        assert_true(got.acquire.enabled);
        assert_int_equal(got.acquire.id, 9);
        assert_int_equal(got.acquire.value, -40);
        assert_true(got.release.enabled);
        assert_int_equal(got.release.id, 7);
        assert_int_equal(got.release.value, 40);
        assert_true(got.chained);
        assert_int_equal(got.next, 11);
        assert_true(got.packet);
        assert_int_equal(got.packet_id, 21);
        assert_int_equal(got.packet_type, 5);
        assert_true(got.suppress_tlast);
        assert_false(got.compression);
        const npusim::BufferDescriptor none =
            npusim::decode_descriptor(tile_of(kind), encode(kind, {.words = 1, .valid = false}));
        assert_false(none.valid || none.acquire.enabled || none.release.enabled || none.chained ||
                     none.packet || none.suppress_tlast);
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(linear),
        cmocka_unit_test(one_strided_dimension),
        cmocka_unit_test(two_dimensions),
        cmocka_unit_test(three_dimensions),
        cmocka_unit_test(four_dimensions),
        cmocka_unit_test(a_length_that_ends_inside_a_row),
        cmocka_unit_test(steps_go_back_over_the_same_words),
        cmocka_unit_test(iterations),
        cmocka_unit_test(largest_fields),
        cmocka_unit_test(zeros_frame_each_dimension),
        cmocka_unit_test(at_random),
        cmocka_unit_test(other_fields),
    };
    return cmocka_run_group_tests_name("descriptor", tests, nullptr, nullptr);
}
