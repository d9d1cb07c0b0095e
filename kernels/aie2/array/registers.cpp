// SPDX-License-Identifier: MIT
#include "kernels/aie2/array/registers.hpp"

#include <array>
#include <string>

#include "kernels/aie2/array/array_error.hpp"

namespace npuenc::aie2 {
namespace {

// A field of a descriptor: which word, its lowest bit, its width.
struct Field {
    int word;
    int bit;
    int width;
};

struct DimensionFields {
    Field step;
    Field count; // width 0: follows from the length
};

struct DescriptorFields {
    uint32_t base;
    int words;
    Field length;
    Field address; // in words, but for shims: bytes / 4 in word 1, the rest in word 2
    std::array<DimensionFields, 4> dimensions;
    DimensionFields iteration;
    Field next, use_next, valid;
    Field acquire_id, acquire_value, acquire_enable, release_id, release_value;
};

constexpr Field none{0, 0, 0};

constexpr DescriptorFields core_fields{
    .base = 0x1D000,
    .words = 6,
    .length = {0, 0, 14},
    .address = {0, 14, 14},
    .dimensions =
        {{{{2, 0, 13}, {3, 13, 8}}, {{2, 13, 13}, {3, 21, 8}}, {{3, 0, 13}, none}, {none, none}}},
    .iteration = {{4, 0, 13}, {4, 13, 6}},
    .next = {5, 27, 4},
    .use_next = {5, 26, 1},
    .valid = {5, 25, 1},
    .acquire_id = {5, 0, 4},
    .acquire_value = {5, 5, 7},
    .acquire_enable = {5, 12, 1},
    .release_id = {5, 13, 4},
    .release_value = {5, 18, 7},
};

constexpr DescriptorFields memory_fields{
    .base = 0xA0000,
    .words = 8,
    .length = {0, 0, 17},
    .address = {1, 0, 19},
    .dimensions = {{{{2, 0, 17}, {2, 17, 10}},
                    {{3, 0, 17}, {3, 17, 10}},
                    {{4, 0, 17}, {4, 17, 10}},
                    {{5, 0, 17}, none}}},
    .iteration = {{6, 0, 17}, {6, 17, 6}},
    .next = {1, 20, 6},
    .use_next = {1, 19, 1},
    .valid = {7, 31, 1},
    .acquire_id = {7, 0, 8},
    .acquire_value = {7, 8, 7},
    .acquire_enable = {7, 15, 1},
    .release_id = {7, 16, 8},
    .release_value = {7, 24, 7},
};

constexpr DescriptorFields shim_fields{
    .base = 0x1D000,
    .words = 8,
    .length = {0, 0, 32},
    .address = {1, 2, 30},
    .dimensions =
        {{{{3, 0, 20}, {3, 20, 10}}, {{4, 0, 20}, {4, 20, 10}}, {{5, 0, 20}, none}, {none, none}}},
    .iteration = {{6, 0, 20}, {6, 20, 6}},
    .next = {7, 27, 4},
    .use_next = {7, 26, 1},
    .valid = {7, 25, 1},
    .acquire_id = {7, 0, 4},
    .acquire_value = {7, 5, 7},
    .acquire_enable = {7, 12, 1},
    .release_id = {7, 13, 4},
    .release_value = {7, 18, 7},
};

// A shim's descriptor says how it uses the bus: bursts of 256 bytes, cacheable.
constexpr Field shim_address_high{2, 0, 16};
constexpr Field shim_burst{4, 30, 2};
constexpr Field shim_cache{5, 24, 4};

// In the addresses and lock numbers of a memory tile's DMA the western neighbour comes first, then
// the tile itself, then the eastern neighbour.
constexpr uint64_t own_memory = 0x80000;
constexpr int own_locks = 64;

const DescriptorFields& fields_of(TileKind tile) {
    switch (tile) {
    case TileKind::shim:
        return shim_fields;
    case TileKind::memory:
        return memory_fields;
    default:
        return core_fields;
    }
}

class Packer {
  public:
    explicit Packer(const DescriptorFields& fields, int id) : words(fields.words), id_(id) {}

    void put(Field field, uint64_t value) {
        if (value >> field.width != 0)
            throw ArrayError("descriptor " + std::to_string(id_) + ": " + std::to_string(value) +
                             " does not fit in " + std::to_string(field.width) + " bits");
        words[field.word] |= static_cast<uint32_t>(value << field.bit);
    }
    void put_signed(Field field, int value) {
        const int half = 1 << (field.width - 1);
        if (value < -half || value >= half)
            throw ArrayError("descriptor " + std::to_string(id_) + ": " + std::to_string(value) +
                             " does not fit in " + std::to_string(field.width) + " bits");
        put(field, static_cast<uint32_t>(value) & ((1u << field.width) - 1));
    }

    std::vector<uint32_t> words;

