// SPDX-License-Identifier: MIT
#include "encoder/plan.hpp"

#include "device/choice.hpp"
#include "error.hpp"

namespace npuenc {
namespace {

Device* place(const char* family, npuenc_device_type asked, Device& device) {
    if (asked != NPUENC_DEVICE_AUTO && asked != device.type())
        fail(NPUENC_E_UNSUPPORTED, "%s_device asks for the %s, but the context's device is the %s",
             family, device_type_name(asked), device_type_name(device.type()));
    return &device;
}

npuenc_precision settle(npuenc_precision asked) {
    return asked == NPUENC_PRECISION_AUTO ? NPUENC_PRECISION_F32 : asked;
}

} // namespace

Plan make_plan(const PlanOptions& options, Device& device) {
    Plan plan;
    plan.precision = settle(options.precision);
    plan.wide_precision =
        plan.precision == NPUENC_PRECISION_INT8 ? NPUENC_PRECISION_BF16 : NPUENC_PRECISION_F32;
    plan.linear = place("linear", options.linear, device);
    plan.attention = place("attention", options.attention, device);
    plan.conv = place("conv", options.conv, device);
    plan.elementwise = place("elementwise", options.elementwise, device);
    return plan;
}

} // namespace npuenc
