// SPDX-License-Identifier: MIT
#include "command.hpp"

#include <bit>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace virtual_npu {
namespace {

constexpr size_t word = sizeof(uint32_t);
constexpr size_t header_bytes = word;

// aie2_msg_priv.h, struct execute_buffer_req.
constexpr size_t max_payload_words = 19;
// aie2_msg_priv.h, MAX_CHAIN_CMDBUF_SIZE and struct cmd_chain_slot_execbuf_cf, for a chain.
constexpr size_t chain_bytes = 4096;
constexpr size_t chain_slot_header = 8;

// aie2_msg_priv.h, AIE2_EXEC_BUFFER_KERNEL_OP_TXN.
constexpr uint64_t transaction = 3;

ert_packet header_of(std::span<const uint8_t> packet) {
    ert_packet header{};
    if (packet.size() < header_bytes)
        throw std::invalid_argument("a command buffer without a header");
    std::memcpy(&header, packet.data(), header_bytes);
    return header;
}

uint32_t word_at(std::span<const uint8_t> bytes, size_t index) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + index * word, word);
    return value;
}

uint64_t long_at(std::span<const uint8_t> bytes, size_t index) {
    return word_at(bytes, index) | uint64_t(word_at(bytes, index + 1)) << 32;
}

// What follows the header, as long as it says (amdxdna_ctx.c, amdxdna_cmd_get_payload).
std::span<const uint8_t> payload_of(std::span<const uint8_t> packet, size_t masks) {
    const size_t words = header_of(packet).count;
    if (words <= masks || header_bytes + words * word > packet.size())
        throw std::invalid_argument("a command of " + std::to_string(words) + " words");
    return packet.subspan(header_bytes + masks * word, (words - masks) * word);
}

} // namespace

uint32_t opcode_of(std::span<const uint8_t> packet) {
    return header_of(packet).opcode;
}

void set_state(std::span<uint8_t> packet, ert_cmd_state state) {
    // The runtime polls this word while the worker writes it.
    auto* header = reinterpret_cast<uint32_t*>(packet.data());
    const uint32_t rest = __atomic_load_n(header, __ATOMIC_RELAXED) & ~uint32_t(0xf);
    __atomic_store_n(header, rest | static_cast<uint32_t>(state), __ATOMIC_RELEASE);
}

Command read_start_cu(std::span<const uint8_t> packet) {
    if (opcode_of(packet) != ERT_START_CU)
        throw std::invalid_argument("a command with opcode " + std::to_string(opcode_of(packet)));
    ert_start_kernel_cmd start{};
    std::memcpy(&start, packet.data(), header_bytes);
    const size_t masks = 1 + start.extra_cu_masks;
    const std::span<const uint8_t> payload = payload_of(packet, masks);

    Command command{};
    // amdxdna_ctx.c, amdxdna_cmd_get_cu_idx: the first mask that is not zero, and not counted on.
    uint32_t mask = 0;
    for (size_t i = 0; i < masks && mask == 0; ++i)
        mask = word_at(packet, 1 + i);
    if (mask == 0)
        throw std::invalid_argument("a command without a compute unit");
    command.unit = static_cast<uint32_t>(std::countr_zero(mask));

    // aie2_message.c, aie2_init_exec_cu_req.
    const size_t words = payload.size() / word;
    if (words > max_payload_words)
        throw std::invalid_argument("a payload of " + std::to_string(words) + " words, more than " +
                                    std::to_string(max_payload_words));
    // The arguments where the overlay's metadata puts them: what to do, stream and its length.
    if (words < 5)
        throw std::invalid_argument("a payload of " + std::to_string(words) + " words");
    if (long_at(payload, 0) != transaction)
        throw std::invalid_argument("a command that is not a transaction");
    command.instructions = long_at(payload, 2);
    command.instruction_bytes = uint64_t(word_at(payload, 4)) * word;
    for (size_t at = 5; at + 2 <= words; at += 2)
        command.arguments.push_back(long_at(payload, at));
    return command;
}

// aie2_message.c, aie2_cmdlist_multi_execbuf.
std::vector<uint32_t> read_chain(std::span<const uint8_t> packet) {
    const std::span<const uint8_t> payload = payload_of(packet, 0);
    ert_cmd_chain_data chain{};
    constexpr size_t chain_header = offsetof(ert_cmd_chain_data, data);
    if (payload.size() < chain_header)
        throw std::invalid_argument("a chain without a header");
    std::memcpy(&chain, payload.data(), chain_header);
    if (payload.size() < chain_header + chain.command_count * sizeof(uint64_t))
        throw std::invalid_argument("a chain of " + std::to_string(chain.command_count) +
                                    " commands that is too short for them");
    if (chain.command_count * (chain_slot_header + 15 * word) > chain_bytes)
        throw std::invalid_argument("a chain of " + std::to_string(chain.command_count) +
                                    " commands");
    std::vector<uint32_t> handles;
    for (uint32_t i = 0; i < chain.command_count; ++i)
        handles.push_back(
            static_cast<uint32_t>(long_at(payload, chain_header / word + 2 * size_t(i))));
    return handles;
}

void set_failed(std::span<uint8_t> packet, ert_cmd_state state) {
    std::memset(packet.data() + header_bytes, 0xff, packet.size() - header_bytes);
    set_state(packet, state);
}

void set_chain_failed(std::span<uint8_t> chain, std::span<uint8_t> first, ert_cmd_state state,
                      uint32_t index) {
    std::memcpy(chain.data() + header_bytes + offsetof(ert_cmd_chain_data, error_index), &index,
                sizeof index);
    std::memset(first.data() + header_bytes, 0xff, first.size() - header_bytes);
    set_state(chain, state);
}

} // namespace virtual_npu
