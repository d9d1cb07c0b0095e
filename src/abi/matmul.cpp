// SPDX-License-Identifier: MIT
#include <cmath>

#include "abi/handles.hpp"

using namespace npuenc;

namespace {

struct Types {
    npuenc_dtype a, b, c;
};

constexpr Types products[] = {
    {NPUENC_F32, NPUENC_F32, NPUENC_F32},    {NPUENC_BF16, NPUENC_BF16, NPUENC_F32},
    {NPUENC_BF16, NPUENC_BF16, NPUENC_BF16}, {NPUENC_S8, NPUENC_S8, NPUENC_S32},
    {NPUENC_S8, NPUENC_S8, NPUENC_S8},
};

Types checked_types(const npuenc_matmul_desc& desc) {
    for (const Types& types : products)
        if (desc.a_type == types.a && desc.b_type == types.b && desc.c_type == types.c)
            return types;
    fail(NPUENC_E_INVALID, "desc: no product of types %d and %d to %d", desc.a_type, desc.b_type,
         desc.c_type);
}

npuenc_precision precision_of(npuenc_dtype type) {
    if (type == NPUENC_F32)
        return NPUENC_PRECISION_F32;
    return type == NPUENC_BF16 ? NPUENC_PRECISION_BF16 : NPUENC_PRECISION_INT8;
}

// A matrix of a batch: `rows` rows of n elements.
struct Extent {
    uint64_t rows, n;
    size_t ld, stride;
};

Extent settle_extent(const char* name, uint64_t rows, uint64_t n, uint64_t given_ld,
                     uint64_t stride) {
    const size_t ld = settle_ld((std::string("ld") + name).c_str(), given_ld, n);
    const uint64_t span = span_of_rows(rows, n, ld);
    if (stride != 0 && stride < span)
        fail(NPUENC_E_INVALID, "desc.stride_%s is %llu, less than an item's %llu", name,
             static_cast<unsigned long long>(stride), static_cast<unsigned long long>(span));
    if (stride == 0)
        stride = checked_multiply(rows, ld);
    return {rows, n, ld, checked_size(stride)};
}

uint64_t batch_elements(const Extent& extent, uint64_t batch) {
    return span_of_rows(batch, span_of_rows(extent.rows, extent.n, extent.ld), extent.stride);
}

} // namespace

extern "C" int32_t npuenc_matmul(npuenc_ctx* ctx, const npuenc_matmul_desc* desc, const void* a,
                                 size_t a_bytes, const void* b, size_t b_bytes, void* c,
                                 size_t c_bytes, npuenc_run* run) {
    return guarded([&] {
        Context& context = *check_working(ctx, "ctx").context;
        const npuenc_matmul_desc known = read_struct(desc, "desc");
        const Types types = checked_types(known);
        const bool transposed = known.flags & NPUENC_MATMUL_B_TRANSPOSED;
        const bool shared = known.flags & NPUENC_MATMUL_B_SHARED;
        require((known.flags & ~(NPUENC_MATMUL_B_TRANSPOSED | NPUENC_MATMUL_B_SHARED)) == 0,
                "desc.flags has bits that are not NPUENC_MATMUL_*");
        require(known.reserved == 0, "desc.reserved is not 0");
        require(!shared || known.stride_b == 0, "desc.stride_b is not 0, but b is shared");
        if (types.c == NPUENC_S8) {
            require(std::isfinite(known.scale), "desc.scale is not finite");
            require(known.zero_point >= -128 && known.zero_point <= 127,
                    "desc.zero_point is not in [-128, 127]");
        } else {
            require(known.scale == 0 && known.zero_point == 0,
                    "desc.scale and zero_point are for S8 results only");
        }

        const uint64_t batch = known.batch ? known.batch : 1;
        const uint64_t macs =
            checked_multiply(checked_multiply(batch, known.m), checked_multiply(known.n, known.k));
        checked_size(macs);
        const Extent a_extent = settle_extent("a", known.m, known.k, known.lda, known.stride_a);
        const Extent b_extent =
            settle_extent("b", transposed ? known.n : known.k, transposed ? known.k : known.n,
                          known.ldb, known.stride_b);
        const Extent c_extent = settle_extent("c", known.m, known.n, known.ldc, known.stride_c);

        Buffer a_buffer{a, a_bytes, "a"}, b_buffer{b, b_bytes, "b"}, c_buffer{c, c_bytes, "c"};
        a_buffer.check(batch_elements(a_extent, batch), element_size(types.a));
        b_buffer.check(batch_elements(b_extent, shared ? 1 : batch), element_size(types.b));
        c_buffer.check(batch_elements(c_extent, batch), element_size(types.c));
        c_buffer.check_apart_from(a_buffer);
        c_buffer.check_apart_from(b_buffer);

        Matmul shape{};
        shape.a_type = types.a;
        shape.b_type = types.b;
        shape.c_type = types.c;
        shape.batch = batch;
        shape.m = known.m;
        shape.n = known.n;
        shape.k = known.k;
        shape.lda = a_extent.ld;
        shape.ldb = b_extent.ld;
        shape.ldc = c_extent.ld;
        shape.stride_a = a_extent.stride;
        shape.stride_b = shared ? 0 : b_extent.stride;
        shape.stride_c = c_extent.stride;
        shape.b_transposed = transposed;
        shape.scale = known.scale == 0 ? 1.0f : known.scale;
        shape.zero_point = known.zero_point;

        Device& device = context.device();
        call_operator(context, run, {"matmul", -1, device.type(), precision_of(types.a), macs},
                      [&](Stats& stats) { device.matmul(shape, a, b, c, stats); });
    });
}
