// SPDX-License-Identifier: MIT
// What work takes on the array, in cycles of its simulator: the overlays' own bytes and the
// instruction streams that a device would get. Never a time of this machine or of anybody's
// silicon.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "npu/gemm_stream.hpp"
#include "npu/overlay_catalog.hpp"

namespace npuenc {

// Instructions for an overlay, and the buffers that they name.
struct ArrayWork {
    std::string overlay;
    std::vector<uint32_t> instructions;
    std::vector<std::vector<uint8_t>> buffers;

    // How long it takes does not depend on the numbers in the buffers.
    bool is_as(const ArrayWork& other) const {
        return overlay == other.overlay && instructions == other.instructions;
    }
};

ArrayWork product_work(const GemmOverlay& overlay, size_t m, size_t n, size_t k);
// The two products of an MLP whose hidden values stay on the device.
std::vector<ArrayWork> mlp_work(size_t rows, size_t n_in, size_t n_hidden, size_t n_out);
ArrayWork one_to_one_work(const OneToOneOverlay& overlay, size_t count);

struct ArrayCost {
    uint64_t cycles = 0; // until the stream has ended
    uint64_t pushes = 0; // of tasks into the queues of the shims
};

// Each piece alone on an array that has just been configured, several at a time. None in a build
// for another machine, which has no simulator.
std::optional<std::vector<ArrayCost>> simulate(const std::vector<ArrayWork>& works,
                                               const OverlayCatalog& overlays);

} // namespace npuenc
