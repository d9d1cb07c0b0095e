// SPDX-License-Identifier: MIT
// What is in an overlay or an instruction stream, as text for people.
#pragma once

#include <string>

#include "tools/npusim/configuration.hpp"
#include "tools/npusim/instruction_stream.hpp"

namespace npusim {

// Tiles, programs, memory maps, descriptors, locks, streams.
std::string explain(const Overlay& overlay);
// One line an operation.
std::string explain(const InstructionStream& stream);
// The programs of the cores, a line a bundle.
std::string disassemble(const Overlay& overlay);

} // namespace npusim
