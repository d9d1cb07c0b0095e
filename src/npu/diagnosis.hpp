// SPDX-License-Identifier: MIT
// What keeps NPUs from being used, in words for a person, with the cure.
#pragma once

#include <string>
#include <vector>

#include "npu/pci_npu.hpp"

namespace npuenc {

enum class Severity {
    note,    // a fact to report
    warning, // may be why something fails
    error    // nothing runs before it is cured
};

struct Finding {
    Severity severity;
    std::string text; // one line without a full stop
    std::string cure; // the same; empty where there is none or nothing to cure
};

// Both lines as one.
std::string sentence(const Finding& finding);

// The set-up of one NPU: kernel driver, device node, permissions, limits, firmware. What comes
// first hides what comes after it: the errors are those that can be told now.
std::vector<Finding> diagnose_npu(const PciNpu& npu, const std::string& root = {});

// What all NPUs need: the module, XRT and the overlays. Loads the module, and asks XRT for its
// devices.
std::vector<Finding> diagnose_runtime();

} // namespace npuenc
