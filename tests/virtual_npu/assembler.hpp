// SPDX-License-Identifier: MIT
// Test programs for a simulated core, from text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

// One bundle a line, as the disassembler writes it: "lda:MOVA_lda_cg r1, #5; alu:ADD r1, r2, r3".
// Every bundle takes 16 bytes, slots not named are NOPs. "NAME:" alone on a line names the address
// of the next bundle, "@NAME" stands for it as an immediate; an empty bundle is "nop". Operands
// that an instruction names twice (a pointer that moves) are written twice.
std::vector<uint8_t> assemble(std::string_view program);
