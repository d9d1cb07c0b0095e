// SPDX-License-Identifier: MIT
#include "tools/npusim/instruction_stream.hpp"

#include <cstring>

#include "tools/npusim/device.hpp"
#include "tools/npusim/error.hpp"
#include "tools/npusim/registers.hpp"

namespace npusim {
namespace {

constexpr uint32_t header_bytes = 16;
constexpr uint32_t npu1_generation = 3;

constexpr uint8_t op_write = 0, op_block_write = 1, op_mask_write = 3, op_mask_poll = 4;
constexpr uint8_t op_sync = 0x80, op_patch = 0x81;

const char* other_name(uint8_t opcode) {
    switch (opcode) {
    case 2:
        return "BLOCKSET";
    case 5:
        return "NOOP";
    case 6:
        return "PREEMPT";
    case 7:
        return "MASKPOLL_BUSY";
    case 8:
        return "LOADPDI";
    case 9:
        return "LOAD_PM_START";
    case 0x82:
        return "READ_REGS";
    case 0x83:
        return "RECORD_TIMER";
    case 0x84:
        return "MERGE_SYNC";
    default:
        return nullptr;
    }
}

// The words of one operation.
class Words {
  public:
    Words(std::span<const uint8_t> bytes, uint32_t at) : bytes_(bytes), at_(at) {}

    uint32_t operator[](uint32_t word) const {
        const uint64_t from = at_ + uint64_t{word} * 4;
        if (from + 4 > bytes_.size())
            throw SimulationError("the instruction stream is truncated in the operation at byte " +
                                  std::to_string(at_));
        uint32_t value = 0;
        std::memcpy(&value, bytes_.data() + from, sizeof value);
        return value;
    }

  private:
    std::span<const uint8_t> bytes_;
    uint32_t at_;
};

// Parses one operation and returns its size in bytes.
class Parser {
  public:
    Parser(std::span<const uint8_t> bytes, bool compact) : bytes_(bytes), compact_(compact) {}

    uint32_t parse(uint32_t at, Operation& operation) const {
        const Words words(bytes_, at);
        operation.at = at;
        const auto opcode = static_cast<uint8_t>(words[0]);
        switch (opcode) {
        case op_write:
            operation.kind = Operation::Kind::write;
            return compact_ ? registers(words, operation, 1, 3, false)
                            : registers(words, operation, 2, 6, false);
        case op_mask_write:
        case op_mask_poll:
            operation.kind =
                opcode == op_mask_write ? Operation::Kind::mask_write : Operation::Kind::mask_poll;
            return compact_ ? registers(words, operation, 1, 4, true)
                            : registers(words, operation, 2, 7, true);
        case op_block_write:
            return block(words, operation);
        case op_sync:
            return sync(words, operation);
        case op_patch:
            return patch(words, operation);
        default:
            break;
        }
        const char* name = other_name(opcode);
        fail(at, (name != nullptr ? name : "operation " + hex(opcode)) +
                     std::string(" is not modelled"));
    }

  private:
    [[noreturn]] static void fail(uint32_t at, const std::string& what) {
        throw SimulationError("instruction stream, byte " + std::to_string(at) + ": " + what);
    }

    // Version 0.1 gives 64 bits to an address, and its size to every operation.
    uint32_t registers(const Words& words, Operation& operation, uint32_t address, uint32_t count,
                       bool masked) const {
        operation.address = words[address];
        const uint32_t value = compact_ ? address + 1 : address + 2;
        operation.value = words[value];
        if (masked)
            operation.mask = words[value + 1];
        if (compact_)
            return count * 4;
        high_word(words, operation.at, address + 1);
        // aie-rt pads its masked operations to 8 bytes, mlir-aie does not.
        const uint32_t size = words[count - 1];
        if (!masked || size != (count + 1) * 4)
            check_size(operation.at, size, count * 4);
        return size;
    }

    uint32_t block(const Words& words, Operation& operation) const {
        operation.kind = Operation::Kind::block_write;
        const uint32_t header = compact_ ? 3 : 4;
        operation.address = words[header - 2];
        const uint32_t size = words[header - 1];
        if (size % 4 != 0 || size < header * 4 || size > bytes_.size() - operation.at)
            fail(operation.at, "a BLOCKWRITE of " + std::to_string(size) + " bytes");
        for (uint32_t i = header; i < size / 4; ++i)
            operation.words.push_back(words[i]);
        return size;
    }

