// SPDX-License-Identifier: MIT
// The list of what was found, each thing once.
#pragma once

#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/aie2/checker/checker.hpp"

namespace npuenc::aie2 {

class Findings {
  public:
    explicit Findings(std::span<const PlacedBundle> program) : program_(program) {}

    void add(std::string rule, size_t bundle, std::string message) {
        if (known_.emplace(bundle, rule, message).second)
            list_.push_back(
                {std::move(rule), program_[bundle].address, bundle, std::move(message)});
    }

    std::vector<Finding> in_order() const;  // by bundle
    std::string place(size_t bundle) const; // "bundle 12 (0xc0)"

  private:
    std::span<const PlacedBundle> program_;
    std::set<std::tuple<size_t, std::string, std::string>> known_;
    std::vector<Finding> list_;
};

std::string hex(uint64_t value);

} // namespace npuenc::aie2
