// SPDX-License-Identifier: MIT
#include "abi/boundary.hpp"

namespace npuenc {
namespace {

// Plain memory, so that a thread's end has nothing to destroy.
thread_local char last_detail[512];

} // namespace

Failure current_failure() noexcept {
    // Copying a detail can fail itself; then the status goes without it.
    npuenc_status status = NPUENC_E_INTERNAL;
    try {
        try {
            throw;
        } catch (const Error& error) {
            status = error.status();
            return {status, error.what()};
        } catch (const std::bad_alloc&) {
            status = NPUENC_E_NOMEM;
            return {status, "out of memory"};
        } catch (const std::exception& error) {
            return {status, error.what()};
        } catch (...) {
            return {status, "unknown exception"};
        }
    } catch (...) {
        return {status, {}};
    }
}

int32_t remember_failure(npuenc_status status, const char* detail) noexcept {
    copy_text(detail, last_detail, sizeof last_detail);
    // One line, whatever a path in it may hold.
    std::replace_if(
        last_detail, last_detail + std::strlen(last_detail),
        [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
    return status;
}

const char* remembered_failure() noexcept {
    return last_detail;
}

size_t settle_ld(const char* field, uint64_t ld, uint64_t width) {
    if (ld != 0 && ld < width)
        fail(NPUENC_E_INVALID, "desc.%s is %llu, less than a row's %llu", field,
             static_cast<unsigned long long>(ld), static_cast<unsigned long long>(width));
    return checked_size(ld == 0 ? width : ld);
}

size_t element_size(int32_t dtype) {
    switch (dtype) {
    case NPUENC_S8:
        return 1;
    case NPUENC_BF16:
    case NPUENC_F16:
        return 2;
    case NPUENC_F32:
    case NPUENC_S32:
        return 4;
    default:
        fail(NPUENC_E_INVALID, "%d is not an npuenc_dtype", dtype);
    }
}

void Buffer::check(uint64_t elements, size_t element_bytes) {
    used = checked_size(checked_multiply(elements, element_bytes));
    if (!data && (bytes > 0 || used > 0))
        fail(NPUENC_E_INVALID, "%s is NULL, but %s %zu bytes", name,
             bytes > 0 ? "is said to have" : "the shape needs", bytes > 0 ? bytes : used);
    if (bytes < used)
        fail(NPUENC_E_BUFFER, "%s has %zu bytes, but the shape needs %zu", name, bytes, used);
    if (reinterpret_cast<uintptr_t>(data) % element_bytes != 0)
        fail(NPUENC_E_INVALID, "%s is not aligned to its elements of %zu bytes", name,
             element_bytes);
}

void Buffer::check_apart_from(const Buffer& other) const {
    const auto begin = reinterpret_cast<uintptr_t>(data);
    const auto other_begin = reinterpret_cast<uintptr_t>(other.data);
    if (used > 0 && other.used > 0 && begin < other_begin + other.used &&
        other_begin < begin + used)
        fail(NPUENC_E_INVALID, "%s overlaps %s", name, other.name);
}

} // namespace npuenc
