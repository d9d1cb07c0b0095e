// SPDX-License-Identifier: MIT
// How the simulator stops.
#pragma once

#include <stdexcept>

namespace npusim {

// Something that the simulator does not know or that hardware would get silently wrong; what() is
// complete as it stands.
class SimulationError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A run that hardware would not end either: nothing can move any more, or not in the time given.
class Deadlock : public SimulationError {
  public:
    using SimulationError::SimulationError;
};

} // namespace npusim
