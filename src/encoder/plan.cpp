// SPDX-License-Identifier: MIT
#include "encoder/plan.hpp"

#include <string_view>

#include "device/choice.hpp"
#include "encoder/auto_precision.hpp"
#include "error.hpp"

namespace npuenc {
namespace {

bool is_npu(const Device& device) {
    return device.type() == NPUENC_DEVICE_NPU;
}

// For AUTO `preferred`, which is the device or its host.
Device& place(const char* family, npuenc_device_type asked, Device& device, Device& preferred) {
    if (asked == NPUENC_DEVICE_AUTO)
        return preferred;
    if (asked == NPUENC_DEVICE_CPU)
        return device.host();
    if (asked != device.type())
        fail(NPUENC_E_UNSUPPORTED, "%s_device asks for the %s, but the context's device is the %s",
             family, device_type_name(asked), device_type_name(device.type()));
    return device;
}

// Products with weights go to the context's device. Attention goes to the CPU also when that is an
// NPU: there it would be two products with the softmax on the host between them, which is half of a
// layer's submissions more, and most of the host's work: unpacking scores, the softmax and packing
// probabilities. In int8 that alone takes as long as the CPU's fused attention, whose scores never
// leave the cache, and in bf16 four fifths of it, before the array has done anything (on two cores;
// `npuenc bench npu` measures both). An NPU has no other operators, but GELU between two products
// in bf16.
void place_families(const PlanOptions& options, Device& device, Plan& plan) {
    plan.linear = &place("linear", options.linear, device, device);
    plan.attention = &place("attention", options.attention, device, device.host());
    plan.conv = &place("conv", options.conv, device, device);
    if (options.elementwise == NPUENC_DEVICE_NPU && is_npu(device))
        fail(NPUENC_E_UNSUPPORTED, "elementwise_device asks for the NPU, which has products only: "
                                   "norms run on the CPU");
    plan.elementwise = &place("elementwise", options.elementwise, device, device.host());
}

bool multiplies_on_npu(const Plan& plan) {
    return is_npu(*plan.linear) || is_npu(*plan.attention) || is_npu(*plan.conv);
}

void check_precision(npuenc_precision asked, const Plan& plan) {
    if (asked == NPUENC_PRECISION_F32 && multiplies_on_npu(plan))
        fail(NPUENC_E_UNSUPPORTED, "the NPU multiplies bf16 and int8, not f32: ask for one of "
                                   "these, or for linear, attention and conv on the CPU");
}

bool has_amx(const Device& device) {
    return !is_npu(device) && std::string_view(device.isa()) == "amx";
}

// One step wider than `precision`; from bf16 an NPU goes to what `widest` says. With AMX three
// products of bf16 take a fifth of the time of one of f32, and little of that of int8: bf16x2 takes
// the place of both, and the worst frame of base in int8 is 0.962 (0.873 with bf16).
npuenc_precision wider(npuenc_precision precision, const Device& device, npuenc_precision widest) {
    if (precision != NPUENC_PRECISION_F32 && has_amx(device))
        return NPUENC_PRECISION_BF16X2;
    if (precision == NPUENC_PRECISION_INT8)
        return NPUENC_PRECISION_BF16;
    return is_npu(device) ? widest : NPUENC_PRECISION_F32;
}

// The convolutions. In int8 on the CPU bf16 is as good there as bf16x2: measured once beside f32,
// on 50 windows of speech, 53 and 68 of the 75,000 frames of base are below 0.98, 6 and 10 of
// tiny.en. With AMX bf16x2 beside bf16 costs next to nothing. For int8 on an NPU see make_plan.
npuenc_precision conv_precision(npuenc_precision precision, const Device& device) {
    switch (precision) {
    case NPUENC_PRECISION_INT8:
        return is_npu(device) ? NPUENC_PRECISION_BF16X2 : NPUENC_PRECISION_BF16;
    case NPUENC_PRECISION_BF16:
        return has_amx(device) ? NPUENC_PRECISION_BF16X2 : NPUENC_PRECISION_BF16;
    default:
        return precision;
    }
}

// How many layers tiny models have.
constexpr uint32_t few_layers = 4;

// In int8, where layers that are wide are in bf16, tiny models have the second product of the first
// layer's MLP in int8. Measured once beside f32, on 30 windows put together from five recordings
// and on two instruction sets, 20 and 27 of the 45,000 frames of tiny.en are below 0.98 then, 10
// and 9 below 0.9; without, 20 and 20, 6 and 7. With its first product in int8 as well the cosine
// of a recording falls to 0.99953. The worst frame of base, in five recordings, would be 0.81.
npuenc_precision first_mlp_down_precision(const Plan& plan, const HyperParameters& dims) {
    const npuenc_precision wide = plan.mlp_precision(0);
    const bool narrow =
        dims.n_layer <= few_layers && wide == NPUENC_PRECISION_BF16 && !is_npu(*plan.linear);
    return narrow ? plan.precision : wide;
}

} // namespace

void check_places(const PlanOptions& options, Device& device) {
    Plan plan;
    place_families(options, device, plan);
    check_precision(options.precision, plan);
}

Plan make_plan(const PlanOptions& options, const HyperParameters& dims, Device& device) {
    Plan plan;
    place_families(options, device, plan);
    check_precision(options.precision, plan);
    plan.precision = options.precision;
    if (plan.precision == NPUENC_PRECISION_AUTO)
        plan.precision = multiplies_on_npu(plan) ? NPUENC_PRECISION_BF16
                                                 : auto_precision(plan.linear->isa(), dims);
    // Measured on 30 windows of speech, the worst frame of base and of tiny.en in bf16: all that is
    // wide in f32, and the convolutions, 0.993 and 0.979; the convolutions in bf16 0.987 and 0.983;
    // the first layer's attention in bf16 as well 0.957 and 0.969, and its projections 0.93 and
    // 0.89. Of base on five recordings, on AVX2 and AVX-512: the convolutions and, in the first
    // layer, probabilities times values in bf16 0.990, its output projection in bf16 too 0.965.
    plan.wide_precision = wider(plan.precision, *plan.linear, NPUENC_PRECISION_BF16X2);
    plan.conv_precision = conv_precision(plan.precision, *plan.conv);
    // In int8 on an NPU, whose host has any of three instruction sets, the worst frame of base in
    // five recordings is 0.906 with one wide layer and the convolutions in bf16, and was once 0.873
    // beside AMX; with two wide layers 0.859; with the convolutions in bf16x2 0.901; with both
    // 0.958, and 0.937 since the array makes GELU of the wide ones.
    plan.n_wide_layers = plan.precision == NPUENC_PRECISION_INT8 && is_npu(*plan.linear) ? 2 : 1;
    plan.first_attention_precision = wider(plan.precision, *plan.attention, NPUENC_PRECISION_BF16);
    plan.first_mlp_down_precision = first_mlp_down_precision(plan, dims);
    plan.has_bf16_mlp = options.elementwise == NPUENC_DEVICE_AUTO &&
                        plan.linear->has_mlp(dims.n_state, dims.n_mlp(), dims.n_state);
    return plan;
}

} // namespace npuenc
