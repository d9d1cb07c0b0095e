// SPDX-License-Identifier: MIT
// The overlays that are installed, by npuenc or by whoever made them with AMD's tools.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace npuenc {

struct OverlayFile {
    std::string name; // "gemm_s8_s32"
    std::string path; // of the xclbin
    std::vector<uint8_t> xclbin;
    std::string kernel;   // of the xclbin, as XRT knows it: "MLIR_AIE"
    uint32_t columns = 0; // width of the partition
    std::string uuid;     // of the xclbin, for messages
    std::string version;  // of what made it, for messages; may be empty
};

// An overlay is two files, NAME.xclbin and its manifest NAME.json. It is checked before it is
// handed out: nothing is changed in it, and it is what the instruction streams and packings of
// src/npu take it for.
class OverlayCatalog {
  public:
    // The directories in NPUENC_OVERLAY_PATH, divided by colons, or else the installed one.
    OverlayCatalog();
    // The first directory that has a file of the overlay is the one that counts.
    explicit OverlayCatalog(std::vector<std::string> directories);

    // Reads an overlay that src/npu has an instruction stream for. Throws Error E_UNSUPPORTED with
    // path, reason and cure where it is missing, damaged or another.
    OverlayFile get(const char* name) const;

    // Every overlay that get knows.
    static std::vector<const char*> names();

    const std::vector<std::string>& directories() const { return directories_; }

  private:
    std::vector<std::string> directories_;
};

} // namespace npuenc
