// SPDX-License-Identifier: MIT
// Streams explained: a whole one to the letter, every operation and register by its words, and what
// is said of streams that are damaged.
#include <algorithm>
#include <string>

#include "npu/gemm_stream.hpp"
#include "npu/shim_descriptor.hpp"
#include "npu/stream_text.hpp"
#include "support.hpp"

using namespace npuenc;

namespace {

using Words = std::vector<uint32_t>;

constexpr const char* attention_text =
    R"(     0  06030100  encoding 0.1, generation 3 (npu1), 6 rows
     1  00000105  5 columns, 1 row of memory tiles
     2  00000008  8 operations
     3  0000012c  300 bytes
     4  00000001  0: block write
     5  00000000  column 0, row 0
     6  0001d000  column 0, shim: descriptor 0, word 0
     7  00000030  48 bytes
     8  00000c00  descriptor 0 word 0: length in words 3072
     9  00000000  descriptor 0 word 1: nothing set
    10  00000000  descriptor 0 word 2: nothing set
    11  00000000  descriptor 0 word 3: nothing set
    12  80000000  descriptor 0 word 4: burst code 2
    13  02000000  descriptor 0 word 5: cache code 2
    14  00000000  descriptor 0 word 6: nothing set
    15  02000000  descriptor 0 word 7: valid
    16  00000081  1: patch address
    17  00000030  48 bytes
    18  00000000  -
    19  00000000  -
    20  00000000  -
    21  00000000  action 0
    22  0001d004  column 0, shim: descriptor 0, word 1
    23  00000000  -
    24  00000000  buffer 0
    25  00000000  -
    26  00000000  byte 0
    27  00000000  offset, high part
    28  00000000  2: write
    29  00000000  -
    30  0001d214  column 0, shim: queue of MM2S 0
    31  00000000  -
    32  00000000  descriptor 0, 1 time
    33  00000018  24 bytes
    34  00000001  3: block write
    35  00000000  column 0, row 0
    36  0001d020  column 0, shim: descriptor 1, word 0
    37  00000030  48 bytes
    38  00000400  descriptor 1 word 0: length in words 1024
    39  00000000  descriptor 1 word 1: nothing set
    40  00000000  descriptor 1 word 2: nothing set
    41  00000000  descriptor 1 word 3: nothing set
    42  80000000  descriptor 1 word 4: burst code 2
    43  02000000  descriptor 1 word 5: cache code 2
    44  00000000  descriptor 1 word 6: nothing set
    45  02000000  descriptor 1 word 7: valid
    46  00000081  4: patch address
    47  00000030  48 bytes
    48  00000000  -
    49  00000000  -
    50  00000000  -
    51  00000000  action 0
    52  0001d024  column 0, shim: descriptor 1, word 1
    53  00000000  -
    54  00000004  buffer 4
    55  00000000  -
    56  00000000  byte 0
    57  00000000  offset, high part
    58  00000003  5: mask write
    59  00000000  -
    60  0001d200  column 0, shim: control of S2MM 0
    61  00000000  -
    62  00000f00  tokens to receiver 15, written
    63  00001f00  mask
    64  0000001c  28 bytes
    65  00000000  6: write
    66  00000000  -
    67  0001d204  column 0, shim: queue of S2MM 0
    68  00000000  -
    69  80000001  descriptor 1, 1 time, with token
    70  00000018  24 bytes
    71  00000080  7: wait for tokens
    72  00000010  16 bytes
    73  00000000  S2MM, from column 0, shim on
    74  00010100  channel 0, 1 column, 1 row
)";

void assert_says(const Words& words, const char* part, const char* file, int line) {
    const std::string text = stream_text(words);
    if (text.find(part) == std::string::npos) {
        print_error("\"%s\" is not in:\n%s", part, text.c_str());
        _fail(file, line);
    }
}
#define assert_says(words, part) assert_says(words, part, __FILE__, __LINE__)

// With a header that fits.
Words stream_of(Words operations, uint32_t count = 1) {
    const auto bytes = static_cast<uint32_t>(4 * (operations.size() + 4));
    const Words header = {0x06030100, 0x105, count, bytes};
    operations.insert(operations.begin(), header.begin(), header.end());
    return operations;
}

Words write_of(uint32_t address, uint32_t value) {
    return stream_of({0, 0, address, 0, value, 24});
}

