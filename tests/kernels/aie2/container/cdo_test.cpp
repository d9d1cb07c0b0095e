// SPDX-License-Identifier: MIT
// CDO: bytes laid out by hand, round trips, and what is said of each malformation.
#include "kernels/aie2/container/cdo.hpp" // before cmocka, which has a macro fail()
#include "tests/kernels/aie2/container/support.hpp"

using namespace npuenc::aie2;

namespace {

// What the example holds.
const std::vector<CdoCommand> commands{
    CdoCommand::mask_write(0x232000, 1, 0),
    CdoCommand::dma_write(0x21d000, {0x11, 0x22, 0x33}),
    CdoCommand::write(0x21f000, 0x2a),
};

std::vector<uint8_t> cdo() {
    return bytes_of(cdo_words);
}

// The CDO of this file, changed, with its header's checksum made right.
std::vector<uint8_t> changed_cdo(const std::function<void(std::vector<uint32_t>&)>& change) {
    std::vector<uint32_t> words = cdo_words;
    change(words);
    words[4] = checksum(std::span(words).first(4));
    return bytes_of(words);
}

void cdo_as_published(void**) {
    assert_same_bytes(write_cdo(commands), cdo());
    assert_true(parse_cdo(cdo()) == commands);
}

void cdo_long_commands(void**) {
    // 253 words and the address are 255: the number no longer fits beside the opcode.
    for (size_t size : {252, 253, 1000}) {
        const std::vector<CdoCommand> block{
            CdoCommand::dma_write(0x100200000, std::vector<uint32_t>(size, 7))};
        const std::vector<uint8_t> bytes = write_cdo(block);
        const std::vector<uint32_t> words = words_of(bytes);
        if (size + 2 < 255) {
            assert_int_equal(words[8], (size + 2) << 16 | 0x105);
        } else {
            assert_int_equal(words[8], 0x00ff0105);
            assert_int_equal(words[9], size + 2);
        }
        assert_true(parse_cdo(bytes) == block);
    }
    assert_true(parse_cdo(write_cdo({})).empty());
}

void cdo_other_forms(void**) {
    // The 64-bit forms that aie-rt records, and an opcode that means nothing here.
    const std::vector<uint8_t> bytes = changed_cdo([](std::vector<uint32_t>& words) {
        words.resize(5);
        words.insert(words.end(), {0x00040107, 1, 0x232000, 2, 3});
        words.insert(words.end(), {0x00030108, 0, 0x21f000, 4});
        words.insert(words.end(), {0x00020f0e, 5, 6});
        words[3] = 12;
    });
    CdoCommand other;
    other.opcode = 0xf0e;
    other.words = {5, 6};
    const std::vector<CdoCommand> expected{CdoCommand::mask_write(0x100232000, 2, 3),
                                           CdoCommand::write(0x21f000, 4), other};
    assert_true(parse_cdo(bytes) == expected);
    const std::vector<CdoCommand> writable{expected[1], expected[2]};
    assert_true(parse_cdo(write_cdo(writable)) == writable);
    assert_error("CDO: address 0x100232000 of a write has over 32 bits",
                 [&] { write_cdo(expected); });
    assert_error("CDO: a DMA write of no words to 0x4",
                 [] { write_cdo({CdoCommand::dma_write(4, {})}); });
}

void cdo_malformed(void**) {
    const auto assert_malformed = [](const std::string& expected, size_t word, uint32_t value) {
        const std::vector<uint8_t> bytes =
            changed_cdo([&](std::vector<uint32_t>& words) { words[word] = value; });
        assert_error(expected, [&] { parse_cdo(bytes); });
    };
    assert_malformed("CDO: no CDO: it begins with 0x5 0x4f4443", 0, 5);
    assert_malformed("CDO: no CDO: it begins with 0x4 0x58", 1, 0x58);
    assert_malformed("CDO: version 0x150 is not 0x200", 2, 0x150);
    assert_malformed("CDO: its header says 17 words, and there are 16", 3, 17);
    assert_malformed("CDO: command 0x111 at word 10 has bits of 0x1010111 that are reserved", 10,
                     0x01010111);
    assert_malformed("CDO: command 0x103 at word 18 with 3 words passes the end", 18, 0x00030103);
    assert_malformed("CDO: command 0x102 at word 6 has 2 words", 6, 0x00020102);
    assert_malformed("CDO: command 0x103 at word 6 has 3 words", 6, 0x00030103);
    assert_malformed("CDO: command 0x105 at word 10 has 1 words", 10, 0x00010105);
    assert_malformed("CDO: command 0x107 at word 6 has 3 words", 6, 0x00030107);
    assert_malformed("CDO: command 0x108 at word 18 has 2 words", 18, 0x00020108);
    assert_malformed("CDO: command 0x103 at word 18 with 2224128 words passes the end", 18,
                     0x00ff0103);
    // A length in a word of its own that is not there, or that overflows when added.
    const std::vector<uint8_t> cut = changed_cdo([](std::vector<uint32_t>& words) {
        words.resize(19);
        words[3] = 14;
        words[18] = 0x00ff0105;
    });
    assert_error("CDO: command 0x105 at word 18 is cut off before its length",
                 [&] { parse_cdo(cut); });
    const std::vector<uint8_t> overflow = changed_cdo([](std::vector<uint32_t>& words) {
        words[18] = 0x00ff0105;
        words[19] = UINT32_MAX;
    });
    assert_error("CDO: command 0x105 at word 18 with 4294967295 words passes the end",
                 [&] { parse_cdo(overflow); });

    std::vector<uint8_t> bytes = cdo();
    bytes[16] ^= 1;
    assert_error("CDO: the header's checksum is 0xffb0b9a9 and should be 0xffb0b9a8",
                 [&] { parse_cdo(bytes); });
}

// Every length but the whole is one too few or not of whole words.
void cdo_truncated(void**) {
    const std::vector<uint8_t> bytes = cdo();
    for (size_t size = 0; size < bytes.size(); size++) {
        const std::string said = error_of([&] { parse_cdo(Bytes(bytes).first(size)); });
        if (size < 20 || size % 4 != 0) {
            assert_string_equal(said.c_str(), ("CDO: " + std::to_string(size) +
                                               " bytes are not a header of 20 and whole words")
                                                  .c_str());
        } else {
            assert_string_equal(said.c_str(), ("CDO: its header says 16 words, and there are " +
                                               std::to_string(size / 4 - 5))
                                                  .c_str());
        }
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(cdo_as_published), cmocka_unit_test(cdo_long_commands),
        cmocka_unit_test(cdo_other_forms),  cmocka_unit_test(cdo_malformed),
        cmocka_unit_test(cdo_truncated),
    };
    return cmocka_run_group_tests_name("CDO", tests, nullptr, nullptr);
}
