// SPDX-License-Identifier: MIT
// Names of registers and fields are those of Xilinx/aie-rt's driver/src/global/xaiemlgbl_params.h
// (MIT).
#include "npu/stream_text.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "npu/instruction_stream.hpp"

namespace npuenc {
namespace {

using Stream = InstructionStream;

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
    char text[256];
    std::va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

// Registers

enum class TileKind { shim, memory, core };

TileKind tile_kind(uint32_t row) {
    return row == 0 ? TileKind::shim : row == 1 ? TileKind::memory : TileKind::core;
}

enum class Meaning { plain, descriptor, control, queue, lock, master, core_control };

struct Registers {
    TileKind tile;
    uint32_t base, stride, count; // all in bytes but the count
    const char* name;
    Meaning meaning;
    uint32_t words = 1; // of one of them that mean something
};

constexpr Registers registers[] = {
    {TileKind::shim, 0x14000, 0x10, 16, "lock", Meaning::lock},
    {TileKind::shim, 0x1d000, 0x20, 16, "descriptor", Meaning::descriptor, 8},
    {TileKind::shim, 0x1d200, 8, 2, "control of S2MM", Meaning::control},
    {TileKind::shim, 0x1d204, 8, 2, "queue of S2MM", Meaning::queue},
    {TileKind::shim, 0x1d210, 8, 2, "control of MM2S", Meaning::control},
    {TileKind::shim, 0x1d214, 8, 2, "queue of MM2S", Meaning::queue},
    {TileKind::shim, 0x1f000, 4, 1, "stream multiplexer", Meaning::plain},
    {TileKind::shim, 0x1f004, 4, 1, "stream demultiplexer", Meaning::plain},
    {TileKind::shim, 0x3f000, 4, 22, "switch master", Meaning::master},
    {TileKind::shim, 0x3f100, 4, 23, "switch slave", Meaning::plain},
    {TileKind::shim, 0x3f200, 4, 92, "switch packet slot", Meaning::plain},

    {TileKind::memory, 0, 4, 0x20000, "data word", Meaning::plain},
    {TileKind::memory, 0xa0000, 0x20, 48, "descriptor", Meaning::descriptor, 8},
    {TileKind::memory, 0xa0600, 8, 6, "control of S2MM", Meaning::control},
    {TileKind::memory, 0xa0604, 8, 6, "queue of S2MM", Meaning::queue},
    {TileKind::memory, 0xa0630, 8, 6, "control of MM2S", Meaning::control},
    {TileKind::memory, 0xa0634, 8, 6, "queue of MM2S", Meaning::queue},
    {TileKind::memory, 0xb0000, 4, 17, "switch master", Meaning::master},
    {TileKind::memory, 0xb0100, 4, 18, "switch slave", Meaning::plain},
    {TileKind::memory, 0xb0200, 4, 72, "switch packet slot", Meaning::plain},
    {TileKind::memory, 0xc0000, 0x10, 64, "lock", Meaning::lock},

    {TileKind::core, 0, 4, 0x4000, "data word", Meaning::plain},
    {TileKind::core, 0x1d000, 0x20, 16, "descriptor", Meaning::descriptor, 6},
    {TileKind::core, 0x1de00, 8, 2, "control of S2MM", Meaning::control},
    {TileKind::core, 0x1de04, 8, 2, "queue of S2MM", Meaning::queue},
    {TileKind::core, 0x1de10, 8, 2, "control of MM2S", Meaning::control},
    {TileKind::core, 0x1de14, 8, 2, "queue of MM2S", Meaning::queue},
    {TileKind::core, 0x1f000, 0x10, 16, "lock", Meaning::lock},
    {TileKind::core, 0x20000, 4, 0x1000, "program word", Meaning::plain},
    {TileKind::core, 0x32000, 4, 1, "core control", Meaning::core_control},
    {TileKind::core, 0x3f000, 4, 23, "switch master", Meaning::master},
    {TileKind::core, 0x3f100, 4, 25, "switch slave", Meaning::plain},
    {TileKind::core, 0x3f200, 4, 100, "switch packet slot", Meaning::plain},
};

// A register found by its address; `which` counts those of its kind.
struct Found {
    const Registers* kind = nullptr;
    uint32_t which = 0, word = 0;