size_t errors_in(const std::string& text) {
    size_t n = 0;
    for (size_t at = text.find("error: "); at != std::string::npos;
         at = text.find("error: ", at + 1))
        ++n;
    return n;
}

void a_whole_stream(void**) {
    const InstructionStream stream = one_to_one_stream(attention_s8_64x64, 1, 0, 4);
    assert_string_equal(stream_text(stream.words()).c_str(), attention_text);
}

void products_are_without_errors(void**) {
    for (const auto& [m, n] : {std::pair{1, 1}, {1500, 512}, {512, 1500}, {2304, 2304}}) {
        const GemmTiling tiling(gemm_s8_s32, static_cast<size_t>(m), static_cast<size_t>(n), 512);
        const std::string text = stream_text(gemm_stream(tiling).words());
        assert_int_equal(errors_in(text), 0);
        const std::string last = std::to_string(tiling.operations() - 1) + ": wait for tokens\n";
        assert_non_null(std::strstr(text.c_str(), last.c_str()));
    }
    const std::string text =
        stream_text(gemm_stream(GemmTiling(gemm_s8_s32, 1500, 512, 512)).words());
    for (const char* part :
         {"descriptor 3 word 6: iterations 6, iteration step 8192\n",
          "descriptor 3 word 7: valid, has next, next 4\n", "descriptor 3, 6 times\n",
          "column 3, shim: queue of MM2S 1\n", "channel 1, 4 columns, 1 row\n"})
        assert_non_null(std::strstr(text.c_str(), part));
}

void every_operation(void**) {
    assert_says(stream_of({3, 0, 0x1d200, 0, 0xf00, 0x1f00, 28}), "0: mask write\n");
    assert_says(stream_of({4, 0, 0x1d200, 0, 0xf00, 0x1f00, 28}), "0: mask poll\n");
    assert_says(stream_of({4, 0, 0x1d200, 0, 0xf00, 0x1f00, 28}), "receiver 15, waited for\n");
    assert_says(stream_of({5}), "0: no operation\n");
    assert_says(stream_of({0x306}), "0: preempt, level 3\n");
    assert_says(stream_of({0x20008, 1000, 0, 0}), "0: load PDI 2\n");
    assert_says(stream_of({0x20008, 1000, 0, 0}), "1000 bytes\n");
    assert_says(stream_of({5, 0xabcd0005}, 2), "1: no operation\n"); // only the low byte counts
    assert_says(stream_of({0x80, 16, 0x020101, 0x03030100}),
                "MM2S, from column 2, memory tile on\n");
    for (const Words& operation : {Words{3, 0, 0x1d200, 0, 0xf00, 0x1f00, 28},
                                   {4, 0, 0x1d200, 0, 1, 1, 28},
                                   {5},
                                   {0x306},
                                   {0x20008, 1000, 0, 0},
                                   {1, 0, 0x06100000, 20, 7},
                                   {0x80, 16, 0x020101, 0x01030100}})
        assert_int_equal(errors_in(stream_text(stream_of(operation))), 0);
}

