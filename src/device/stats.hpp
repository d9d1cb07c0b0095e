// SPDX-License-Identifier: MIT
// The costs of a call.
#pragma once

#include <cstdint>

namespace npuenc {

// What a call took; the fields are those of npuenc_stats.
struct Stats {
    uint32_t n_calls = 0;
    uint64_t wall_ns = 0, queue_ns = 0, mel_ns = 0, macs = 0;
    uint64_t n_submissions = 0, n_syncs = 0, bytes_to_device = 0, bytes_from_device = 0;
    uint64_t pack_ns = 0, submit_ns = 0, sync_ns = 0, device_ns = 0, unpack_ns = 0;
    uint64_t accumulate_ns = 0;

    Stats& operator+=(const Stats& other);
};

} // namespace npuenc
