// SPDX-License-Identifier: MIT
// What `npuenc bench` measures, each in a process of its own.
#pragma once

#include <string>
#include <vector>

#include "library.hpp"

namespace npuenc {

// Wall-clock times of equal runs.
struct Times {
    uint32_t n_runs;
    uint64_t min_ns, median_ns;
};

struct EncodeMeasurement {
    npuenc_device_info device;
    uint32_t n_threads;
    npuenc_model_info model;
    uint64_t load_ns;
    uint64_t peak_bytes; // of memory, from the process's start to its end
    Times times;         // around npuenc_encode
    uint64_t macs;
    // With a profile, of the fastest run: its operators in order, by the library's clock.
    uint32_t n_operators;
    npuenc_op_info operators[2048];
};

struct EncodeTask {
    std::string model_path;
    int32_t device_type, precision;
    uint32_t n_threads;
    const std::vector<float>& pcm; // at least a window, of which the first is encoded
    bool profile;
};

// One warm-up, then at least 10 runs and a second.
EncodeMeasurement measure_encode(const EncodeTask& task);

struct ProductType {
    const char* name;
    int32_t a_type, c_type; // b is of a's type
};

struct ProductMeasurement {
    Times times;
    bool supported;
};

// c = a b of size x size matrices, b packed anew in each call.
ProductMeasurement measure_product(const ProductType& type, uint32_t size, int32_t device_type,
                                   uint32_t n_threads);

} // namespace npuenc
