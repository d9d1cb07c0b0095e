// SPDX-License-Identifier: MIT
// Instruction streams word for word, shim descriptors bit for bit, and what both refuse.
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <new>

#include "npu/gemm_stream.hpp"
#include "npu/instruction_stream.hpp"
#include "npu/shim_descriptor.hpp"
#include "support.hpp"

namespace {

long allocations_left = -1; // negative: no limit

} // namespace

void* operator new(size_t bytes) {
    if (allocations_left == 0)
        throw std::bad_alloc();
    if (allocations_left > 0)
        --allocations_left;
    void* memory = std::malloc(bytes);
    if (!memory)
        throw std::bad_alloc();
    return memory;
}
[[gnu::noinline]] void release(void* memory) {
    std::free(memory);
}
void operator delete(void* memory) noexcept {
    release(memory);
}
void operator delete(void* memory, size_t) noexcept {
    release(memory);
}

using namespace npuenc;

namespace {

void assert_words(std::span<const uint32_t> found, const std::vector<uint32_t>& expected) {
    assert_int_equal(found.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i)
        if (found[i] != expected[i]) {
            print_error("word %zu: 0x%08x, expected 0x%08x\n", i, found[i], expected[i]);
            assert_int_equal(found[i], expected[i]);
        }
}

std::vector<uint32_t> joined(std::initializer_list<std::vector<uint32_t>> operations) {
    std::vector<uint32_t> words;
    for (const std::vector<uint32_t>& operation : operations)
        words.insert(words.end(), operation.begin(), operation.end());
    return words;
}

// The attention of an mlir-aie design for npu1, from published layouts: 12,288 bytes of buffer 0 go
// in; 4,096 bytes come out, into buffer 4, and their token is awaited.
const std::vector<uint32_t> attention_words = joined({
    {0x06030100, 0x00000105, 8, 300},
    {1, 0, 0x0001d000, 48, 0xc00, 0, 0, 0, 0x80000000, 0x02000000, 0, 0x02000000},
    {0x81, 48, 0, 0, 0, 0, 0x0001d004, 0, 0, 0, 0, 0},
    {0, 0, 0x0001d214, 0, 0, 24},
    {1, 0, 0x0001d020, 48, 0x400, 0, 0, 0, 0x80000000, 0x02000000, 0, 0x02000000},
    {0x81, 48, 0, 0, 0, 0, 0x0001d024, 0, 4, 0, 0, 0},
    {3, 0, 0x0001d200, 0, 0xf00, 0x1f00, 28},
    {0, 0, 0x0001d204, 0, 0x80000001, 24},
    {0x80, 16, 0, 0x00010100},
});

void attention_is_300_bytes(void**) {
    const InstructionStream stream = one_to_one_stream(attention_s8_64x64, 1, 0, 4);
    assert_words(stream.words(), attention_words);
    assert_int_equal(stream.bytes(), 300);
    assert_int_equal(stream.operations(), 8);
    assert_int_equal(stream.pushes(), 2);
    assert_int_equal(stream.syncs(), 1);
}

void each_further_input_is_30_words(void**) {
    InstructionStream stream;
    const auto describe = [&](uint32_t descriptor, uint64_t words, uint32_t argument) {
        stream.block_write(shim_descriptor_address(0, descriptor),
                           ShimDescriptor{.length = words}.encode());
        stream.patch(shim_address_word(0, descriptor), argument, 0);
    };
    describe(0, 0xc00, 0);
    stream.write(shim_queue(0, DmaDirection::mm2s, 0), queue_word(0, 1, Token::none));
    describe(1, 0x400, 1);
    stream.write(shim_queue(0, DmaDirection::mm2s, 1), queue_word(1, 1, Token::none));
    describe(2, 0x400, 2);
    stream.mask_write(shim_control(0, DmaDirection::s2mm, 0), token_receiver, token_receiver_mask);
    stream.write(shim_queue(0, DmaDirection::s2mm, 0), queue_word(2, 1, Token::at_end));
    stream.sync(DmaDirection::s2mm, 0, 0, 1);

    std::vector<uint32_t> expected = attention_words;
    expected[2] = 11;
    expected[3] = 420;
    const std::vector<uint32_t> second_input = joined({
        {1, 0, 0x0001d020, 48, 0x400, 0, 0, 0, 0x80000000, 0x02000000, 0, 0x02000000},
        {0x81, 48, 0, 0, 0, 0, 0x0001d024, 0, 1, 0, 0, 0},
        {0, 0, 0x0001d21c, 0, 1, 24},
    });
    expected.insert(expected.begin() + 34, second_input.begin(), second_input.end());
    expected[64 + 2] = 0x0001d040;
    expected[76 + 6] = 0x0001d044;
    expected[76 + 8] = 2;
    expected[95 + 4] = 0x80000002;
    assert_words(stream.words(), expected);
    assert_int_equal(stream.bytes(), 420);
    assert_int_equal(stream.pushes(), 3);
}

void many_problems_are_one_longer_transfer(void**) {
    const InstructionStream stream = one_to_one_stream(matmul_s8_16x16, 1000);
    std::vector<uint32_t> expected = attention_words;
    expected[8] = 1000 * 512 / 4;
    expected[38] = 1000 * 256 / 4;
    expected[54] = 1; // the buffer of the result
    assert_words(stream.words(), expected);

    assert_error(one_to_one_stream(matmul_s8_16x16, 0), NPUENC_E_INVALID,
                 "matmul_s8_16x16: no problems");
    const size_t most = 0x7fffffff / 12288;
    assert_int_equal(one_to_one_stream(attention_s8_64x64, most).words()[8], most * 3072);
    assert_error(one_to_one_stream(attention_s8_64x64, most + 1), NPUENC_E_UNSUPPORTED, "2 GB");
    assert_error(one_to_one_stream(attention_s8_64x64, SIZE_MAX), NPUENC_E_UNSUPPORTED, "2 GB");
    assert_error(one_to_one_stream(attention_s8_64x64, 1, 0, 5), NPUENC_E_INVALID, "buffer 5");
}

void every_operation_is_encoded(void**) {
    InstructionStream stream;
    assert_words(stream.words(), {0x06030100, 0x00000105, 0, 16});
    const std::array<uint32_t, 3> values = {7, 8, 9};
    stream.write(tile_address(1, 2, 0x32000), 1);
    stream.block_write(tile_address(3, 1, 0xa0000), values);
    stream.mask_write(tile_address(4, 5, 0x1f000), 0x30, 0xf0);
    stream.patch(shim_address_word(2, 15), 4, 0x7ffffffc);
    stream.sync(DmaDirection::mm2s, 1, 1, 4);
    const std::vector<uint32_t> expected = joined({
        {0x06030100, 0x00000105, 5, 160},
        {0, 0, 0x02232000, 0, 1, 24},
        {1, 0x0103, 0x061a0000, 28, 7, 8, 9},
        {3, 0, 0x0851f000, 0, 0x30, 0xf0, 28},
        {0x81, 48, 0, 0, 0, 0, 0x0401d1e4, 0, 4, 0, 0x7ffffffc, 0},
        {0x80, 16, 0x00010001, 0x01040100},
    });
    assert_words(stream.words(), expected);
    assert_int_equal(stream.pushes(), 0); // none of these writes was one
    assert_int_equal(stream.syncs(), 1);
}

void pushes_are_writes_of_queues(void**) {
    InstructionStream stream;
    size_t n = 0;
    for (const DmaDirection direction : {DmaDirection::s2mm, DmaDirection::mm2s})
        for (uint32_t channel = 0; channel < 2; ++channel) {
            stream.write(shim_queue(3, direction, channel), 0);
            assert_int_equal(stream.pushes(), ++n);
            stream.write(shim_control(3, direction, channel), 0);
            assert_int_equal(stream.pushes(), n);
        }
    stream.write(tile_address(3, 1, 0x1d204), 0); // in another row
    assert_int_equal(stream.pushes(), n);
    assert_int_equal(shim_queue(0, DmaDirection::s2mm, 0), 0x1d204);
    assert_int_equal(shim_queue(0, DmaDirection::s2mm, 1), 0x1d20c);
    assert_int_equal(shim_queue(0, DmaDirection::mm2s, 0), 0x1d214);
    assert_int_equal(shim_queue(0, DmaDirection::mm2s, 1), 0x1d21c);
}

void wrong_operations_leave_no_trace(void**) {
    InstructionStream stream;
    stream.write(tile_address(0, 0, 0x1d204), 0);
    const std::vector<uint32_t> before(stream.words().begin(), stream.words().end());
    const std::vector<uint32_t> none, two(2), tile(1 << 18);

    assert_error(stream.write(tile_address(5, 0, 0), 0), NPUENC_E_INVALID, "column 5, row 0");
    assert_error(stream.write(tile_address(0, 6, 0), 0), NPUENC_E_INVALID, "column 0, row 6");
    assert_error(stream.write(0x80000000, 0), NPUENC_E_INVALID, "no tile");
    assert_error(stream.write(0x1d202, 0), NPUENC_E_INVALID, "not a multiple of 4");
    assert_error(stream.block_write(0x1d000, none), NPUENC_E_INVALID, "no words");
    assert_error(stream.block_write(0xffffc, two), NPUENC_E_INVALID, "beyond the tile");
    assert_error(stream.block_write(4, tile), NPUENC_E_INVALID, "beyond the tile");
    assert_error(stream.mask_write(0x1d200, 0x10f00, 0x1f00), NPUENC_E_INVALID, "outside the mask");
    assert_error(stream.mask_write(0x1d201, 0, 0), NPUENC_E_INVALID, "not a multiple of 4");
    assert_error(stream.patch(0x1d000, 0, 0), NPUENC_E_INVALID, "not the address word");
    assert_error(stream.patch(0x1d204, 0, 0), NPUENC_E_INVALID, "not the address word");
    assert_error(stream.patch(tile_address(0, 2, 0x1d004), 0, 0), NPUENC_E_INVALID,
                 "not the address word");
    assert_error(stream.patch(0x1d004, 5, 0), NPUENC_E_INVALID, "translates the first 5");
    assert_error(stream.patch(0x1d004, 0, 2), NPUENC_E_INVALID, "not a multiple of 4");
    assert_error(stream.patch(0x1d004, 0, 0x80000000), NPUENC_E_INVALID, "below 2 GB");
    assert_error(stream.patch(0x1d004, 0, uint64_t{1} << 40), NPUENC_E_INVALID, "below 2 GB");
    assert_error(stream.sync(DmaDirection::s2mm, 2, 0, 1), NPUENC_E_INVALID, "channel 2");
    assert_error(stream.sync(DmaDirection::s2mm, 0, 0, 0), NPUENC_E_INVALID, "0 columns");
    assert_error(stream.sync(DmaDirection::s2mm, 0, 0, 6), NPUENC_E_INVALID, "6 columns");
    assert_error(stream.sync(DmaDirection::s2mm, 0, 4, 2), NPUENC_E_INVALID, "from column 4");
    assert_error(stream.sync(DmaDirection::s2mm, 0, UINT32_MAX, 1), NPUENC_E_INVALID, "column");

    assert_words(stream.words(), before);
    assert_int_equal(stream.pushes(), 1);
    assert_int_equal(stream.syncs(), 0);
    stream.block_write(tile_address(0, 2, 0), std::vector<uint32_t>(1 << 18)); // a whole tile fits
}

void descriptors_have_all_their_fields(void**) {
    const ShimDescriptor most{.length = 1023 * 1023 * 7,
                              .inner = {1023, 1 << 20},
                              .middle = {1023, 1 << 20},
                              .outer_step = 1 << 20,
                              .iterations = 64,
                              .iteration_step = 1 << 20,
                              .next = 15};
    assert_words(most.encode(), {1023 * 1023 * 7, 0, 0, 0x3fffffff, 0xbfffffff, 0x020fffff,
                                 0x03ffffff, 0x7e000000});
    // d0 4 x 1, d1 3 x 100, the rest 5000 apart, 6 executions 70000 apart, then descriptor 2.
    const ShimDescriptor some{.length = 4 * 3 * 5,
                              .inner = {4, 1},
                              .middle = {3, 100},
                              .outer_step = 5000,
                              .iterations = 6,
                              .iteration_step = 70000,
                              .next = 2};
    assert_words(some.encode(), {60, 0, 0, 4u << 20, 0x80000000 | 3u << 20 | 99, 0x02000000 | 4999,
                                 5u << 20 | 69999, 2u << 27 | 0x06000000});
    assert_words(ShimDescriptor{.length = UINT32_MAX}.encode(),
                 {UINT32_MAX, 0, 0, 0, 0x80000000, 0x02000000, 0, 0x02000000});
    assert_words(ShimDescriptor{.length = 1, .next = 0}.encode(),
                 {1, 0, 0, 0, 0x80000000, 0x02000000, 0, 0x06000000});
}

void descriptors_refuse_what_does_not_fit(void**) {
    const auto refuses = [](const ShimDescriptor& descriptor, const char* part) {
        assert_error(descriptor.encode(), NPUENC_E_INVALID, part);
    };
    refuses({}, "length of 0 words");
    refuses({.length = uint64_t{1} << 32}, "length of 4294967296 words");
    refuses({.length = 1024, .inner = {1024, 1}}, "inner size 1024");
    refuses({.length = 4, .inner = {4, 0}}, "inner step of 0");
    refuses({.length = 4, .inner = {4, (1 << 20) + 1}}, "inner step of 1048577");
    refuses({.length = 2048, .inner = {2, 1}, .middle = {1024, 2}}, "middle size 1024");
    refuses({.length = 4, .inner = {2, 1}, .middle = {2, 0}}, "middle step of 0");
    refuses({.length = 4, .middle = {2, 2}}, "no inner size");
    refuses({.length = 4, .outer_step = 0}, "outer step of 0");
    refuses({.length = 13, .inner = {4, 1}}, "no multiple of 4 x 0");
    refuses({.length = 16, .inner = {4, 1}, .middle = {3, 4}}, "no multiple of 4 x 3");
    refuses({.length = 4, .iterations = 0}, "0 iterations");
    refuses({.length = 4, .iterations = 65}, "65 iterations");
    refuses({.length = 4, .iterations = 2, .iteration_step = (1 << 20) + 1},
            "iteration step of 1048577");
    refuses({.length = 4, .next = 16}, "next descriptor 16");

    assert_int_equal(queue_word(15, 256, Token::at_end), 0x80ff000f);
    assert_error(queue_word(16, 1, Token::none), NPUENC_E_INVALID, "descriptor 16");
    assert_error(queue_word(0, 0, Token::none), NPUENC_E_INVALID, "0 repeats");
    assert_error(queue_word(0, 257, Token::none), NPUENC_E_INVALID, "257 repeats");
}

// The stream that could not grow is as it was, and grows later.
void survives_lack_of_memory(void**) {
    const std::vector<uint32_t> data(100, 5);
    for (size_t n = 0; n < 20; ++n) {
        InstructionStream stream;
        stream.write(0x1d204, 1);
        for (size_t i = 0; i < n; ++i)
            stream.block_write(tile_address(0, 2, 0), data);
        std::vector<uint32_t> before;
        before.reserve(100000);
        allocations_left = 0;
        bool failed = false;
        while (!failed) {
            before.assign(stream.words().begin(), stream.words().end());
            try {
                stream.block_write(tile_address(0, 2, 0), data);
            } catch (const std::bad_alloc&) {
                failed = true;
            }
        }
        allocations_left = -1;
        assert_words(stream.words(), before);
        assert_int_equal(stream.pushes(), 1);
        stream.write(0x1d20c, 0);
        assert_int_equal(stream.pushes(), 2);
        assert_int_equal(stream.bytes(), stream.words()[3]);
    }

    // A whole product: every allocation in turn.
    bool done = false;
    for (long allowed = 0; !done && allowed < 1000; ++allowed) {
        allocations_left = allowed;
        try {
            const InstructionStream stream = gemm_stream(GemmTiling(gemm_s8_s32, 512, 512, 512));
            done = true;
        } catch (const std::bad_alloc&) {
        }
        allocations_left = -1;
    }
    assert_true(done);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_300_bytes),
        cmocka_unit_test(each_further_input_is_30_words),
        cmocka_unit_test(many_problems_are_one_longer_transfer),
        cmocka_unit_test(every_operation_is_encoded),
        cmocka_unit_test(pushes_are_writes_of_queues),
        cmocka_unit_test(wrong_operations_leave_no_trace),
        cmocka_unit_test(descriptors_have_all_their_fields),
        cmocka_unit_test(descriptors_refuse_what_does_not_fit),
        cmocka_unit_test(survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
