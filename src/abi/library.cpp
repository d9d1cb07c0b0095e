// SPDX-License-Identifier: MIT
// Version, statuses and error details.
#include "abi/boundary.hpp"

using namespace npuenc;

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

extern "C" {

uint32_t npuenc_version(void) {
    return NPUENC_VERSION_MAJOR << 16 | NPUENC_VERSION_MINOR << 8 | NPUENC_VERSION_PATCH;
}

const char* npuenc_version_string(void) {
    return VERSION_TEXT(NPUENC_VERSION_MAJOR, NPUENC_VERSION_MINOR, NPUENC_VERSION_PATCH);
}

const char* npuenc_status_string(int32_t status) {
    switch (status) {
    case NPUENC_OK:
        return "success";
    case NPUENC_E_INTERNAL:
        return "a defect of npuenc";
    case NPUENC_E_INVALID:
        return "an argument is invalid";
    case NPUENC_E_NOMEM:
        return "out of memory or threads";
    case NPUENC_E_NOT_FOUND:
        return "no such device or file";
    case NPUENC_E_UNSUPPORTED:
        return "not supported by this device or build";
    case NPUENC_E_TOO_NEW:
        return "of a later version than this library";
    case NPUENC_E_BAD_MODEL:
        return "the model is damaged or not a Whisper encoder";
    case NPUENC_E_IO:
        return "a file could not be read";
    case NPUENC_E_DEVICE:
        return "the device failed";
    case NPUENC_E_BUSY:
        return "in use";
    case NPUENC_E_CANCELED:
        return "cancelled";
    case NPUENC_E_TIMEOUT:
        return "the device did not answer in time";
    case NPUENC_E_BUFFER:
        return "a buffer is too small";
    case NPUENC_E_FORKED:
        return "the handle belongs to the parent process";
    case NPUENC_E_PENDING:
        return "the call has not ended yet";
    case NPUENC_E_CTX_LOST:
        return "the context is lost";
    default:
        return "unknown status";
    }
}

size_t npuenc_last_error(char* buf, size_t cap) {
    return copy_text(remembered_failure(), buf, cap);
}

} // extern "C"
