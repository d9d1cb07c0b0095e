// SPDX-License-Identifier: MIT
// Assembler and decoder: every bundle of the vectors, every instruction with its extreme operands,
// every form of 2D and 3D addressing, and what cannot be encoded or decoded.
#include "kernels/aie2/isa/assembler.hpp" // before cmocka, which has a macro fail()
#include "kernels/aie2/isa/decoder.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc::aie2;

namespace {

constexpr int all_instructions = 606; // of llvm-aie's tables; the NOP of one bit is not among them

std::filesystem::path facts; // the directory of the vectors

std::vector<uint8_t> bytes_of(const std::string& hex) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

std::string numbered(const char* name, int n) {
    return std::string(name).append(std::to_string(n));
}

template <class Action>
std::string error_of(Action action) {
    try {
        action();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

void assert_round_trip(const Instruction& instruction) {
    const uint64_t word = encode(instruction);
    const Instruction again = decode(entry_of(instruction).slot, word);
    if (again != instruction)
        fail_msg("%s came back as %s", to_text(instruction).c_str(), to_text(again).c_str());
    assert_true(encode(again) == word);
}

// Before skip(), which leaves by a jump: nothing that has to be destroyed may be alive then.
bool is_there(const char* name) {
    const std::filesystem::path path = facts / name;
    if (std::filesystem::exists(path))
        return true;
    print_message("no %s\n", path.c_str());
    return false;
}

void test_vectors(void**) {
    if (!is_there("vectors/bundles.tsv"))
        skip();
    std::ifstream file(facts / "vectors/bundles.tsv");
    size_t n = 0;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#')
            continue;
        const size_t tab = line.find('\t');
        const size_t second = line.find('\t', tab + 1);
        const std::vector<uint8_t> bytes = bytes_of(line.substr(0, tab));
        const Decoded decoded = decode(bytes);
        assert_string_equal(std::string(decoded.format->name).c_str(),
                            line.substr(tab + 1, second - tab - 1).c_str());
        assert_string_equal(to_text(decoded).c_str(), line.substr(second + 1).c_str());
        if (encode(*decoded.format, decoded.bundle) != bytes)
            fail_msg("other bytes for %s", line.c_str());
        if (bytes.size() == 16) {
            const auto full = encode(decoded.bundle);
            assert_memory_equal(full.data(), bytes.data(), bytes.size());
        }
        ++n;
    }
    assert_true(n >= 1329);
}

int64_t extreme(const OperandEntry& entry, bool largest) {
    const int64_t size = int64_t{1} << entry.width;
    switch (entry.kind) {
    case OperandKind::signed_immediate:
        return (largest ? size / 2 - 1 : -size / 2) * entry.step;
    case OperandKind::negative_immediate:
        return (largest ? -1 : -size) * entry.step;
    default:
        return largest ? size - 1 : 0;
    }
}

// Operands on the bits of an earlier one get the same value, so that a pointer is written where it
// is read; tied counters follow the modifier.
Instruction with_extremes(const InstructionEntry& entry, uint32_t largest) {
    Instruction instruction{std::string(entry.name), {}};
    std::vector<std::pair<uint8_t, Operand>> seen;
    int modifier = 0;
    for (size_t i = 0; i < entry.operands.size(); ++i) {
        const OperandEntry& operand = entry.operands[i];
        const bool high = (largest >> i & 1) != 0;
        if (operand.kind == OperandKind::fixed_register) {
            instruction.operands.emplace_back(std::string(register_name(operand.index)));
        } else if (operand.kind == OperandKind::tied_counter) {
            instruction.operands.emplace_back("");
        } else if (operand.kind == OperandKind::register_class) {
            const auto codes = register_codes_of(operand.index);
            Operand value(
                std::string(register_name((high ? codes.back() : codes.front()).register_index)));
            for (const auto& [lsb, earlier] : seen)
                if (lsb == operand.pieces[0].lsb)
                    value = earlier;
            seen.emplace_back(operand.pieces[0].lsb, value);
            if (register_class_name(operand.index).starts_with("eD") &&
                register_class_name(operand.index) != "eDJ")
                modifier = value.name[1] - '0';
            instruction.operands.push_back(value);
        } else {
            instruction.operands.emplace_back(extreme(operand, high));
        }
    }
    for (size_t i = 0; i < entry.operands.size(); ++i)
        if (entry.operands[i].kind == OperandKind::tied_counter)
            instruction.operands[i].name = numbered("dc", modifier + entry.operands[i].index);
    return instruction;
}

bool is_shared_word(const Instruction& instruction) {
    return instruction.name == "VPACK_D4_D8" &&
           decode(Slot::st, encode(instruction)).name == "VMOV_mv_mcd";
}

void test_every_instruction(void**) {
    int n = 0;
    for (const InstructionEntry& entry : instructions()) {
        ++n;
        for (uint32_t largest = 0; largest < 1u << entry.operands.size(); ++largest) {
            const Instruction instruction = with_extremes(entry, largest);
            if (!is_shared_word(instruction))
                assert_round_trip(instruction);
        }
    }
    assert_int_equal(n, all_instructions);
}

void test_every_register(void**) {
    for (const InstructionEntry& entry : instructions())
        for (size_t i = 0; i < entry.operands.size(); ++i) {
            if (entry.operands[i].kind != OperandKind::register_class)
                continue;
            for (const RegisterCode& code : register_codes_of(entry.operands[i].index)) {
                Instruction instruction = with_extremes(entry, 0);
                const std::string old = instruction.operands[i].name;
                const std::string name(register_name(code.register_index));
                for (size_t j = 0; j < entry.operands.size(); ++j)
                    if (j == i ||
                        (entry.operands[j].kind == OperandKind::register_class &&
                         entry.operands[j].pieces[0].lsb == entry.operands[i].pieces[0].lsb))
                        instruction.operands[j].name = name;
                    else if (entry.operands[j].kind == OperandKind::tied_counter &&
                             name[0] == 'd' && name[1] >= '0' && name[1] <= '7')
                        instruction.operands[j].name =
                            numbered("dc", name[1] - '0' + entry.operands[j].index);
                if (!is_shared_word(instruction))
                    assert_round_trip(instruction);
            }
        }
}

// Where a register has two codes, the one that decoders alone know is not written.
void test_decode_only_codes(void**) {
    const Instruction load{"LDA_dms_lda_idx_imm", {"p5", "p0", 0}};
    constexpr uint64_t field = 127 << 1;
    const uint64_t word = encode(load);
    assert_int_equal(word & field, 93 << 1);
    assert_true(decode(Slot::lda, (word & ~field) | 89 << 1) == load);
}

// All registers and modifiers of the address operations that write counters.
void test_2d_and_3d(void**) {
    int forms = 0;
    for (const InstructionEntry& entry : instructions()) {
        if (entry.name.find("_2D") == std::string_view::npos &&
            entry.name.find("_3D") == std::string_view::npos)
            continue;
        ++forms;
        const bool three = entry.name.find("_3D") != std::string_view::npos;
        for (int pointer = 0; pointer < 8; ++pointer)
            for (int modifier = 0; modifier < (three ? 4 : 8); ++modifier)
                for (uint32_t largest : {0u, ~0u}) {
                    Instruction instruction = with_extremes(entry, largest);
                    for (size_t i = 0; i < entry.operands.size(); ++i) {
                        const OperandEntry& operand = entry.operands[i];
                        std::string& name = instruction.operands[i].name;
                        if (operand.kind == OperandKind::tied_counter)
                            name = numbered("dc", modifier + operand.index);
                        else if (register_class_name(operand.index) == "eP")
                            name = numbered("p", pointer);
                        else if (register_class_name(operand.index) == "eD")
                            name = numbered("d", modifier);
                        else if (register_class_name(operand.index) == "eDS")
                            name = numbered("d", modifier).append("_3d");
                    }
                    assert_round_trip(instruction);
                }
    }
    assert_int_equal(forms, 92);
}

void test_every_format(void**) {
    std::set<std::string> used;
    for (const Format& format : bundle_formats()) {
        Bundle bundle;
        for (const Format::Place& place : format.slots())
            bundle[place.slot] = with_extremes(*instructions_of(place.slot)[3], ~0u);
        const std::vector<uint8_t> bytes = encode(format, bundle);
        assert_int_equal(bundle_size(bytes[0]), format.bytes);
        const Decoded decoded = decode(bytes);
        assert_ptr_equal(decoded.format, &format);
        assert_true(decoded.bundle == bundle);
        used.emplace(format.name);
    }
    assert_int_equal(used.size(), 78);
}

void assert_error(const Instruction& instruction, const char* message) {
    assert_string_equal(error_of([&] { encode(instruction); }).c_str(), message);
}

void test_errors(void**) {
    assert_error({"VMUC", {}}, "no instruction 'VMUC'");
    assert_error({"ADD", {"r0", "r1"}}, "ADD: 2 operands where 3 are wanted");
    assert_error({"ADD", {"r0", "r1", 4}}, "ADD: operand 2 has to be a register");
    assert_error({"ADD_add_r_ri", {"r0", "r1", "r2"}},
                 "ADD_add_r_ri: operand 2 has to be an immediate, not r2");
    assert_error({"ADD", {"r0", "r1", "p2"}}, "ADD: operand 2: p2 is not of class eR");
    assert_error({"ADD_add_r_ri", {"r0", "r1", 64}},
                 "ADD_add_r_ri: immediate 64 is not in -64..63");
    assert_error({"VLDA_dmw_lda_w_ag_idx_imm", {"wl0", "p0", 33}},
                 "VLDA_dmw_lda_w_ag_idx_imm: immediate 33 is not a multiple of 32");
    assert_error({"VLDA_dmw_lda_w_ag_spill", {"wl0", 0}},
                 "VLDA_dmw_lda_w_ag_spill: immediate 0 is not in -131072..-32");
    assert_error(
        {"PADDA_lda_ptr_inc_idx_imm", {"p0", "p1", 4}},
        "PADDA_lda_ptr_inc_idx_imm: operand 1: p1 differs from the operand on the same bits");
    assert_error({"PADDA_3D", {"p0", "dc1", "dc4", "p0", "d1_3d"}},
                 "PADDA_3D: operand 2 has to be dc5, not dc4");
    assert_error({"SELEQZ", {"r0", "r1", "r2", "r3"}}, "SELEQZ: operand 3 has to be r27, not r3");

    Bundle bundle;
    bundle[Slot::lng] = {"MOVXM_lng_cg", {"r0", 1}};
    bundle[Slot::mv] = {"MOV_mv_cg", {"r1", 1}};
    assert_string_equal(error_of([&] { encode(bundle); }).c_str(),
                        "MOVXM_lng_cg: takes the place of alu and mv, which are used");
    bundle = {};
    bundle[Slot::mv] = {"ADD", {"r0", "r1", "r2"}};
    assert_string_equal(error_of([&] { encode(bundle); }).c_str(),
                        "ADD: stands in slot mv but belongs in alu");
    bundle = {};
    bundle[Slot::alu] = {"ADD", {"r0", "r1", "r2"}};
    assert_string_equal(error_of([&] { encode(*find_format("I32_LDA"), bundle); }).c_str(),
                        "ADD: format I32_LDA has no slot alu");
}

void test_unknown_bytes(void**) {
    assert_string_equal(error_of([] { decode(std::span<const uint8_t>{}); }).c_str(),
                        "no bundle in 0 bytes");
    const uint8_t cut[] = {0x00, 0x00};
    assert_string_equal(error_of([&] { decode(cut); }).c_str(), "a bundle of 16 bytes has only 2");
    const uint8_t none[] = {0xd9, 0xff, 0xff, 0xff};
    assert_string_equal(error_of([&] { decode(none); }).c_str(),
                        "no bundle of 4 bytes begins with 0xffffffd9");
    assert_string_equal(error_of([] { decode(Slot::alu, 0x48); }).c_str(),
                        "no instruction of slot alu is 0x48");
}

// Twelve words of the store slot are two instructions by their bits; no other word is.
void test_shared_words(void**) {
    int shared = 0;
    for (uint64_t word = 0; word < uint64_t{1} << slot_width(Slot::st); ++word) {
        const std::string error = error_of([&] { decode(Slot::st, word); });
        if (error.find("is both") != std::string::npos)
            fail_msg("%s", error.c_str());
    }
    for (int w = 0; w < 12; ++w)
        for (const char* half : {"wl", "wh"})
            for (int x = 0; x < 12; ++x)
                shared += is_shared_word({"VPACK_D4_D8", {numbered(half, w), numbered("x", x)}});
    assert_int_equal(shared, 12);
}

} // namespace

// The argument is where the facts are if the environment does not say so.
int main(int argc, char** argv) {
    const char* given = std::getenv("NPUENC_NPU_FACTS");
    facts = given != nullptr ? given : argc > 1 ? argv[1] : "";
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_every_instruction),
        cmocka_unit_test(test_every_register), cmocka_unit_test(test_decode_only_codes),
        cmocka_unit_test(test_2d_and_3d),      cmocka_unit_test(test_every_format),
        cmocka_unit_test(test_errors),         cmocka_unit_test(test_unknown_bytes),
        cmocka_unit_test(test_shared_words),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
