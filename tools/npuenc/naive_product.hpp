// SPDX-License-Identifier: MIT
// An int8 product the way in which a first port does it: tile by tile, the host adds up.
#pragma once

#include <cstdint>
#include <functional>

#include <npuenc/npuenc.h>

#include "device/parallel.hpp"
#include "npu/overlay_catalog.hpp"
#include "npu/session.hpp"

namespace npuenc {

// C = A B of size x size matrices by products of 16 x 16 x 16 on one core. Each takes two copies
// into a buffer, a synchronisation, a submission, a wait, a synchronisation, a copy out, and the
// addition to C. Of a tile's sums the overlay returns a 128th as int8, so that C is a 128th too,
// off by the roundings.
class NaiveProduct {
  public:
    static constexpr uint32_t tile = 16;

    NaiveProduct(const Session& session, const OverlayCatalog& overlays);

    // Of numbers that it makes itself; after each row of tiles `progress` is told the part that is
    // done. Failure if a single element is not the sum of what its tiles must be.
    npuenc_stats run(uint32_t size, const std::function<void(double)>& progress);

    // Of all runs so far, the warm-ups of each included.
    uint64_t n_calls() const { return n_calls_; }

  private:
    void multiply_tile(npuenc_stats& cost, const int8_t* a, const int8_t* b, int32_t* c,
                       uint32_t size);

    std::shared_ptr<SessionCore> session_;
    LoadedOverlay overlay_;
    Program program_;
    DeviceBuffer input_, output_;
    Serial thread_;
    uint64_t n_calls_ = 0;
};

} // namespace npuenc
