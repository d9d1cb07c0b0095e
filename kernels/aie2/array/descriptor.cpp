// SPDX-License-Identifier: MIT
#include "kernels/aie2/array/descriptor.hpp"

namespace npuenc::aie2 {

uint64_t end_of(const Descriptor& descriptor) {
    uint64_t last = 0; // in words, from the start
    if (descriptor.dimensions.empty()) {
        last = descriptor.words - 1;
    } else {
        uint64_t left = descriptor.words;
        for (size_t i = 0; i < descriptor.dimensions.size(); ++i) {
            const Dimension& dimension = descriptor.dimensions[i];
            const bool outermost = i + 1 == descriptor.dimensions.size();
            const uint64_t count = outermost || left < dimension.count ? left : dimension.count;
            last += (count - 1) * dimension.step;
            left = (left + count - 1) / count;
        }
    }
    last += uint64_t{descriptor.iteration.count - 1} * descriptor.iteration.step;
    return descriptor.address + (last + 1) * 4;
}

} // namespace npuenc::aie2