    bool is(Meaning meaning) const { return kind && kind->meaning == meaning; }
};

Found find_register(uint32_t address) {
    const uint32_t offset = offset_in_tile(address);
    for (const Registers& kind : registers) {
        if (kind.tile != tile_kind(row_of(address)) || offset < kind.base)
            continue;
        const uint32_t which = (offset - kind.base) / kind.stride;
        const uint32_t word = (offset - kind.base) % kind.stride / 4;
        if (which < kind.count && word < kind.words)
            return {&kind, which, word};
    }
    return {};
}

bool is_in_array(uint32_t address) {
    return column_of(address) < npu1_columns && row_of(address) < npu1_rows && address % 4 == 0;
}

std::string tile_name(uint32_t column, uint32_t row) {
    switch (tile_kind(row)) {
    case TileKind::shim:
        return format("column %u, shim", column);
    case TileKind::memory:
        return format("column %u, memory tile", column);
    case TileKind::core:
        break;
    }
    return format("column %u, core in row %u", column, row);
}

std::string address_name(uint32_t address) {
    const std::string tile = tile_name(column_of(address), row_of(address));
    const Found found = find_register(address);
    if (!found.kind)
        return tile + format(": register 0x%05x", offset_in_tile(address));
    if (found.kind->count == 1)
        return tile + ": " + found.kind->name;
    if (found.kind->words == 1)
        return tile + format(": %s %u", found.kind->name, found.which);
    return tile + format(": %s %u, word %u", found.kind->name, found.which, found.word);
}

// Fields of descriptors

struct Field {
    uint32_t word, bit, width;
    const char* name;
    enum Kind { number, one_less, hexadecimal, signed_number, flag } kind = number;
};

constexpr Field shim_fields[] = {
    {0, 0, 32, "length in words"},
    {1, 0, 32, "address, low part", Field::hexadecimal},
    {2, 0, 16, "address, high part", Field::hexadecimal},
    {2, 16, 3, "packet type"},
    {2, 19, 5, "packet id"},
    {2, 24, 6, "out-of-order id"},
    {2, 30, 1, "packet", Field::flag},
    {3, 20, 10, "d0 size"},
    {3, 0, 20, "d0 step", Field::one_less},
    {3, 30, 1, "secure", Field::flag},
    {4, 20, 10, "d1 size"},
    {4, 0, 20, "d1 step", Field::one_less},
    {4, 30, 2, "burst code"},
    {5, 0, 20, "d2 step", Field::one_less},
    {5, 20, 4, "QoS"},
    {5, 24, 4, "cache code"},
    {5, 28, 4, "SMID"},
    {6, 20, 6, "iterations", Field::one_less},
    {6, 0, 20, "iteration step", Field::one_less},
    {6, 26, 6, "current iteration"},
    {7, 25, 1, "valid", Field::flag},
    {7, 26, 1, "has next", Field::flag},
    {7, 27, 4, "next"},
    {7, 12, 1, "acquires", Field::flag},
    {7, 0, 4, "acquired lock"},
    {7, 5, 7, "acquired value", Field::signed_number},
    {7, 13, 4, "released lock"},
    {7, 18, 7, "released value", Field::signed_number},
    {7, 31, 1, "no TLAST", Field::flag},
};

constexpr Field memory_fields[] = {
    {0, 0, 17, "length in words"},
    {0, 17, 6, "out-of-order id"},
    {0, 23, 5, "packet id"},
    {0, 28, 3, "packet type"},
    {0, 31, 1, "packet", Field::flag},
    {1, 0, 19, "address in words", Field::hexadecimal},
    {1, 19, 1, "has next", Field::flag},
    {1, 20, 6, "next"},
    {1, 26, 6, "d0 zeros before"},
    {2, 17, 10, "d0 size"},
    {2, 0, 17, "d0 step", Field::one_less},
    {2, 31, 1, "no TLAST", Field::flag},
    {3, 17, 10, "d1 size"},
    {3, 0, 17, "d1 step", Field::one_less},
    {3, 27, 5, "d1 zeros before"},
    {4, 17, 10, "d2 size"},
    {4, 0, 17, "d2 step", Field::one_less},
    {4, 27, 4, "d2 zeros before"},
    {4, 31, 1, "compression", Field::flag},
    {5, 0, 17, "d3 step", Field::one_less},
    {5, 17, 4, "d2 zeros after"},
    {5, 21, 5, "d1 zeros after"},
    {5, 26, 6, "d0 zeros after"},
    {6, 17, 6, "iterations", Field::one_less},
    {6, 0, 17, "iteration step", Field::one_less},
    {6, 23, 6, "current iteration"},
    {7, 31, 1, "valid", Field::flag},
    {7, 15, 1, "acquires", Field::flag},
    {7, 0, 8, "acquired lock"},
    {7, 8, 7, "acquired value", Field::signed_number},
    {7, 16, 8, "released lock"},
    {7, 24, 7, "released value", Field::signed_number},
};

constexpr Field core_fields[] = {
    {0, 0, 14, "length in words"},
    {0, 14, 14, "address in words", Field::hexadecimal},
    {1, 16, 3, "packet type"},
    {1, 19, 5, "packet id"},
    {1, 24, 6, "out-of-order id"},
    {1, 30, 1, "packet", Field::flag},
    {1, 31, 1, "compression", Field::flag},
    {2, 0, 13, "d0 step", Field::one_less},
    {2, 13, 13, "d1 step", Field::one_less},
    {3, 13, 8, "d0 size"},
    {3, 21, 8, "d1 size"},
    {3, 0, 13, "d2 step", Field::one_less},
    {4, 13, 6, "iterations", Field::one_less},
    {4, 0, 13, "iteration step", Field::one_less},
    {4, 19, 6, "current iteration"},
    {5, 25, 1, "valid", Field::flag},
    {5, 26, 1, "has next", Field::flag},
    {5, 27, 4, "next"},
    {5, 12, 1, "acquires", Field::flag},
    {5, 0, 4, "acquired lock"},
    {5, 5, 7, "acquired value", Field::signed_number},
    {5, 13, 4, "released lock"},
    {5, 18, 7, "released value", Field::signed_number},
    {5, 31, 1, "no TLAST", Field::flag},
};

std::span<const Field> fields_of(TileKind tile) {
    switch (tile) {
    case TileKind::shim:
        return shim_fields;
    case TileKind::memory:
        return memory_fields;
    case TileKind::core:
        break;
    }
    return core_fields;
}

uint32_t bits(uint32_t value, uint32_t first, uint32_t width) {
    return static_cast<uint32_t>(value >> first & ((uint64_t{1} << width) - 1));
}

std::string field_text(const Field& field, uint32_t raw) {
    switch (field.kind) {
    case Field::number:
        return format("%s %u", field.name, raw);
    case Field::one_less:
        return format("%s %u", field.name, raw + 1);
    case Field::hexadecimal:
        return format("%s 0x%x", field.name, raw);
    case Field::signed_number:
        return format("%s %d", field.name,
                      static_cast<int>(raw) -
                          static_cast<int>(bits(raw, field.width - 1, 1) << field.width));
    case Field::flag:
        break;
    }
    return field.name;
}

// The fields of a word that are not 0, as most of them are.
std::string descriptor_word_text(TileKind tile, uint32_t word, uint32_t value) {
    std::string text;
    for (const Field& field : fields_of(tile)) {
        const uint32_t raw = bits(value, field.bit, field.width);
        if (field.word == word && raw != 0)
            text += (text.empty() ? "" : ", ") + field_text(field, raw);
    }
    return text.empty() ? "nothing set" : text;
}

std::string value_text(uint32_t address, uint32_t value) {
    const Found found = find_register(address);
    if (!found.kind)
        return "value";
    switch (found.kind->meaning) {
    case Meaning::descriptor:
        return descriptor_word_text(found.kind->tile, found.word, value);
    case Meaning::control:
        return format("tokens to receiver %u", bits(value, 8, 8));
    case Meaning::queue: {
        const uint32_t repeats = bits(value, 16, 8) + 1;
        return format("descriptor %u, %u time%s%s", bits(value, 0, 6), repeats,
                      repeats == 1 ? "" : "s", bits(value, 31, 1) ? ", with token" : "");
    }
    case Meaning::lock:
        return format("value %u", bits(value, 0, 6));
    case Meaning::master:
        return bits(value, 31, 1) ? format("%s %u", bits(value, 30, 1) ? "packets, code" : "slave",
                                           bits(value, 0, 7))
                                  : "off";
    case Meaning::core_control:
        return format("%s%s", bits(value, 0, 1) ? "enabled" : "stopped",
                      bits(value, 1, 1) ? ", in reset" : "");
    case Meaning::plain:
        break;
    }
    return "value";
}

// The stream

class Printer {
  public:
    explicit Printer(std::span<const uint32_t> words) : words_(words) {}

