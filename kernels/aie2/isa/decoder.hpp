// SPDX-License-Identifier: MIT
// From bytes to bundles. What the table does not know is an error, never a guess.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "kernels/aie2/isa/instruction_table.hpp"

namespace npuenc::aie2 {

class DecodeError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

struct Decoded {
    const Format* format;
    Bundle bundle; // slots that hold a NOP are empty
};

// The size of the bundle that begins with these bytes, from its first four bits.
size_t bundle_size(uint8_t first_byte);

// The bundle at the start of `bytes`; it takes format->bytes of them. Throws DecodeError.
Decoded decode(std::span<const uint8_t> bytes);

// The word of one slot; a NOP is an instruction here. Throws DecodeError.
Instruction decode(Slot slot, uint64_t word);

std::string to_text(const Instruction& instruction); // "NAME a, b, #1"
// "slot:NAME a, #1; slot:..." for all slots of the format, as bundles are printed.
std::string to_text(const Decoded& decoded);
// The same for the slots that hold something; "nop" for none.
std::string to_text(const Bundle& bundle);

} // namespace npuenc::aie2