void registers_have_names(void**) {
    assert_says(write_of(tile_address(0, 0, 0x14030), 2), "column 0, shim: lock 3\n");
    assert_says(write_of(tile_address(0, 0, 0x14030), 2), "value 2\n");
    assert_says(write_of(tile_address(0, 0, 0x1f000), 0), "shim: stream multiplexer\n");
    assert_says(write_of(tile_address(0, 0, 0x3f054), 0x80000003), "shim: switch master 21\n");
    assert_says(write_of(tile_address(0, 0, 0x3f054), 0x80000003), "slave 3\n");
    assert_says(write_of(tile_address(0, 0, 0x3f054), 0xc0000003), "packets, code 3\n");
    assert_says(write_of(tile_address(0, 0, 0x3f058), 0), "shim: register 0x3f058\n");
    assert_says(write_of(tile_address(4, 1, 0x7fffc), 0),
                "column 4, memory tile: data word 131071\n");
    assert_says(write_of(tile_address(1, 1, 0xa05e4), 3 << 20 | 1 << 19 | 0x100),
                "memory tile: descriptor 47, word 1\n");
    assert_says(write_of(tile_address(1, 1, 0xa05e4), 3 << 20 | 1 << 19 | 0x100),
                "address in words 0x100, has next, next 3\n");
    assert_says(write_of(tile_address(1, 1, 0xa062c), 0x80000000), "queue of S2MM 5\n");
    assert_says(write_of(tile_address(1, 1, 0xa0628), 0), "control of S2MM 5\n");
    assert_says(write_of(tile_address(1, 1, 0xa0658), 0), "control of MM2S 5\n");
    assert_says(write_of(tile_address(1, 1, 0xa065c), 47), "queue of MM2S 5\n");
    assert_says(write_of(tile_address(1, 1, 0xc03f0), 1), "lock 63\n");
    assert_says(write_of(tile_address(1, 2, 0x1d034), 0x0206105f | 0x7f << 18),
                "core in row 2: descriptor 1, word 5\n");
    // -2 as 7 bits in both places.
    assert_says(write_of(tile_address(1, 2, 0x1d034),
                         1 << 25 | 126 << 18 | 3 << 13 | 1 << 12 | 126 << 5 | 2),
                "valid, acquires, acquired lock 2, acquired value -2, released lock 3, released "
                "value -2\n");
    assert_says(write_of(tile_address(1, 2, 0x1d038), 0),
                "register 0x1d038\n"); // a core's has 6 words
    assert_says(write_of(tile_address(1, 5, 0x1de1c), 0), "core in row 5: queue of MM2S 1\n");
    assert_says(write_of(tile_address(1, 5, 0x20010), 0), "program word 4\n");
    assert_says(write_of(tile_address(1, 5, 0x32000), 1), "core control\n");
    assert_says(write_of(tile_address(1, 5, 0x32000), 1), "enabled\n");
    assert_says(write_of(tile_address(1, 5, 0x32000), 2), "stopped, in reset\n");
    assert_says(write_of(tile_address(1, 5, 0xff000), 1), "register 0xff000\n");
    // All fields of a shim descriptor.
    InstructionStream stream;
    stream.block_write(0x1d000, Words{1, 0x12345678, 0x7fffffff, 0x7fffffff, 0xffffffff, 0xffffffff,
                                      0xffffffff, 0xffffffff});
    const std::string text = stream_text(stream.words());
    for (const char* part :
         {"address, low part 0x12345678",
          "address, high part 0xffff, packet type 7, packet id 31, out-of-order id 63, packet",
          "d0 size 1023, d0 step 1048576, secure", "d1 size 1023, d1 step 1048576, burst code 3",
          "d2 step 1048576, QoS 15, cache code 15, SMID 15",
          "iterations 64, iteration step 1048576, current iteration 63",
          "valid, has next, next 15, acquires, acquired lock 15, acquired value -1, released lock "
          "15, "
          "released value -1, no TLAST"})
        assert_non_null(std::strstr(text.c_str(), part));
}

void damage_is_reported(void**) {
    assert_says({}, "error: 0 words are too few for a header\n");
    assert_says(Words(3), "error: 3 words are too few for a header\n");
    assert_says((Words{0x06030001, 0x105, 0, 16}), "error: only encoding 0.1 is known\n");
    assert_says((Words{0x06040100, 0x105, 0, 16}), "error: not a stream for npu1");
    assert_says((Words{0x06030100, 0x105, 0, 20}),
                "error: the header announces 20 bytes, there are 16\n");
    assert_says((Words{0x06030100, 0x105, 2, 16}),
                "error: the header announces 2 operations, there are 0\n");
    assert_says(stream_of({5, 5}), "error: 1 words after the last operation\n");
    assert_says(stream_of({7}), "error: operation 0: no operation has the code 0x07\n");
    assert_says(stream_of({0, 0}), "error: operation 0 has 6 words, 2 are left\n");
    assert_says(stream_of({1, 0}), "error: operation 0 has 4 words, 2 are left\n");
    assert_says(stream_of({1, 0, 0, 24, 0}), "error: operation 0 has 6 words, 5 are left\n");
    assert_says(stream_of({1, 0, 0, 0xfffffffc, 0}),
                "error: operation 0 has 1073741823 words, 5 are left\n");
    assert_says(stream_of({1, 0, 0, 12}), "error: operation 0: a block write of 12 bytes\n");
    assert_says(stream_of({1, 0, 0, 18, 0}), "error: operation 0: a block write of 18 bytes\n");
    assert_says(stream_of({1, 0x0100, 0x1d000, 20, 0}),
                "error: operation 0: the address is that of another tile\n");
    assert_says(stream_of({1, 0, 0xffffc, 24, 0, 0}),
                "error: operation 0: the block goes beyond its tile\n");
    assert_says(stream_of({0, 0, 0x1d204, 0, 0, 20}), "error: operation 0 has 24 bytes\n");
    assert_says(stream_of({0, 9, 0x1d204, 0, 0, 24}), "00000009  not used, but not 0\n");
    assert_says(write_of(0x0a000000, 0), "error: operation 0: no register has this address\n");
    assert_says(write_of(0x00600000, 0), "error: operation 0: no register has this address\n");
    assert_says(write_of(0x00000002, 0), "error: operation 0: no register has this address\n");
    assert_says(stream_of({0x80, 16, 2, 0x10100}), "error: operation 0: direction 2\n");
    assert_says(stream_of({0x80, 16, 0x030000, 0x30100}),
                "error: operation 0: there are no such tiles\n");
    assert_says(stream_of({0x80, 16, 0x0600, 0x10100}),
                "error: operation 0: there are no such tiles\n");
    assert_says(stream_of({0x80, 16, 0, 0x100}), "error: operation 0 waits for no tile\n");
    assert_says(stream_of({0x81, 48, 0, 0, 0, 1, 0x1d004, 0, 0, 0, 0, 0}),
                "error: operation 0: action 1\n");
    assert_says(stream_of({0x81, 48, 0, 0, 0, 0, 0x1d000, 0, 0, 0, 0, 0}),
                "error: operation 0: not the address word of a shim descriptor\n");
    assert_says(stream_of({0x81, 48, 0, 0, 0, 0, 0x1d004, 0, 5, 0, 0, 0}),
                "error: operation 0: the firmware does not translate buffer 5\n");
    // Unless the stream says that it knows.
    const Words knows = stream_of({0x81, 48, 0, 0, 0, 0, 0x1d004, 0, 5, 0, 0x80000000, 0});
    assert_int_equal(errors_in(stream_text(knows)), 0);
}

