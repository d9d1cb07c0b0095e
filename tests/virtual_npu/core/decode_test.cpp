// SPDX-License-Identifier: MIT
// The decoder against bundles of AMD's programs and their decoding, and against every instruction
// with 2D and 3D addresses.
#include "facts.hpp"
#include "tests/virtual_npu/assembler.hpp"
#include "tools/npusim/decoder.hpp"

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
}

namespace {

using namespace npusim;

std::filesystem::path facts;

std::vector<uint8_t> bytes_of(const std::string& hex) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

void decodes_the_bundles_of_amd(void**) {
    std::ifstream file(facts / "vectors" / "bundles.tsv");
    std::set<Opcode> seen;
    size_t lines = 0;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with('#'))
            continue;
        std::istringstream columns(line);
        std::string hex, format, expected;
        std::getline(columns, hex, '\t');
        std::getline(columns, format, '\t');
        std::getline(columns, expected);
        DecodedBundle bundle = decode_bundle(bytes_of(hex));
        assert_int_equal(bundle.size, hex.size() / 2);
        assert_string_equal(std::string(bundle.format).c_str(), format.c_str());
        assert_string_equal(text(bundle).c_str(), expected.c_str());
        for (const Instruction& instruction : bundle.instructions)
            seen.insert(instruction.opcode);
        lines++;
    }
    assert_int_equal(lines, 1329);
    assert_int_equal(seen.size(), 175); // 168 and 7 NOPs
}

// Any member of each register class, assembled and decoded again.
void decodes_every_form_of_2d_and_3d(void**) {
    const DecodeTable& table = decode_table();
    size_t forms = 0;
    for (const InstructionInfo& instruction : table.instructions) {
        bool is_2d = instruction.name.find("2D") != std::string_view::npos;
        bool is_3d = instruction.name.find("3D") != std::string_view::npos;
        if (!is_2d && !is_3d)
            continue;
        for (unsigned variant = 0; variant < 4; variant++) {
            std::string line =
                std::string(slot_name(instruction.slot)) + ":" + std::string(instruction.name);
            const char* separator = " ";
            for (unsigned i = 0; i < instruction.operands; i++) {
                const OperandInfo& operand = table.operand_infos[instruction.first_operand + i];
                if (operand.kind != OperandKind::reg)
                    continue;
                const RegisterClass& members = table.register_classes[operand.index];
                std::vector<std::string> names;
                for (unsigned code = 0; code < members.size; code++)
                    if (uint16_t reg = table.register_codes[members.first + code]; reg != 0xffff)
                        names.emplace_back(table.register_names[reg].name);
                line += separator + names[variant % names.size()];
                separator = ", ";
            }
            DecodedBundle bundle = decode_bundle(assemble(line));
            bool found = false;
            for (const Instruction& decoded : bundle.instructions) {
                if (info(decoded.opcode).name != instruction.name)
                    continue;
                found = true;
                assert_string_equal(text(decoded).c_str(), line.c_str());
                unsigned counters = 0;
                for (const Operand& operand : decoded.operands)
                    if (operand.kind == OperandKind::tied_dc ||
                        operand.kind == OperandKind::tied_dc4) {
                        assert_true(operand.unit >= 64 && operand.unit < 72); // dc0 to dc7
                        counters++;
                    }
                assert_int_equal(counters, is_3d ? 2 : 1);
            }
            assert_true(found);
        }
        forms++;
    }
    assert_int_equal(forms, 92);
}

void disassembles(void**) {
    auto lines =
        disassemble(assemble("lda:MOVA_lda_cg r1, #5; alu:ADD r1, r2, r3\nalu:DONE"), 0x40);
    assert_int_equal(lines.size(), 2);
    assert_true(lines[0].starts_with("0x0040 "));
    assert_true(lines[0].find("lda:MOVA_lda_cg r1, #5") != std::string::npos);
    assert_true(lines[1].starts_with("0x0050 "));
    assert_true(lines[1].find("alu:DONE") != std::string::npos);
}

void refuses_what_is_no_bundle(void**) {
    for (const char* hex : {"ff", "0900ffff", "ffffffffffffffffffffffffffffffff"}) {
        bool refused = false;
        try {
            decode_bundle(bytes_of(hex));
        } catch (const std::runtime_error&) {
            refused = true;
        }
        assert_true(refused);
    }
}

} // namespace

int main(int argc, char** argv) {
    facts = facts_or_skip(argc, argv);
    const CMUnitTest tests[] = {
        cmocka_unit_test(decodes_the_bundles_of_amd),
        cmocka_unit_test(decodes_every_form_of_2d_and_3d),
        cmocka_unit_test(disassembles),
        cmocka_unit_test(refuses_what_is_no_bundle),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