  private:
    int id_;
};

constexpr uint32_t mask_of(int bit, int width) {
    return ((1u << width) - 1) << bit;
}

uint32_t switch_base(TileKind tile) {
    return tile == TileKind::memory ? 0xB0000 : 0x3F000;
}

} // namespace

uint32_t lock_register(TileKind tile, int lock) {
    const uint32_t base = tile == TileKind::shim     ? 0x14000
                          : tile == TileKind::memory ? 0xC0000
                                                     : 0x1F000;
    return base + 16 * lock;
}

uint32_t descriptor_register(TileKind tile, int id) {
    return fields_of(tile).base + 0x20 * id;
}

std::vector<uint32_t> pack(TileKind tile, const Descriptor& descriptor) {
    const DescriptorFields& fields = fields_of(tile);
    const int first_lock = tile == TileKind::memory ? own_locks : 0;
    Packer packer(fields, descriptor.id);

    packer.put(fields.length, descriptor.words);
    if (tile == TileKind::shim) {
        packer.put(fields.address, (descriptor.address & 0xFFFFFFFF) / 4);
        packer.put(shim_address_high, descriptor.address >> 32);
        packer.put(shim_burst, 2);
        packer.put(shim_cache, 2);
    } else {
        const uint64_t first = tile == TileKind::memory ? own_memory : 0;
        packer.put(fields.address, (first + descriptor.address) / 4);
    }

    if (descriptor.dimensions.size() > static_cast<size_t>(limits_of(tile).dimensions))
        throw ArrayError("descriptor " + std::to_string(descriptor.id) + ": " +
                         std::to_string(descriptor.dimensions.size()) + " dimensions");
    for (size_t i = 0; i < descriptor.dimensions.size(); ++i) {
        const Dimension& dimension = descriptor.dimensions[i];
        packer.put(fields.dimensions[i].step, uint64_t{dimension.step} - 1);
        if (fields.dimensions[i].count.width > 0)
            packer.put(fields.dimensions[i].count, dimension.count);
    }
    if (descriptor.iteration.count > 1) {
        packer.put(fields.iteration.step, uint64_t{descriptor.iteration.step} - 1);
        packer.put(fields.iteration.count, uint64_t{descriptor.iteration.count} - 1);
    }

    if (descriptor.acquire) {
        packer.put(fields.acquire_enable, 1);
        packer.put(fields.acquire_id, first_lock + descriptor.acquire->lock);
        // Negative waits for at least that much; positive would wait for exactly that much.
        packer.put_signed(fields.acquire_value, -descriptor.acquire->value);
    }
    if (descriptor.release) {
        packer.put(fields.release_id, first_lock + descriptor.release->lock);
        packer.put_signed(fields.release_value, descriptor.release->value);
    }
    if (descriptor.next) {
        packer.put(fields.use_next, 1);
        packer.put(fields.next, *descriptor.next);
    }
    packer.put(fields.valid, 1);
    return packer.words;
}

uint32_t channel_control_register(TileKind tile, Direction direction, int channel) {
    const bool out = direction == Direction::out_of_memory;
    switch (tile) {
    case TileKind::shim:
        return (out ? 0x1D210 : 0x1D200) + 8 * channel;
    case TileKind::memory:
        return (out ? 0xA0630 : 0xA0600) + 8 * channel;
    default:
        return (out ? 0x1DE10 : 0x1DE00) + 8 * channel;
    }
}

uint32_t channel_queue_register(TileKind tile, Direction direction, int channel) {
    return channel_control_register(tile, direction, channel) + 4;
}

uint32_t pack_push(int descriptor, int repeats, bool token) {
    if (repeats < 1 || repeats > max_repeats)
        throw ArrayError("a chain cannot be repeated " + std::to_string(repeats) + " times");
    return static_cast<uint32_t>(descriptor) | static_cast<uint32_t>(repeats - 1) << 16 |
           (token ? 1u << 31 : 0);
}

uint32_t master_register(TileKind tile, Port port) {
    return switch_base(tile) + 4 * port_number(tile, PortSide::master, port);
}

uint32_t slave_register(TileKind tile, Port port) {
    return switch_base(tile) + 0x100 + 4 * port_number(tile, PortSide::slave, port);
}

uint32_t slot_register(TileKind tile, Port slave, int slot) {
    return switch_base(tile) + 0x200 + 16 * port_number(tile, PortSide::slave, slave) + 4 * slot;
}

uint32_t pack_circuit(int slave_number) {
    return port_enable | slave_number;
}

uint32_t pack_packet_master(int arbiter, uint32_t selects) {
    return port_enable | port_packets | selects << 3 | arbiter;
}

uint32_t pack_slot(int packet, uint32_t mask, int select, int arbiter) {
    return static_cast<uint32_t>(packet) << 24 | mask << 16 | 1u << 8 | select << 4 | arbiter;
}

Port shim_port(Direction direction, int channel) {
    if (channel < 0 || channel >= limits_of(TileKind::shim).channels)
        throw ArrayError("a shim has no " + name_of(direction, channel));
    if (direction == Direction::out_of_memory)
        return {PortKind::south, channel == 0 ? 3 : 7};
    return {PortKind::south, channel == 0 ? 2 : 3};
}

// Two bits a port; 1 connects it to the DMA. The fields are for the ports 2, 3, 6, 7 of the way in
// and 2 to 5 of the way out.
MaskedWrite shim_mux(Direction direction, int channel) {
    if (direction == Direction::out_of_memory) {
        const int bit = shim_port(direction, channel).index == 3 ? 10 : 14;
        return {0x1F000, mask_of(bit, 2), 1u << bit};
    }
    const int bit = 2 * shim_port(direction, channel).index;
    return {0x1F004, mask_of(bit, 2), 1u << bit};
}

} // namespace npuenc::aie2