// Memory checkers see to it that nothing is read beyond the end; text stays in proportion.
void hostile_streams_do_no_harm(void**) {
    const InstructionStream whole = gemm_stream(GemmTiling(gemm_s8_s32, 600, 600, 600));
    const Words words(whole.words().begin(), whole.words().end());
    const auto check = [](const Words& stream) {
        assert_true(stream_text(stream).size() <= 200 + 300 * stream.size());
    };
    for (size_t n = 0; n < words.size(); ++n)
        check(Words(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(n)));
    Random random(3);
    for (int i = 0; i < 1000; ++i) {
        Words damaged = words;
        for (int j = 0; j < 3; ++j)
            damaged[random.next() % damaged.size()] = random.next() >> random.next() % 32;
        check(damaged);
    }
    for (int i = 0; i < 1000; ++i) {
        Words noise = stream_of(random.values<uint32_t>(random.next() % 50), UINT32_MAX);
        for (size_t j = 4; j < noise.size(); ++j)
            noise[j] >>= random.next() % 32;
        check(noise);
    }
}

void long_streams_are_cut(void**) {
    Words many = stream_of(Words(3 * stream_text_words, 5), 3 * stream_text_words);
    std::string text = stream_text(many);
    assert_int_equal(std::count(text.begin(), text.end(), '\n'), stream_text_words + 1);
    assert_non_null(std::strstr(text.c_str(), "524292 more words\n"));

    // An operation across the limit, and wrong ones beyond it.
    std::fill(many.begin() + 4, many.end(), 7);
    std::fill_n(many.begin() + 4, stream_text_words - 6, 5);
    const Words across = {0, 0, 0x1d204, 0, 0, 24};
    std::copy(across.begin(), across.end(),
              many.begin() + static_cast<std::ptrdiff_t>(stream_text_words - 2));
    text = stream_text(many);
    assert_int_equal(std::count(text.begin(), text.end(), '\n'), stream_text_words + 1);
    assert_int_equal(errors_in(text), 0);

    Words block(3 * stream_text_words);
    block[0] = 1;
    block[3] = static_cast<uint32_t>(block.size() * 4);
    text = stream_text(stream_of(block));
    assert_true(std::count(text.begin(), text.end(), '\n') <=
                static_cast<std::ptrdiff_t>(stream_text_words) + 2);
    assert_non_null(std::strstr(text.c_str(), "524292 more words\n"));
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_stream),       cmocka_unit_test(products_are_without_errors),
        cmocka_unit_test(every_operation),      cmocka_unit_test(registers_have_names),
        cmocka_unit_test(damage_is_reported),   cmocka_unit_test(hostile_streams_do_no_harm),
        cmocka_unit_test(long_streams_are_cut),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
