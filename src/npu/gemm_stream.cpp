// SPDX-License-Identifier: MIT
#include "npu/gemm_stream.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "error.hpp"
#include "npu/shim_descriptor.hpp"

namespace npuenc {
namespace {

constexpr size_t word = sizeof(uint32_t);

// As aie2::AttentionS8 has it.
constexpr uint32_t first_core_row = 2, attention_parameters_address = 0xC000;

// The descriptors of one column, written in one block, and where each begins.
class ColumnDescriptors {
  public:
    uint32_t next() const { return static_cast<uint32_t>(places_.size()); }

    void add(const ShimDescriptor& descriptor, uint32_t argument, uint64_t offset) {
        const auto encoded = descriptor.encode();
        words_.insert(words_.end(), encoded.begin(), encoded.end());
        places_.push_back({argument, offset});
    }

    void write(InstructionStream& stream, uint32_t column) const {
        stream.block_write(shim_descriptor_address(column, 0), words_);
        for (uint32_t i = 0; i < next(); ++i)
            stream.patch(shim_address_word(column, i), places_[i].argument, places_[i].offset);
    }

  private:
    struct Place {
        uint32_t argument;
        uint64_t offset;
    };
    std::vector<uint32_t> words_;
    std::vector<Place> places_;
};

// One of A and B, as one column streams it.
struct Operand {
    uint32_t argument;
    uint32_t channel; // memory to stream
    uint64_t offset;  // of the column's part
    size_t strip, groups;
    // A strip is in pieces where those of another row of cores lie between two.
    ShimDescriptor::Dimension inner = {}, middle = {};
    uint32_t piece_step = 1; // in words
    size_t strip_step = strip;
};

// Sizes of dimensions of whose product a contiguous piece is, which is too long for one.
constexpr uint32_t inner_words = 512;
constexpr ShimDescriptor::Dimension contiguous(size_t bytes) {
    return {.size = static_cast<uint32_t>(bytes / word / inner_words), .step = inner_words};
}

// A as the results of the product before have left it: of a core row those of a group of columns
// are in one piece, one core's after another's.
Operand a_of_results(const GemmTiling& before, uint32_t core_row) {
    const size_t piece = before.c_block();
    const auto step = [&](size_t m_group, size_t n_group) {
        return before.c_offset(0, before.output_index(m_group, n_group), 0, 0, 0);
    };
    return {.argument = gemm_a_argument,
            .channel = 0,
            .offset = before.c_offset(core_row, 0, 0, 0, 0),
            .strip = before.n_groups() * piece,
            .groups = before.m_groups(),
            .inner = {.size = inner_words},
            .middle = contiguous(piece),
            .piece_step = static_cast<uint32_t>(step(0, 1) / word),
            .strip_step = step(1, 0)};
}

void push(InstructionStream& stream, uint32_t column, DmaDirection direction, uint32_t channel,
          uint32_t descriptor, size_t repeats, Token token) {
    stream.write(shim_queue(column, direction, channel),
                 queue_word(descriptor, static_cast<uint32_t>(repeats), token));
}

// Where the tiles of C from one half of a column go: each, or each band of it, beside those of the
// other columns.
ShimDescriptor descriptor_of_c(const GemmTiling& tiling) {
    const auto band = static_cast<uint32_t>(tiling.c_band() / word);
    const auto of_all_columns = static_cast<uint32_t>(array_cores) * band;
    ShimDescriptor descriptor{.length = tiling.c_half() / array_cores / word};
    if (band <= ShimDescriptor::max_size) {
        descriptor.inner.size = band;
        descriptor.middle.step = of_all_columns;
    } else {
        descriptor.inner.size = inner_words;
        descriptor.middle = contiguous(tiling.c_band());
        descriptor.outer_step = of_all_columns;
    }
    return descriptor;
}

void add_column(InstructionStream& stream, const GemmTiling& tiling, const GemmTiling* before,
                uint32_t column) {
    const Operand a = before ? a_of_results(*before, column)
                             : Operand{gemm_a_argument, 0, tiling.a_offset(column, 0),
                                       tiling.a_strip(), tiling.m_groups()};
    const Operand b{gemm_b_argument, 1, tiling.b_offset(column, 0), tiling.b_strip(),
                    tiling.n_groups()};
    const Operand& replayed = tiling.replays_a() ? a : b;
    const Operand& whole = tiling.replays_a() ? b : a;

    ColumnDescriptors descriptors;
    for (size_t half = 0; half < 2; ++half)
        descriptors.add(descriptor_of_c(tiling), gemm_c_argument,
                        tiling.c_offset(2 * half, 0, 0, 0, column));

    const uint32_t of_whole = descriptors.next();
    descriptors.add({.length = whole.groups * whole.strip / word}, whole.argument, whole.offset);

    // Every descriptor of the chain reads the same strip, and the next one the next time round.
    const uint32_t of_replayed = descriptors.next();
    for (size_t i = 0; i < tiling.chain(); ++i) {
        ShimDescriptor descriptor{.length = replayed.strip / word,
                                  .inner = replayed.inner,
                                  .middle = replayed.middle,
                                  .outer_step = replayed.piece_step};
        if (replayed.groups > 1) {
            descriptor.iterations = static_cast<uint32_t>(replayed.groups);
            descriptor.iteration_step = static_cast<uint32_t>(replayed.strip_step / word);
        }
        if (i + 1 < tiling.chain())
            descriptor.next = descriptors.next() + 1;
        descriptors.add(descriptor, replayed.argument, replayed.offset);
    }
    descriptors.write(stream, column);

    for (uint32_t channel = 0; channel < 2; ++channel)
        stream.mask_write(shim_control(column, DmaDirection::s2mm, channel), token_receiver,
                          token_receiver_mask);
    for (uint32_t channel = 0; channel < 2; ++channel)
        push(stream, column, DmaDirection::s2mm, channel, channel, 1, Token::at_end);
    push(stream, column, DmaDirection::mm2s, replayed.channel, of_replayed, replayed.groups,
         Token::none);
    push(stream, column, DmaDirection::mm2s, whole.channel, of_whole, replayed.groups, Token::none);
}

// Problems of an overlay of one core.
void add_problems(InstructionStream& stream, const OneToOneOverlay& overlay, size_t count,
                  uint32_t input_argument, uint32_t output_argument) {
    if (count == 0)
        fail(NPUENC_E_INVALID, "%s: no problems", overlay.name);
    if (count > InstructionStream::max_offset / std::max(overlay.input_bytes, overlay.output_bytes))
        fail(NPUENC_E_UNSUPPORTED, "%s: %zu problems are more than a buffer of 2 GB holds",
             overlay.name, count);

    // Streams have no seams: the core's own descriptors cut them into problems.
    const auto describe = [&](uint32_t descriptor, size_t bytes, uint32_t argument) {
        stream.block_write(shim_descriptor_address(0, descriptor),
                           ShimDescriptor{.length = bytes / word}.encode());
        stream.patch(shim_address_word(0, descriptor), argument, 0);
    };
    describe(0, count * overlay.input_bytes, input_argument);
    push(stream, 0, DmaDirection::mm2s, 0, 0, 1, Token::none);
    describe(1, count * overlay.output_bytes, output_argument);
    stream.mask_write(shim_control(0, DmaDirection::s2mm, 0), token_receiver, token_receiver_mask);
    push(stream, 0, DmaDirection::s2mm, 0, 1, 1, Token::at_end);
    stream.sync(DmaDirection::s2mm, 0, 0, 1);
}

} // namespace

InstructionStream gemm_stream(const GemmTiling& tiling, const GemmTiling* before) {
    if (before &&
        (!is_next_a(before->overlay()) || !tiling.replays_a() ||
         tiling.m_groups() != before->m_groups() || tiling.a_bytes() != before->c_bytes()))
        fail(NPUENC_E_INVALID, "%s: A is not what the product before leaves",
             tiling.overlay().name);
    InstructionStream stream;
    for (uint32_t column = 0; column < array_cores; ++column)
        add_column(stream, tiling, before, column);
    for (uint32_t channel = 0; channel < 2; ++channel)
        stream.sync(DmaDirection::s2mm, channel, 0, array_cores);
    return stream;
}

InstructionStream one_to_one_stream(const OneToOneOverlay& overlay, size_t count,
                                    uint32_t input_argument, uint32_t output_argument) {
    InstructionStream stream;
    add_problems(stream, overlay, count, input_argument, output_argument);
    return stream;
}

InstructionStream attention_stream(const aie2::AttentionParameters& parameters, size_t count) {
    // The core waits for its first message, and reads them with each.
    InstructionStream stream;
    const std::vector<uint8_t> bytes = parameters.bytes();
    for (uint32_t i = 0; i < bytes.size(); i += word) {
        uint32_t value;
        std::memcpy(&value, bytes.data() + i, word);
        stream.write(tile_address(0, first_core_row, attention_parameters_address + i), value);
    }
    add_problems(stream, attention_s8_64x64, count, 0, 1);
    return stream;
}

} // namespace npuenc
