// SPDX-License-Identifier: MIT
// Which device runs which family of the encoder's operators, and in what precision.
#pragma once

#include "device/device.hpp"
#include "model/hyper_parameters.hpp"

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
    npuenc_precision precision; // of products, never AUTO
    // Of those to which the states are most sensitive: the convolutions, the first layer's
    // attention with its projections and, with int8, its MLP. An error that is made there can
    // decide, layers later, whether a frame gets one of Whisper's massive activations.
    npuenc_precision wide_precision;
    Device* linear;
    Device* attention;
    Device* conv;
    Device* elementwise;

    npuenc_precision attention_precision(uint32_t layer) const {
        return layer == 0 ? wide_precision : precision;
    }
    npuenc_precision mlp_precision(uint32_t layer) const {
        return precision == NPUENC_PRECISION_INT8 ? attention_precision(layer) : precision;
    }
};

// Throws Error E_UNSUPPORTED for what the context's device cannot do; never moves work elsewhere.
Plan make_plan(const PlanOptions& options, const HyperParameters& dims, Device& device);

// Throws where make_plan would, whatever the model is.
void check_places(const PlanOptions& options, const Device& device);

} // namespace npuenc