    std::string print() {
        if (words_.size() < Stream::header_words) {
            error(format("%zu words are too few for a header", words_.size()));
            return std::move(text_);
        }
        if (!header())
            return std::move(text_);
        while (at_ < words_.size() && at_ < stream_text_words && operations_ < words_[2]) {
            if (!operation())
                return std::move(text_);
            ++operations_;
        }
        if (words_.size() > stream_text_words)
            text_ += format("%zu more words\n", words_.size() - stream_text_words);
        else if (operations_ < words_[2])
            error(
                format("the header announces %u operations, there are %u", words_[2], operations_));
        else if (at_ < words_.size())
            error(format("%zu words after the last operation", words_.size() - at_));
        return std::move(text_);
    }

  private:
    bool header() {
        const uint32_t version = words_[0];
        line(format("encoding %u.%u, generation %u%s, %u rows", bits(version, 0, 8),
                    bits(version, 8, 8), bits(version, 16, 8),
                    bits(version, 16, 8) == 3 ? " (npu1)" : "", bits(version, 24, 8)));
        line(format("%u columns, %u row%s of memory tiles", bits(words_[1], 0, 8),
                    bits(words_[1], 8, 8), bits(words_[1], 8, 8) == 1 ? "" : "s"));
        line(format("%u operations", words_[2]));
        line(format("%u bytes", words_[3]));
        if (bits(version, 0, 16) != bits(Stream::version, 0, 16)) {
            error("only encoding 0.1 is known");
            return false;
        }
        if (version != Stream::version)
            error("not a stream for npu1: names of registers may be wrong");
        if (words_[3] != words_.size_bytes())
            error(format("the header announces %u bytes, there are %zu", words_[3],
                         words_.size_bytes()));
        return true;
    }

