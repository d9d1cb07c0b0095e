// SPDX-License-Identifier: MIT
#include "npu/shim_descriptor.hpp"

#include "error.hpp"

namespace npuenc {
namespace {

// Bursts of 256 bytes, and the cache attributes that public programs use.
constexpr uint32_t burst_256 = 2u << 30;
constexpr uint32_t cacheable = 2u << 24;
constexpr uint32_t valid = 1u << 25;
constexpr uint32_t use_next = 1u << 26;

void check_step(const char* what, uint32_t step) {
    if (step == 0 || step > ShimDescriptor::max_step)
        fail(NPUENC_E_INVALID, "shim descriptor: the %s step of %u words is not in 1..%u", what,
             step, ShimDescriptor::max_step);
}

void check_dimension(const char* what, const ShimDescriptor::Dimension& dimension) {
    if (dimension.size > ShimDescriptor::max_size)
        fail(NPUENC_E_INVALID, "shim descriptor: the %s size %u is above %u", what, dimension.size,
             ShimDescriptor::max_size);
    check_step(what, dimension.step);
}

// A size of 0 is all there is.
uint64_t repetitions(uint64_t size) {
    return size ? size : 1;
}

} // namespace

std::array<uint32_t, descriptor_words> ShimDescriptor::encode() const {
    if (length == 0 || length > UINT32_MAX)
        fail(NPUENC_E_INVALID, "shim descriptor: a length of %llu words is not in 1..2^32-1",
             static_cast<unsigned long long>(length));
    check_dimension("inner", inner);
    check_dimension("middle", middle);
    check_step("outer", outer_step);
    if (inner.size == 0 && middle.size != 0)
        fail(NPUENC_E_INVALID, "shim descriptor: a middle size of %u, but no inner size",
             middle.size);
    if (length % (repetitions(inner.size) * repetitions(middle.size)) != 0)
        fail(NPUENC_E_INVALID, "shim descriptor: a length of %llu words is no multiple of %u x %u",
             static_cast<unsigned long long>(length), inner.size, middle.size);
    if (iterations == 0 || iterations > max_iterations)
        fail(NPUENC_E_INVALID, "shim descriptor: %u iterations are not in 1..%u", iterations,
             max_iterations);
    check_step("iteration", iteration_step);
    if (next && *next >= shim_descriptors)
        fail(NPUENC_E_INVALID, "shim descriptor: no next descriptor %u", *next);

    return {static_cast<uint32_t>(length),
            0,
            0,
            inner.size << 20 | (inner.step - 1),
            burst_256 | middle.size << 20 | (middle.step - 1),
            cacheable | (outer_step - 1),
            (iterations - 1) << 20 | (iteration_step - 1),
            (next ? *next << 27 | use_next : 0) | valid};
}

bool is_shim_queue(uint32_t address) {
    for (const DmaDirection direction : {DmaDirection::s2mm, DmaDirection::mm2s})
        for (uint32_t channel = 0; channel < shim_channels; ++channel)
            if (address == shim_queue(column_of(address), direction, channel))
                return true;
    return false;
}

bool is_shim_descriptor_address_word(uint32_t address) {
    for (uint32_t descriptor = 0; descriptor < shim_descriptors; ++descriptor)
        if (address == shim_address_word(column_of(address), descriptor))
            return true;
    return false;
}

uint32_t queue_word(uint32_t descriptor, uint32_t repeats, Token token) {
    if (descriptor >= shim_descriptors)
        fail(NPUENC_E_INVALID, "shim queue: no descriptor %u", descriptor);
    if (repeats == 0 || repeats > max_queue_repeats)
        fail(NPUENC_E_INVALID, "shim queue: %u repeats are not in 1..%u", repeats,
             max_queue_repeats);
    return descriptor | (repeats - 1) << 16 | (token == Token::at_end ? 1u << 31 : 0);
}

} // namespace npuenc
