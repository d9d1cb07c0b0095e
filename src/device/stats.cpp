// SPDX-License-Identifier: MIT
#include "device/stats.hpp"

namespace npuenc {

Stats& Stats::operator+=(const Stats& other) {
    n_calls += other.n_calls;
    wall_ns += other.wall_ns;
    queue_ns += other.queue_ns;
    mel_ns += other.mel_ns;
    macs += other.macs;
    n_submissions += other.n_submissions;
    n_syncs += other.n_syncs;
    bytes_to_device += other.bytes_to_device;
    bytes_from_device += other.bytes_from_device;
    pack_ns += other.pack_ns;
    submit_ns += other.submit_ns;
    sync_ns += other.sync_ns;
    device_ns += other.device_ns;
    unpack_ns += other.unpack_ns;
    accumulate_ns += other.accumulate_ns;
    return *this;
}

} // namespace npuenc