    // Returns false where the rest cannot be understood.
    bool operation() {
        const uint32_t opcode = bits(words_[at_], 0, 8);
        switch (opcode) {
        case Stream::op_write:
            return write();
        case Stream::op_block_write:
            return block_write();
        case Stream::op_mask_write:
            return masked("mask write", "written");
        case Stream::op_mask_poll:
            return masked("mask poll", "waited for");
        case Stream::op_noop:
            return begin("no operation", 1);
        case Stream::op_preempt:
            return begin(format("preempt, level %u", bits(words_[at_], 8, 8)).c_str(), 1);
        case Stream::op_load_pdi:
            return load_pdi();
        case Stream::op_sync:
            return sync();
        case Stream::op_patch:
            return patch();
        default:
            line("?");
            error(format("operation %u: no operation has the code 0x%02x", operations_, opcode));
            return false;
        }
    }

    // The first word, once all are known to be there.
    bool begin(const char* name, size_t size) {
        if (words_.size() - at_ < size) {
            line(name);
            error(format("operation %u has %zu words, %zu are left", operations_, size,
                         words_.size() - at_ + 1));
            return false;
        }
        line(format("%u: %s", operations_, name));
        return true;
    }

    bool write() {
        if (!begin("write", 6))
            return false;
        zeros(1);
        const uint32_t address = register_address();
        zeros(1);
        line(value_text(address, words_[at_]));
        size(6);
        return true;
    }

    bool masked(const char* name, const char* value_is) {
        if (!begin(name, 7))
            return false;
        zeros(1);
        const uint32_t address = register_address();
        zeros(1);
        line(value_text(address, words_[at_]) + ", " + value_is);
        line("mask");
        size(7);
        return true;
    }

    bool block_write() {
        constexpr uint32_t head = 4;
        const bool has_head = words_.size() - at_ >= head;
        const uint32_t bytes = has_head ? words_[at_ + 3] : 0;
        if (has_head && (bytes % 4 != 0 || bytes < head * 4)) {
            line("block write");
            error(format("operation %u: a block write of %u bytes", operations_, bytes));
            return false;
        }
        if (!begin("block write", std::max(head, bytes / 4)))
            return false;
        const uint32_t tile = words_[at_];
        line(format("column %u, row %u", bits(tile, 0, 8), bits(tile, 8, 8)));
        const uint32_t address = register_address();
        // Older streams leave the tile at 0.
        if (tile != 0 && tile != (column_of(address) | row_of(address) << 8))
            error(format("operation %u: the address is that of another tile", operations_));
        line(format("%u bytes", bytes));
        const size_t begin_of_data = at_, end = at_ + bytes / 4 - head;
        if (offset_in_tile(address) + (bytes - head * 4) > size_t{1} << row_shift)
            error(format("operation %u: the block goes beyond its tile", operations_));
        while (at_ < std::min(end, stream_text_words)) {
            const uint32_t to = address + static_cast<uint32_t>(4 * (at_ - begin_of_data));
            const Found found = find_register(to);
            if (found.is(Meaning::descriptor))
                line(format("descriptor %u word %u: ", found.which, found.word) +
                     value_text(to, words_[at_]));
            else
                line(value_text(to, words_[at_]));
        }
        at_ = end;
        return true;
    }

