// SPDX-License-Identifier: MIT
// The manifest beside an overlay: what a host program must know to use it, as JSON.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "kernels/aie2/container/bytes.hpp"

namespace npuenc::aie2 {

struct Manifest {
    std::string name;                         // of the overlay, "gemm_s8_s32"
    std::string kernel;                       // "gemm"
    std::map<std::string, std::string> types; // of each operand, "a": "int8"
    std::map<std::string, int64_t> tile;      // what one core computes, "rows": 64
    std::map<std::string, int64_t> layout;    // of the buffers, "a_message_bytes": 4096
};

// One object with its keys in order: those of the manifest; of the overlay's file "columns",
// "start_columns", "uuid" and "sha256", as sha256sum prints it; and "version", the generator's.
std::string write_manifest(const Manifest& manifest, Bytes xclbin, std::string_view version);

} // namespace npuenc::aie2
