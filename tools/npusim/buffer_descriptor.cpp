// SPDX-License-Identifier: MIT
#include "tools/npusim/buffer_descriptor.hpp"

#include <limits>

namespace npusim {
namespace {

constexpr uint32_t field(uint32_t word, uint32_t low, uint32_t width) {
    return word >> low & ((uint64_t{1} << width) - 1);
}

constexpr bool bit(uint32_t word, uint32_t at) {
    return word >> at & 1;
}

constexpr int32_t signed_field(uint32_t word, uint32_t low, uint32_t width) {
    const auto value = static_cast<int32_t>(field(word, low, width));
    return value >= 1 << (width - 1) ? value - (1 << width) : value;
}

// Where a tile's registers hold the iteration: the same three fields, at other bits.
struct IterationFields {
    uint32_t word;
    uint32_t current, wrap, step_width;
};

constexpr IterationFields iteration_fields(TileKind tile) {
    switch (tile) {
    case TileKind::shim:
        return {6, 26, 20, 20};
    case TileKind::memory:
        return {6, 23, 17, 17};
    case TileKind::core:
        break;
    }
    return {4, 19, 13, 13};
}

// Bits 31:0 of the last word are the same in core tiles and shims.
void decode_control(BufferDescriptor& result, uint32_t word) {
    result.suppress_tlast = bit(word, 31);
    result.next = field(word, 27, 4);
    result.chained = bit(word, 26);
    result.valid = bit(word, 25);
    result.release = {.id = field(word, 13, 4), .value = signed_field(word, 18, 7)};
    result.acquire = {
        .enabled = bit(word, 12), .id = field(word, 0, 4), .value = signed_field(word, 5, 7)};
}

void decode_packet(BufferDescriptor& result, uint32_t word) {
    result.packet = bit(word, 30);
    result.packet_id = field(word, 19, 5);
    result.packet_type = field(word, 16, 3);
}

void decode_core(BufferDescriptor& result, std::span<const uint32_t> words) {
    result.length = field(words[0], 0, 14);
    result.address = field(words[0], 14, 14);
    result.compression = bit(words[1], 31);
    decode_packet(result, words[1]);
    result.dimensions[0] = {.wrap = field(words[3], 13, 8), .step = field(words[2], 0, 13) + 1};
    result.dimensions[1] = {.wrap = field(words[3], 21, 8), .step = field(words[2], 13, 13) + 1};
    result.dimensions[2] = {.step = field(words[3], 0, 13) + 1};
    decode_control(result, words[5]);
}

void decode_memory(BufferDescriptor& result, std::span<const uint32_t> words) {
    result.packet = bit(words[0], 31);
    result.packet_type = field(words[0], 28, 3);
    result.packet_id = field(words[0], 23, 5);
    result.length = field(words[0], 0, 17);
    result.next = field(words[1], 20, 6);
    result.chained = bit(words[1], 19);
    result.address = field(words[1], 0, 19);
    result.suppress_tlast = bit(words[2], 31);
    result.compression = bit(words[4], 31);
    result.dimensions[0] = {.wrap = field(words[2], 17, 10),
                            .step = field(words[2], 0, 17) + 1,
                            .zeros_before = field(words[1], 26, 6),
                            .zeros_after = field(words[5], 17, 6)};
    result.dimensions[1] = {.wrap = field(words[3], 17, 10),
                            .step = field(words[3], 0, 17) + 1,
                            .zeros_before = field(words[3], 27, 5),
                            .zeros_after = field(words[5], 23, 5)};
    result.dimensions[2] = {.wrap = field(words[4], 17, 10),
                            .step = field(words[4], 0, 17) + 1,
                            .zeros_before = field(words[4], 27, 4),
                            .zeros_after = field(words[5], 28, 4)};
    result.dimensions[3] = {.step = field(words[5], 0, 17) + 1};
    result.valid = bit(words[7], 31);
    result.release = {.id = field(words[7], 16, 8), .value = signed_field(words[7], 24, 7)};
    result.acquire = {.enabled = bit(words[7], 15),
                      .id = field(words[7], 0, 8),
                      .value = signed_field(words[7], 8, 7)};
}

void decode_shim(BufferDescriptor& result, std::span<const uint32_t> words) {
    result.length = words[0];
    result.address = (uint64_t{field(words[2], 0, 16)} << 32 | words[1]) / 4;
    decode_packet(result, words[2]);
    result.dimensions[0] = {.wrap = field(words[3], 20, 10), .step = field(words[3], 0, 20) + 1};
    result.dimensions[1] = {.wrap = field(words[4], 20, 10), .step = field(words[4], 0, 20) + 1};
    result.dimensions[2] = {.step = field(words[5], 0, 20) + 1};
    decode_control(result, words[7]);
}

} // namespace

BufferDescriptor decode_descriptor(TileKind tile, std::span<const uint32_t> words) {
    BufferDescriptor result;
    switch (tile) {
    case TileKind::shim:
        decode_shim(result, words);
        break;
    case TileKind::memory:
        decode_memory(result, words);
        break;
    case TileKind::core:
        decode_core(result, words);
        break;
    }
    result.release.enabled = result.release.value != 0;
    const IterationFields at = iteration_fields(tile);
    result.iteration = field(words[at.word], at.current, 6);
    result.iterations = field(words[at.word], at.wrap, 6) + 1;
    result.iteration_step = field(words[at.word], 0, at.step_width) + 1;
    return result;
}

void set_iteration(TileKind tile, std::span<uint32_t> words, uint32_t iteration) {
    const IterationFields at = iteration_fields(tile);
    words[at.word] = (words[at.word] & ~(0x3Fu << at.current)) | iteration << at.current;
}

WordOrder::WordOrder(const BufferDescriptor& descriptor)
    : address_(descriptor.address + uint64_t{descriptor.iteration} * descriptor.iteration_step),
      left_(descriptor.length) {
    bool bounded = true; // a dimension without a wrap never ends: those outside it do not move
    for (size_t i = 0; i < counters_.size(); ++i) {
        const BufferDescriptor::Dimension& dimension = descriptor.dimensions[i];
        Counter& counter = counters_[i];
        counter.before = bounded ? dimension.zeros_before : 0;
        counter.step = dimension.step;
        bounded = bounded && dimension.wrap != 0;
        counter.after =
            bounded ? counter.before + dimension.wrap : std::numeric_limits<uint32_t>::max();
        counter.end = bounded ? counter.after + dimension.zeros_after : counter.after;
        zeros_ += pads(counter);
    }
}

void WordOrder::advance() {
    --left_;
    for (Counter& counter : counters_) {
        const bool was_zero = pads(counter);
        if (!was_zero)
            address_ += counter.step;
        if (++counter.at < counter.end) {
            zeros_ += pads(counter) - was_zero;
            return;
        }
        // All words of this dimension went by: back to its start, on in the next one.
        address_ -= counter.step * (counter.after - counter.before);
        counter.at = 0;
        zeros_ += pads(counter) - was_zero;
    }
}

} // namespace npusim
