// SPDX-License-Identifier: MIT
// Products of which the answer is known, to find out whether a device is to be trusted.
#pragma once

#include "device/device.hpp"

namespace npuenc {

// Runs every overlay that the device computes with, on all of the overlay's cores, and compares
// results with those of the device's host(), of an MLP with its definition. Throws Error E_DEVICE
// where they differ, and whatever the device throws, with the overlay's name before it.
void run_self_test(Device& device);

} // namespace npuenc
