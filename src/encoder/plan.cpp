// SPDX-License-Identifier: MIT
#include "encoder/plan.hpp"

#include "device/choice.hpp"
#include "encoder/auto_precision.hpp"
#include "error.hpp"

namespace npuenc {
namespace {

void check_place(const char* family, npuenc_device_type asked, const Device& device) {
    if (asked != NPUENC_DEVICE_AUTO && asked != device.type())
        fail(NPUENC_E_UNSUPPORTED, "%s_device asks for the %s, but the context's device is the %s",
             family, device_type_name(asked), device_type_name(device.type()));
}

} // namespace

void check_places(const PlanOptions& options, const Device& device) {
    check_place("linear", options.linear, device);
    check_place("attention", options.attention, device);
    check_place("conv", options.conv, device);
    check_place("elementwise", options.elementwise, device);
}

Plan make_plan(const PlanOptions& options, const HyperParameters& dims, Device& device) {
    check_places(options, device);
    Plan plan;
    plan.precision = options.precision == NPUENC_PRECISION_AUTO ? auto_precision(device.isa(), dims)
                                                                : options.precision;
    plan.wide_precision =
        plan.precision == NPUENC_PRECISION_INT8 ? NPUENC_PRECISION_BF16 : NPUENC_PRECISION_F32;
    plan.linear = plan.attention = plan.conv = plan.elementwise = &device;
    return plan;
}

} // namespace npuenc
