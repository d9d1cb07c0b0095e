// SPDX-License-Identifier: MIT
// Which device runs which family of the encoder's operators, and in what precision.
#pragma once

#include "device/device.hpp"

namespace npuenc {

// What was asked for; AUTO leaves it to make_plan.
struct PlanOptions {
    npuenc_precision precision = NPUENC_PRECISION_AUTO;
    npuenc_device_type linear = NPUENC_DEVICE_AUTO;
    npuenc_device_type attention = NPUENC_DEVICE_AUTO;
    npuenc_device_type conv = NPUENC_DEVICE_AUTO;
    npuenc_device_type elementwise = NPUENC_DEVICE_AUTO;
};

struct Plan {
    npuenc_precision precision; // of linear layers and convolutions, never AUTO
    Device* linear;
    Device* attention;
    Device* conv;
    Device* elementwise;
};

// Throws Error E_UNSUPPORTED for what the context's device cannot do; never moves work elsewhere.
Plan make_plan(const PlanOptions& options, Device& device);

} // namespace npuenc
