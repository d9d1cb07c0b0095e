// SPDX-License-Identifier: MIT
// CDO, the list of register writes that configures an array before its first run.
#include "kernels/aie2/container/cdo.hpp"

#include <array>
#include <string>
#include <utility>

namespace npuenc::aie2 {

namespace {

// Header: words that follow this one in the header, name, version 2.0, words that follow the
// header, checksum.
constexpr size_t header_words = 5;
constexpr uint32_t identification = 0x004f4443; // "CDO\0"
constexpr uint32_t version = 0x200;

enum Opcode : uint16_t {
    op_mask_write = 0x102,
    op_write = 0x103,
    op_dma_write = 0x105,
    op_mask_write64 = 0x107,
    op_write64 = 0x108,
    op_nop = 0x111,
};

// A command's first word: opcode, and from bit 16 the number of words that follow; a number that
// does not fit below 255 stands in a word of its own.
constexpr size_t long_form = 255;

void put_command(std::vector<uint32_t>& cdo, uint16_t opcode, std::span<const uint32_t> payload) {
    if (payload.size() > UINT32_MAX) {
        throw ContainerError("CDO: a command of " + std::to_string(payload.size()) + " words");
    }
    if (payload.size() < long_form) {
        cdo.push_back(static_cast<uint32_t>(payload.size()) << 16 | opcode);
    } else {
        cdo.push_back(static_cast<uint32_t>(long_form) << 16 | opcode);
        cdo.push_back(static_cast<uint32_t>(payload.size()));
    }
    cdo.insert(cdo.end(), payload.begin(), payload.end());
}

uint32_t short_address(uint64_t address) {
    if (address > UINT32_MAX) {
        throw ContainerError("CDO: address " + hexadecimal(address) +
                             " of a write has over 32 bits");
    }
    return static_cast<uint32_t>(address);
}

void put_dma_write(std::vector<uint32_t>& cdo, const CdoCommand& command) {
    if (command.words.empty()) {
        throw ContainerError("CDO: a DMA write of no words to " + hexadecimal(command.address));
    }
    if (size_t padding = -cdo.size() % 4) {
        constexpr std::array<uint32_t, 2> zeros{};
        put_command(cdo, op_nop, std::span(zeros).first(padding - 1));
    }
    std::vector<uint32_t> payload{static_cast<uint32_t>(command.address >> 32),
                                  static_cast<uint32_t>(command.address)};
    payload.insert(payload.end(), command.words.begin(), command.words.end());
    put_command(cdo, op_dma_write, payload);
}

[[noreturn]] void malformed(size_t position, uint16_t opcode, const std::string& what) {
    throw ContainerError("CDO: command " + hexadecimal(opcode) + " at word " +
                         std::to_string(position) + " " + what);
}

// A command from its payload; the number of words decides nothing for an opcode that is not known.
CdoCommand command_of(uint16_t opcode, std::span<const uint32_t> payload, size_t position) {
    auto expect = [&](bool right) {
        if (!right) {
            malformed(position, opcode, "has " + std::to_string(payload.size()) + " words");
        }
    };
    auto long_address = [&] { return static_cast<uint64_t>(payload[0]) << 32 | payload[1]; };
    switch (opcode) {
    case op_write:
        expect(payload.size() == 2);
        return CdoCommand::write(payload[0], payload[1]);
    case op_write64:
        expect(payload.size() == 3);
        return CdoCommand::write(long_address(), payload[2]);
    case op_mask_write:
        expect(payload.size() == 3);
        return CdoCommand::mask_write(payload[0], payload[1], payload[2]);
    case op_mask_write64:
        expect(payload.size() == 4);
        return CdoCommand::mask_write(long_address(), payload[2], payload[3]);
    case op_dma_write:
        expect(payload.size() > 2);
        return CdoCommand::dma_write(long_address(), {payload.begin() + 2, payload.end()});
    default: {
        CdoCommand command;
        command.opcode = opcode;
        command.words.assign(payload.begin(), payload.end());
        return command;
    }
    }
}

void check_header(std::span<const uint32_t> header) {
    if (header[1] != identification || header[0] != header_words - 1) {
        throw ContainerError("CDO: no CDO: it begins with " + hexadecimal(header[0]) + " " +
                             hexadecimal(header[1]));
    }
    if (uint32_t sum = checksum(header.first(4)); header[4] != sum) {
        throw ContainerError("CDO: the header's checksum is " + hexadecimal(header[4]) +
                             " and should be " + hexadecimal(sum));
    }
    if (header[2] != version) {
        throw ContainerError("CDO: version " + hexadecimal(header[2]) + " is not " +
                             hexadecimal(version));
    }
}

} // namespace

CdoCommand CdoCommand::write(uint64_t address, uint32_t value) {
    CdoCommand command;
    command.kind = Kind::write;
    command.address = address;
    command.value = value;
    return command;
}

CdoCommand CdoCommand::mask_write(uint64_t address, uint32_t mask, uint32_t value) {
    CdoCommand command;
    command.kind = Kind::mask_write;
    command.address = address;
    command.mask = mask;
    command.value = value;
    return command;
}

CdoCommand CdoCommand::dma_write(uint64_t address, std::vector<uint32_t> words) {
    CdoCommand command;
    command.kind = Kind::dma_write;
    command.address = address;
    command.words = std::move(words);
    return command;
}

std::vector<uint8_t> write_cdo(const std::vector<CdoCommand>& commands) {
    std::vector<uint32_t> cdo{header_words - 1, identification, version, 0, 0};
    put_command(cdo, op_nop, {});
    for (const CdoCommand& command : commands) {
        switch (command.kind) {
        case CdoCommand::Kind::write:
            put_command(cdo, op_write, std::array{short_address(command.address), command.value});
            break;
        case CdoCommand::Kind::mask_write:
            put_command(cdo, op_mask_write,
                        std::array{short_address(command.address), command.mask, command.value});
            break;
        case CdoCommand::Kind::dma_write:
            put_dma_write(cdo, command);
            break;
        case CdoCommand::Kind::other:
            put_command(cdo, command.opcode, command.words);
            break;
        }
    }
    if (cdo.size() > UINT32_MAX) {
        throw ContainerError("CDO: " + std::to_string(cdo.size()) + " words are too many");
    }
    cdo[3] = static_cast<uint32_t>(cdo.size() - header_words);
    cdo[4] = checksum(std::span(cdo).first(4));
    return bytes_of(cdo);
}

std::vector<CdoCommand> parse_cdo(Bytes bytes) {
    if (bytes.size() < 4 * header_words || bytes.size() % 4 != 0) {
        throw ContainerError("CDO: " + std::to_string(bytes.size()) +
                             " bytes are not a header of 20 and whole words");
    }
    const std::vector<uint32_t> words = words_of(bytes);
    const std::span<const uint32_t> cdo(words);
    check_header(cdo.first(header_words));
    if (cdo[3] != cdo.size() - header_words) {
        throw ContainerError("CDO: its header says " + std::to_string(cdo[3]) +
                             " words, and there are " + std::to_string(cdo.size() - header_words));
    }

    std::vector<CdoCommand> commands;
    for (size_t position = header_words; position < cdo.size();) {
        const uint32_t first = cdo[position];
        const uint16_t opcode = static_cast<uint16_t>(first);
        size_t begin = position + 1, size = first >> 16 & 0xff;
        if (first >> 24 != 0) {
            malformed(position, opcode, "has bits of " + hexadecimal(first) + " that are reserved");
        }
        if (size == long_form) {
            if (begin == cdo.size()) {
                malformed(position, opcode, "is cut off before its length");
            }
            size = cdo[begin++];
        }
        if (size > cdo.size() - begin) {
            malformed(position, opcode, "with " + std::to_string(size) + " words passes the end");
        }
        if (opcode != op_nop) {
            commands.push_back(command_of(opcode, cdo.subspan(begin, size), position));
        }
        position = begin + size;
    }
    return commands;
}

} // namespace npuenc::aie2
