// SPDX-License-Identifier: MIT
// Registers for what a loop holds in them, where iterations overlap.
#pragma once

#include <vector>

namespace npuenc::aie2 {

// A value in a register: loaded from cycle `first` on, read up to cycle `last`. A load may land as
// soon as it is issued, so the register is taken in all these cycles.
struct Life {
    int first, last;
};

// A register, counted from 0, for each life, where all are repeated every `period` cycles. Throws
// std::logic_error where it finds none.
std::vector<int> colour(const std::vector<Life>& lives, int period, int n_registers);

} // namespace npuenc::aie2
