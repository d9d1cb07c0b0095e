// SPDX-License-Identifier: MIT
#pragma once

#include <npuenc/npuenc.h>

#include "device/run.hpp"

namespace npuenc {

inline npuenc_stats public_stats(const Stats& stats) {
    npuenc_stats known{};
    known.n_calls = stats.n_calls;
    known.wall_ns = stats.wall_ns;
    known.queue_ns = stats.queue_ns;
    known.mel_ns = stats.mel_ns;
    known.macs = stats.macs;
    known.n_submissions = stats.n_submissions;
    known.n_syncs = stats.n_syncs;
    known.bytes_to_device = stats.bytes_to_device;
    known.bytes_from_device = stats.bytes_from_device;
    known.pack_ns = stats.pack_ns;
    known.submit_ns = stats.submit_ns;
    known.sync_ns = stats.sync_ns;
    known.device_ns = stats.device_ns;
    known.unpack_ns = stats.unpack_ns;
    known.accumulate_ns = stats.accumulate_ns;
    return known;
}

} // namespace npuenc
