// SPDX-License-Identifier: MIT
#include "kernels/aie2/checker/findings.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace npuenc::aie2 {

std::vector<Finding> Findings::in_order() const {
    std::vector<Finding> ordered = list_;
    std::ranges::stable_sort(ordered, {}, &Finding::bundle);
    return ordered;
}

std::string Findings::place(size_t bundle) const {
    return "bundle " + std::to_string(bundle) + " (" + hex(program_[bundle].address) + ")";
}

std::string hex(uint64_t value) {
    std::array<char, 16> digits;
    const auto result = std::to_chars(digits.begin(), digits.end(), value, 16);
    return "0x" + std::string(digits.begin(), result.ptr);
}

} // namespace npuenc::aie2
