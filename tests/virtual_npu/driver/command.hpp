// SPDX-License-Identifier: MIT
// Command packets: what the runtime writes into a command buffer, and what the driver writes back.
#pragma once

#include <xrt/detail/ert.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace virtual_npu {

// One run of one compute unit.
struct Command {
    uint32_t unit;         // index into the context's list of compute units
    uint64_t instructions; // the stream's address on the device
    uint64_t instruction_bytes;
    std::vector<uint64_t> arguments; // addresses of buffers
};

uint32_t opcode_of(std::span<const uint8_t> packet);
void set_state(std::span<uint8_t> packet, ert_cmd_state state);

// An ERT_START_CU packet. Throws std::invalid_argument with what is wrong with it.
Command read_start_cu(std::span<const uint8_t> packet);

// The handles of the command buffers in an ERT_CMD_CHAIN packet; throws likewise.
std::vector<uint32_t> read_chain(std::span<const uint8_t> packet);

// A packet that ended badly: its state, and 0xff over its payload (amdxdna_ctx.c,
// amdxdna_cmd_set_error). Whoever starts it again has to write it again.
void set_failed(std::span<uint8_t> packet, ert_cmd_state state);
// A chain that ended badly at command `index`; the payload that is lost is that of its first.
void set_chain_failed(std::span<uint8_t> chain, std::span<uint8_t> first, ert_cmd_state state,
                      uint32_t index);

} // namespace virtual_npu
