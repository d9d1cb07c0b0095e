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

// The states are most sensitive to the first layer's attention with its projections and, in int8,
// to its MLP and to the convolutions: an error that is made there can decide, layers later, whether
// a frame gets one of Whisper's massive activations. So these are a step wider than the rest, as
// far as their device can; on an NPU, beside int8, the second layer's products with weights are,
// too.
struct Plan {
    npuenc_precision precision; // of products, never AUTO
    npuenc_precision conv_precision;
    npuenc_precision wide_precision; // of the products with weights of the first n_wide_layers
    uint32_t n_wide_layers;
    npuenc_precision first_attention_precision; // of the first layer's queries times keys
    npuenc_precision first_mlp_down_precision;  // of the second product of the first layer's MLP
    bool has_bf16_mlp; // whether the device has MLPs in bf16 in one, and nobody asks for GELU apart
    Device* linear;
    Device* attention;
    Device* conv;
    Device* elementwise;

    npuenc_precision projection_precision(uint32_t layer) const {
        return layer < n_wide_layers ? wide_precision : precision;
    }
    npuenc_precision attention_precision(uint32_t layer) const {
        return layer == 0 ? first_attention_precision : precision;
    }
    // Of probabilities times values, which need not be f32 where queries times keys are.
    npuenc_precision result_precision(uint32_t layer) const {
        const npuenc_precision scores = attention_precision(layer);
        return scores == NPUENC_PRECISION_F32 ? precision : scores;
    }
    npuenc_precision mlp_precision(uint32_t layer) const {
        return precision == NPUENC_PRECISION_INT8 ? projection_precision(layer) : precision;
    }
    npuenc_precision mlp_down_precision(uint32_t layer) const {
        return layer == 0 ? first_mlp_down_precision : mlp_precision(layer);
    }
    // Device::mlp, not two linear layers.
    bool runs_mlp_in_one(uint32_t layer) const {
        return has_bf16_mlp && mlp_precision(layer) == NPUENC_PRECISION_BF16 &&
               mlp_down_precision(layer) == NPUENC_PRECISION_BF16;
    }
};

// For a context's device, whose host is the CPU. Throws Error E_UNSUPPORTED for what the device
// that was asked for cannot do; never moves work elsewhere.
Plan make_plan(const PlanOptions& options, const HyperParameters& dims, Device& device);

// Throws where make_plan would, whatever the model is.
void check_places(const PlanOptions& options, Device& device);

} // namespace npuenc
