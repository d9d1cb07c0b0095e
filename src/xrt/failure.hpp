// SPDX-License-Identifier: MIT
// What XRT throws, in the statuses and words of the module's border.
#pragma once

#include <exception>
#include <string>

#include "error.hpp"
#include "npu/module_interface.h"

namespace npuenc::module {

// The errno in an exception, positive; 0 where it holds none. XRT's shim throws a std::system_error
// for each system call that failed (xdna-driver, src/shim/shim_debug.h, shim_err).
int error_number(const std::exception& failure);

// Of the host, or of the device's heap: the driver says EAGAIN where that is to be enlarged, and
// XRT ENOSPC where it cannot be (xdna-driver, src/shim/buffer.cpp, buffer::expand).
bool is_short_of_memory(const std::exception& failure);

// "making a buffer: DRM_IOCTL_AMDXDNA_CREATE_BO IOCTL failed (err=-12): Cannot allocate memory"
std::string words(const char* doing, const std::exception& failure);

// Into `failure` if that is there; returns the status.
int32_t report(npuenc_module_failure* failure, npuenc_status status, const char* detail) noexcept;

// Runs the body of a function at the border: whatever is thrown becomes a status, and one line.
template <class Body>
int32_t at_border(npuenc_module_failure* failure, const Body& body) noexcept {
    try {
        body();
        return NPUENC_OK;
    } catch (const Error& error) {
        return report(failure, error.status(), error.what());
    } catch (const std::bad_alloc&) {
        return report(failure, NPUENC_E_NOMEM, "not enough memory");
    } catch (const std::exception& error) {
        return report(failure, NPUENC_E_DEVICE, error.what());
    } catch (...) {
        return report(failure, NPUENC_E_INTERNAL, "XRT threw what is no exception");
    }
}

} // namespace npuenc::module
