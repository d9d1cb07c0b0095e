// SPDX-License-Identifier: MIT
// The machine and its devices, as reports tell them.
#pragma once

#include <string>

#include "json.hpp"
#include "library.hpp"

namespace npuenc {

// "Linux 6.17.0, x86_64".
std::string system_text();

// What is known of a device: what it is, and on a second line where and with what it is driven.
std::string device_properties(const npuenc_device_info& device);

// The same, and its state, as members of an object.
void append_device(Json& json, const npuenc_device_info& device);

} // namespace npuenc
