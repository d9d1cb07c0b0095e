// SPDX-License-Identifier: MIT
// An NpuDevice on the array module, for the tests of its operators.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "array_module.hpp"
#include "npu/npu_device.hpp"
#include "support.hpp"
#include "tests/unit/cpu/support.hpp"

namespace npuenc {

// The overlays that were built, in the directory NPUENC_OVERLAYS.
inline const OverlayCatalog& built_overlays() {
    static const OverlayCatalog catalog([] {
        const char* directory = std::getenv("NPUENC_OVERLAYS");
        return std::vector<std::string>{directory ? directory : "."};
    }());
    return catalog;
}

inline std::unique_ptr<NpuDevice> open_array(unsigned n_threads = 2, const char* isa = nullptr,
                                             size_t most_bytes = Array::default_most_bytes) {
    return std::make_unique<NpuDevice>(Session(array_module(), array_bus_address), built_overlays(),
                                       std::make_unique<CpuDevice>(n_threads, isa), "array",
                                       most_bytes);
}

// Of a bf16 sum: it may be off by as much as its steps round: in each of K / 8 steps nine terms are
// put on a grid of 2^-23 of the largest one's binade, of at most twice its magnitude (half a place
// each), and the sum is rounded to 24 bits; no term is larger than the sum of all magnitudes.
inline double bf16_bound(size_t k, double magnitudes) {
    return static_cast<double>((k + 7) / 8) * 10 * 0x1p-23 * magnitudes;
}

// What the module counted since.
class Counting {
  public:
    uint64_t submitted() const { return module_counts().submitted - before_.submitted; }
    uint64_t commands() const { return module_counts().commands - before_.commands; }
    uint64_t syncs() const { return module_counts().syncs - before_.syncs; }
    uint64_t buffers_made() const { return module_counts().buffers_made - before_.buffers_made; }
    uint64_t programs_made() const { return module_counts().programs_made - before_.programs_made; }

    // That the device's own statistics say the same, and how many there were.
    void assert_costs(const Stats& stats, uint64_t submissions, uint64_t syncs) const {
        const ModuleCounts now = module_counts();
        assert_int_equal(submitted(), submissions);
        assert_int_equal(this->syncs(), syncs);
        assert_int_equal(stats.n_submissions, submissions);
        assert_int_equal(stats.n_syncs, syncs);
        assert_int_equal(stats.bytes_to_device, now.bytes_to_device - before_.bytes_to_device);
        assert_int_equal(stats.bytes_from_device,
                         now.bytes_from_device - before_.bytes_from_device);
    }

  private:
    const ModuleCounts before_ = module_counts();
};

} // namespace npuenc
