// SPDX-License-Identifier: MIT
// What is wrong with a configuration of the array.
#pragma once

#include <stdexcept>

namespace npuenc::aie2 {

class ArrayError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

} // namespace npuenc::aie2