    bool load_pdi() {
        if (!begin(format("load PDI %u", words_[at_] >> 16).c_str(), 4))
            return false;
        line(format("%u bytes", words_[at_]));
        line("address, low part");
        line("address, high part");
        return true;
    }

    bool sync() {
        if (!begin("wait for tokens", 4))
            return false;
        size(4);
        const uint32_t who = words_[at_], many = words_[at_ + 1];
        const uint32_t direction = bits(who, 0, 8), channel = bits(many, 24, 8);
        line(format("%s, from %s on",
                    direction == 0   ? "S2MM"
                    : direction == 1 ? "MM2S"
                                     : "no direction",
                    tile_name(bits(who, 16, 8), bits(who, 8, 8)).c_str()));
        line(format("channel %u, %u column%s, %u row%s", channel, bits(many, 16, 8),
                    bits(many, 16, 8) == 1 ? "" : "s", bits(many, 8, 8),
                    bits(many, 8, 8) == 1 ? "" : "s"));
        if (direction > 1)
            error(format("operation %u: direction %u", operations_, direction));
        if (bits(who, 8, 8) >= npu1_rows || bits(who, 16, 8) + bits(many, 16, 8) > npu1_columns)
            error(format("operation %u: there are no such tiles", operations_));
        if (bits(many, 8, 8) == 0 || bits(many, 16, 8) == 0)
            error(format("operation %u waits for no tile", operations_));
        return true;
    }

    bool patch() {
        if (!begin("patch address", 12))
            return false;
        size(12);
        zeros(3);
        if (words_[at_] != 0)
            error(format("operation %u: action %u", operations_, words_[at_]));
        line(format("action %u", words_[at_]));
        const uint32_t address = register_address();
        zeros(1);
        const Found found = find_register(address);
        if (!found.is(Meaning::descriptor) || found.kind->tile != TileKind::shim || found.word != 1)
            error(format("operation %u: not the address word of a shim descriptor", operations_));
        const uint32_t argument = words_[at_];
        line(format("buffer %u", argument));
        zeros(1);
        const uint64_t offset = words_[at_] | uint64_t{words_[at_ + 1]} << 32;
        line(format("byte %llu", static_cast<unsigned long long>(offset)));
        line("offset, high part");
        if (argument >= Stream::max_buffers && offset <= Stream::max_offset)
            error(format("operation %u: the firmware does not translate buffer %u", operations_,
                         argument));
        return true;
    }

    // A word of an operation that is already known to be there.
    uint32_t register_address() {
        const uint32_t address = words_[at_];
        line(address_name(address));
        if (!is_in_array(address))
            error(format("operation %u: no register has this address", operations_));
        return address;
    }

    void size(uint32_t words) {
        const uint32_t bytes = words_[at_];
        line(format("%u bytes", bytes));
        if (bytes != words * 4)
            error(format("operation %u has %u bytes", operations_, words * 4));
    }

    void zeros(size_t n) {
        for (size_t i = 0; i < n; ++i)
            line(words_[at_] == 0 ? "-" : "not used, but not 0");
    }

    void line(const std::string& meaning) {
        if (at_ < stream_text_words)
            text_ += format("%6zu  %08x  ", at_, words_[at_]) + meaning + '\n';
        ++at_;
    }

    void error(const std::string& what) { text_ += "error: " + what + '\n'; }

    std::span<const uint32_t> words_;
    size_t at_ = 0;
    uint32_t operations_ = 0;
    std::string text_;
};

} // namespace

std::string stream_text(std::span<const uint32_t> words) {
    return Printer(words).print();
}

} // namespace npuenc
