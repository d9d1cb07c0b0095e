// SPDX-License-Identifier: MIT
// How a core of the bf16 GEMM turns a tile of sums into GELU (sum + bias) in bf16, as
// kernels/aie2/gelu_tile.hpp defines it, and sends it as two tiles of A.
#pragma once

#include <vector>

#include "kernels/aie2/gemm_tile.hpp"

namespace npuenc::aie2::gemm {

// Where it works, in the core's own memory: all h of a tile, and a little before and behind them.
constexpr int hidden_address = 0x1800, hidden_bytes = 64 * 64 * 2, beside_hidden = 0x200;

// Registers that keep their values, to be set at the start of the program.
std::vector<Constant> gelu_registers();

// From the place where the passes of a tile part, with the tile of B that ends the strip in the
// buffer that the tile loop has just turned away from; goes on at `top`.
void emit_gelu(Program& program, Program::Label top);

} // namespace npuenc::aie2::gemm
