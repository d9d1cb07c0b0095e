// SPDX-License-Identifier: MIT
// Which registers share storage. x0 is wl0 and wh0, cm0 is four quarters, d0 is m0, dn0, dj0 and
// dc0: instructions clash where the smallest parts, the units, are the same.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>

namespace npuenc::aie2 {

using Units = std::bitset<256>;

Units units_of(std::string_view register_name); // none for an unknown name
std::string_view unit_name(size_t unit);
std::string unit_names(const Units& units); // "wl0, wh0"

// r3 and p7 are registers of a file with a number; LC, crRnd and the like are not.
struct NumberedRegister {
    std::string_view file; // "r", "p", "m", "dn", "dj", "dc", "s", ... of the name that was given
    int number = -1;
};

NumberedRegister numbered(std::string_view register_name);

} // namespace npuenc::aie2
