// SPDX-License-Identifier: MIT
// What an encode's linear layers cost the host outside of the operators that run on the CPU: their
// products alone, whose operands and results go in and out in the same way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "library.hpp"
#include "npu/array.hpp"
#include "npu/gemm_tiling.hpp"

namespace npuenc {

// x W^T of a linear layer, or of a convolution, as the array multiplies it.
struct LinearProduct {
    const GemmOverlay* overlay;
    size_t rows, n_out, depth;
};

// Of one submission: one, or the two of an MLP of which the second reads what the first leaves.
using ProductChain = std::vector<LinearProduct>;

// What the NPU multiplied with weights in a run's last encode, one window of the model. Failure
// where the run's operators have other multiply-adds than these, or the run other submissions.
std::vector<ProductChain> linear_products(const npuenc_run* run, const npuenc_model_info& model);

// On the CPU run norms, conversions to the array's types, scales, bias, GELU and addition. All
// else that the host does is here: bringing operands into the array's order, buffers, submissions,
// synchronisations, and results out of that order, eight rows of 256 at a time, as the operators
// read them. Rows that go in come from the L1 cache, where operators leave eight at a time.
struct BareCost {
    uint64_t n_submissions = 0, n_syncs = 0; // of all runs, and of the weights
    npuenc_stats wall{};                     // on all threads
    uint64_t cpu_ns = 0;                     // of one thread that does it all
    uint64_t outside_ns = 0;                 // of the wall clock, without waiting for the device
};

class BareProducts {
  public:
    BareProducts(const char* bus_address, unsigned n_threads);

    BareCost measure(const std::vector<ProductChain>& chains);

  private:
    Array array_;
    const unsigned n_threads_;
};

} // namespace npuenc
