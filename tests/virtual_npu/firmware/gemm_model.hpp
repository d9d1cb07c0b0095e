// SPDX-License-Identifier: MIT
// The overlays of the matrix product (kernels/aie2/overlay_gemm.cpp): 4 x 4 cores.
//
// The shim of column i brings A for core row i and B for core column i. What can move is found out
// first, message by message and with the array's own room for them, so that the array stands still
// where hardware would; the products come after that, all cores at once.
#pragma once

#include <array>
#include <deque>
#include <vector>

#include "tests/virtual_npu/firmware/overlay_model.hpp"

namespace virtual_npu {

enum class GemmType { s8_s32, s8_s16, s8_s8, bf16 };

class GemmModel final : public OverlayModel {
  public:
    explicit GemmModel(GemmType type);

    uint32_t columns() const override { return side; }
    void advance(std::span<const std::unique_ptr<Shim>> shims,
                 const std::atomic<bool>& stop) override;
    void end_run() override;
    void write_data(uint32_t column, uint32_t row, uint32_t offset, uint32_t value) override;

  private:
    static constexpr size_t side = 4;

    // A tile of A or B: where it lies in host memory, or a copy.
    struct Message {
        const uint8_t* data = nullptr;
        std::vector<uint8_t> copy;
    };

    // The tiles for a row or column of cores.
    struct Feed {
        bool fill(Shim::Channel& channel, size_t message_bytes);
        const Message& message(uint64_t index) const { return messages[index - first]; }
        void forget(uint64_t before);
        void keep(size_t message_bytes);

        std::deque<Message> messages; // that have arrived in the memory tile
        uint64_t first = 0;           // the number of the first of them
        uint64_t delivered = 0;       // so many went on to the cores
        std::vector<uint8_t> arriving;

        uint64_t arrived() const { return first + messages.size(); }
    };

    // Of the sums, at a strip's end. All but `whole` are for bf16 alone.
    enum class Form { whole, low_bits, gelu };

    struct Step {
        const uint8_t *a, *b; // without B's header
        bool first, last;
        Form form; // of a last step; where it is gelu, B is not multiplied but says how
        uint32_t shift;
    };

    // Where a part of a result goes.
    struct Placement {
        uint8_t* to;
        size_t from, bytes;
    };
    struct Result {
        uint64_t first_piece; // of all that the core sends
        size_t n_pieces;
        std::vector<Placement> placements;
        std::vector<uint8_t> bytes; // when it is computed, but has not gone as a whole
    };

    struct Core {
        uint64_t steps = 0;         // since the overlay was loaded
        uint64_t pieces = 0;        // of results
        uint64_t drained = 0;       // of them went to the host
        std::vector<Step> to_do;    // what has moved and is not computed
        std::deque<Result> results; // the last ones
        std::vector<uint32_t> sums; // [64][64]; int32, or f32 as bits
    };

    // One of the ways out of a memory tile: the pieces of two cores in turn.
    struct Half {
        uint64_t piece = 0; // that is on its way, counted over both cores
        size_t sent = 0;    // bytes of it
    };

    struct Job;

    Core& core(size_t column, size_t row) { return cores_[column * side + row]; }
    size_t pieces_of(const Step& last) const;

    bool deliver();
    bool step(size_t column, size_t row);
    bool drain(Shim::Channel& channel, size_t column, size_t half);

    void compute(const std::atomic<bool>& stop);
    void compute(Job& job, const std::atomic<bool>& stop) const;
    Form form_of(uint32_t place) const;
    static unsigned shift_of(const Step& last);
    // `b` is that of the last step.
    void write_result(const Step& last, const uint8_t* b, const uint32_t* sums,
                      Result& result) const;

    GemmType type_;
    size_t piece_bytes_;
    std::array<Feed, side> a_, b_;
    std::vector<Core> cores_;
    std::array<Half, side * 2> halves_;
};

} // namespace virtual_npu