    uint32_t sync(const Words& words, Operation& operation) const {
        operation.kind = Operation::Kind::sync;
        check_size(operation.at, words[1], 16);
        operation.direction = words[2] & 0xFF;
        operation.row = words[2] >> 8 & 0xFF;
        operation.column = words[2] >> 16 & 0xFF;
        operation.rows = words[3] >> 8 & 0xFF;
        operation.columns = words[3] >> 16 & 0xFF;
        operation.channel = words[3] >> 24;
        if (operation.direction > 1)
            fail(operation.at, "a TCT of direction " + std::to_string(operation.direction));
        return 16;
    }

    uint32_t patch(const Words& words, Operation& operation) const {
        operation.kind = Operation::Kind::patch;
        if (compact_) {
            check_size(operation.at, words[1], 24);
            operation.address = words[2];
            operation.argument = words[3] & 0xFF;
            operation.plus = uint64_t{words[5]} << 32 | words[4];
            return 24;
        }
        // Words 2, 3 and 5 are not used: AMD's streams have anything in them.
        check_size(operation.at, words[1], 48);
        if (words[4] != 0)
            fail(operation.at, "a DDR_PATCH of action " + std::to_string(words[4]));
        operation.address = words[6];
        high_word(words, operation.at, 7);
        operation.argument = words[8];
        high_word(words, operation.at, 9);
        operation.plus = uint64_t{words[11]} << 32 | words[10];
        return 48;
    }

    static void high_word(const Words& words, uint32_t at, uint32_t word) {
        if (words[word] != 0)
            fail(at, "the upper half of a number is " + hex(words[word]));
    }

    static void check_size(uint32_t at, uint32_t size, uint32_t expected) {
        if (size != expected)
            fail(at, "an operation of " + std::to_string(expected) + " bytes says that it has " +
                         std::to_string(size));
    }

    std::span<const uint8_t> bytes_;
    bool compact_;
};

} // namespace

InstructionStream InstructionStream::parse(std::span<const uint8_t> bytes) {
    if (bytes.size() < header_bytes)
        throw SimulationError("the instruction stream has " + std::to_string(bytes.size()) +
                              " bytes, less than its header");
    const Words header(bytes, 0);
    InstructionStream stream;
    stream.major = header[0] & 0xFF;
    stream.minor = header[0] >> 8 & 0xFF;
    stream.columns = header[1] & 0xFF;
    const bool compact = stream.major == 1 && stream.minor == 0;
    if (!compact && !(stream.major == 0 && stream.minor == 1))
        throw SimulationError("the instruction stream is of version " +
                              std::to_string(stream.major) + '.' + std::to_string(stream.minor) +
                              ", known are 0.1 and 1.0");
    if ((header[0] >> 16 & 0xFF) != npu1_generation || header[0] >> 24 != rows)
        throw SimulationError("the instruction stream is not for npu1: its first word is " +
                              hex(header[0]));
    const uint32_t count = header[2], size = header[3];
    if (size < header_bytes || size > bytes.size())
        throw SimulationError("the instruction stream says that it has " + std::to_string(size) +
                              " bytes, there are " + std::to_string(bytes.size()));
    const Parser parser(bytes.first(size), compact);
    uint32_t at = header_bytes;
    for (uint32_t i = 0; i < count; ++i) {
        Operation operation;
        at += parser.parse(at, operation);
        stream.operations.push_back(std::move(operation));
    }
    if (at != size)
        throw SimulationError("the instruction stream goes on after its " + std::to_string(count) +
                              " operations: at byte " + std::to_string(at) + " of " +
                              std::to_string(size));
    return stream;
}

std::string to_string(const Operation& operation) {
    const Address address = split(operation.address);
    const std::string where = hex(operation.address) + " (" +
                              (address.row < rows ? register_name(address) : "no tile") + ')';
    switch (operation.kind) {
    case Operation::Kind::write:
        return "WRITE      " + where + " = " + hex(operation.value);
    case Operation::Kind::mask_write:
        return "MASKWRITE  " + where + " = " + hex(operation.value) + " of " + hex(operation.mask);
    case Operation::Kind::mask_poll:
        return "MASKPOLL   " + where + " until " + hex(operation.value) + " in " +
               hex(operation.mask);
    case Operation::Kind::block_write: {
        std::string text = "BLOCKWRITE " + where + " =";
        for (const uint32_t word : operation.words)
            text += ' ' + hex(word);
        return text;
    }
    case Operation::Kind::sync:
        return "TCT        " +
               channel_name(static_cast<Direction>(operation.direction), operation.channel) +
               " of columns " + std::to_string(operation.column) + " to " +
               std::to_string(operation.column + operation.columns - 1) + ", rows " +
               std::to_string(operation.row) + " to " +
               std::to_string(operation.row + operation.rows - 1);
    case Operation::Kind::patch:
        return "DDR_PATCH  " + where + " = buffer " + std::to_string(operation.argument) + " + " +
               hex(operation.plus);
    }
    return "?";
}

} // namespace npusim
