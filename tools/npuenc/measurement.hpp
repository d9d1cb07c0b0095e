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

// All operators of a name, summed over layers.
struct OperatorTime {
    char name[32];
    uint32_t n_calls;
    uint64_t wall_ns, macs;
};

struct EncodeMeasurement {
    npuenc_device_info device;
    uint32_t n_threads;
    npuenc_model_info model;
    uint64_t load_ns;
    uint64_t peak_bytes; // of memory, from the process's start to its end
    Times times;
    // Of the fastest run; they and what is between them add up to its wall_ns.
    uint64_t wall_ns, macs;
    uint32_t n_operators;
    OperatorTime operators[24];
};

struct EncodeTask {
    std::string model_path;
    int32_t device_type, precision;
    uint32_t n_threads;
    const std::vector<float>& pcm; // at least a window, of which the first is encoded
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
