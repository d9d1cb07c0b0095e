// SPDX-License-Identifier: MIT
// What NPUENC_PRECISION_AUTO means for a model.
#pragma once

#include <string_view>

#include <npuenc/npuenc.h>

#include "model/hyper_parameters.hpp"

namespace npuenc {

// isa: of the device, as npuenc_ctx_info.isa.
npuenc_precision auto_precision(std::string_view isa, const HyperParameters& dims);

} // namespace npuenc
