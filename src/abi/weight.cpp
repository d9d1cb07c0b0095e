// SPDX-License-Identifier: MIT
// Packed matrices and their products.
#include <cmath>
#include <vector>

#include "abi/handles.hpp"
#include "model/storage.hpp"

using namespace npuenc;

namespace {

bool is_real(int32_t type) {
    return type == NPUENC_F32 || type == NPUENC_BF16 || type == NPUENC_F16;
}

npuenc_precision settle_precision(const npuenc_weight_desc& desc) {
    const bool int8 = desc.type == NPUENC_S8;
    switch (desc.precision) {
    case NPUENC_PRECISION_AUTO:
        if (int8)
            return NPUENC_PRECISION_INT8;
        return desc.type == NPUENC_BF16 ? NPUENC_PRECISION_BF16 : NPUENC_PRECISION_F32;
    case NPUENC_PRECISION_F32:
    case NPUENC_PRECISION_BF16:
        require(!int8, "desc.precision must be INT8 or AUTO for S8 data");
        return static_cast<npuenc_precision>(desc.precision);
    case NPUENC_PRECISION_INT8:
        return NPUENC_PRECISION_INT8;
    default:
        fail(NPUENC_E_INVALID, "desc.precision %d is not an npuenc_precision", desc.precision);
    }
}

// An optional vector of one float for each output channel.
const float* checked_channels(Buffer& buffer, uint32_t n_out) {
    if (!buffer.data && buffer.bytes == 0)
        return nullptr;
    buffer.check(n_out, sizeof(float));
    const float* values = static_cast<const float*>(buffer.data);
    for (uint32_t i = 0; i < n_out; ++i)
        if (!std::isfinite(values[i]))
            fail(NPUENC_E_INVALID, "%s[%u] is not finite", buffer.name, i);
    return values;
}

RowReader rows_of(const npuenc_weight_desc& desc, const void* data, size_t ld) {
    const size_t n = desc.n_in;
    if (desc.type == NPUENC_F32)
        return [=](size_t first, size_t count, float* out) {
            const float* row = static_cast<const float*>(data) + first * ld;
            for (size_t r = 0; r < count; ++r, row += ld, out += n)
                std::copy_n(row, n, out);
        };
    const Storage storage = desc.type == NPUENC_BF16 ? Storage::bf16 : Storage::f16;
    return [=](size_t first, size_t count, float* out) {
        const uint16_t* row = static_cast<const uint16_t*>(data) + first * ld;
        for (size_t r = 0; r < count; ++r, row += ld, out += n)
            decode(storage, row, n, out);
    };
}

} // namespace

extern "C" {

int32_t npuenc_weight_create(npuenc_ctx* ctx, const npuenc_weight_desc* desc, const void* data,
                             size_t data_bytes, const void* scales, size_t scales_bytes,
                             const void* bias, size_t bias_bytes, npuenc_weight** out) {
    return guarded([&] {
        require_not_null(out, "out");
        *out = nullptr;
        const std::shared_ptr<Context>& context = check_working(ctx, "ctx").context;
        const npuenc_weight_desc known = read_struct(desc, "desc");
        if (!is_real(known.type) && known.type != NPUENC_S8)
            fail(NPUENC_E_INVALID, "desc.type %d is not F32, F16, BF16 or S8", known.type);
        const npuenc_precision precision = settle_precision(known);
        require(known.reserved == 0, "desc.reserved is not 0");
        require(known.n_out >= 1 && known.n_in >= 1, "desc.n_out or n_in is 0");
        const size_t ld = settle_ld("ld", known.ld, known.n_in);

        Buffer data_buffer{data, data_bytes, "data"}, scales_buffer{scales, scales_bytes, "scales"};
        Buffer bias_buffer{bias, bias_bytes, "bias"};
        data_buffer.check(span_of_rows(known.n_out, known.n_in, ld), element_size(known.type));
        const float* scale_values = checked_channels(scales_buffer, known.n_out);
        const float* bias_values = checked_channels(bias_buffer, known.n_out);
        const bool int8 = known.type == NPUENC_S8;
        require(int8 == (scale_values != nullptr),
                "scales belong to S8 data, and S8 data needs them");
        if (int8 && std::any_of(scale_values, scale_values + known.n_out,
                                [](float scale) { return scale < 0; }))
            fail(NPUENC_E_INVALID, "a scale is negative");

        auto handle = std::make_unique<npuenc_weight>();
        handle->context = context;
        Device& device = context->device();
        if (int8)
            handle->weight = device.pack(
                known.n_out, known.n_in,
                Int8Rows{static_cast<const int8_t*>(data), ld, scale_values}, bias_values);
        else
            handle->weight = device.pack(known.n_out, known.n_in, precision,
                                         rows_of(known, data, ld), bias_values, Sums::in_32_bits);
        *out = handle.release();
    });
}

void npuenc_weight_free(npuenc_weight* weight) {
    if (weight && is_of_this_process(weight))
        delete weight;
}

int32_t npuenc_linear(npuenc_weight* weight, const npuenc_linear_desc* desc, const void* x,
                      size_t x_bytes, void* y, size_t y_bytes, npuenc_run* run) {
    return guarded([&] {
        npuenc_weight& handle = check_working(weight, "weight");
        const Weight& packed = *handle.weight;
        const npuenc_linear_desc known = read_struct(desc, "desc");
        require(is_real(known.x_type), "desc.x_type is not F32, BF16 or F16");
        require(is_real(known.y_type), "desc.y_type is not F32, BF16 or F16");

        Linear shape{};
        shape.x_type = static_cast<npuenc_dtype>(known.x_type);
        shape.y_type = static_cast<npuenc_dtype>(known.y_type);
        shape.rows = known.rows;
        shape.ldx = settle_ld("ldx", known.ldx, packed.n_in());
        shape.ldy = settle_ld("ldy", known.ldy, packed.n_out());
        Buffer x_buffer{x, x_bytes, "x"}, y_buffer{y, y_bytes, "y"};
        x_buffer.check(span_of_rows(shape.rows, packed.n_in(), shape.ldx),
                       element_size(shape.x_type));
        y_buffer.check(span_of_rows(shape.rows, packed.n_out(), shape.ldy),
                       element_size(shape.y_type));
        y_buffer.check_apart_from(x_buffer);
        const uint64_t macs =
            checked_multiply(shape.rows, checked_multiply(packed.n_in(), packed.n_out()));

        Device& device = handle.context->device();
        call_operator(*handle.context, run, {"linear", -1, device.type(), packed.precision(), macs},
                      [&](Stats& stats) { device.linear(packed, shape, x, y, stats); });
    });
}

} // extern "C"
