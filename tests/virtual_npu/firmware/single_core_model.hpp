// SPDX-License-Identifier: MIT
// The overlays of one core (kernels/aie2/overlay_single_core.cpp): messages in by the first MM2S
// channel of the shim, messages out by the first S2MM channel.
#pragma once

#include <deque>
#include <vector>

#include "tests/virtual_npu/firmware/overlay_model.hpp"

namespace virtual_npu {

// What the core does with a message. Its data memory holds the parameters.
struct SingleCoreProgram {
    size_t input_bytes, output_bytes;
    uint32_t parameters, parameters_end; // in data memory
    std::vector<uint8_t> (*run)(const std::vector<uint8_t>& message,
                                std::span<const uint8_t> parameters);
};

extern const SingleCoreProgram attention_program, matmul_program;

class SingleCoreModel final : public OverlayModel {
  public:
    // `commands` are what the overlay writes into the array, the parameters among them.
    SingleCoreModel(const SingleCoreProgram& program,
                    std::span<const npuenc::aie2::CdoCommand> commands);

    uint32_t columns() const override { return 1; }
    void advance(std::span<const std::unique_ptr<Shim>> shims,
                 const std::atomic<bool>& stop) override;
    void end_run() override {}
    void write_data(uint32_t column, uint32_t row, uint32_t offset, uint32_t value) override;

  private:
    const SingleCoreProgram& program_;
    std::vector<uint8_t> parameters_;
    std::deque<std::vector<uint8_t>> inputs_, outputs_; // whole messages
    std::vector<uint8_t> arriving_;
    size_t sent_ = 0; // of the first output
};

} // namespace virtual_npu
