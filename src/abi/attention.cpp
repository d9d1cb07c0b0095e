// SPDX-License-Identifier: MIT
#include <cmath>

#include "abi/handles.hpp"

using namespace npuenc;

namespace {

npuenc_precision checked_precision(int32_t type) {
    switch (type) {
    case NPUENC_F32:
        return NPUENC_PRECISION_F32;
    case NPUENC_BF16:
        return NPUENC_PRECISION_BF16;
    case NPUENC_S8:
        return NPUENC_PRECISION_INT8;
    default:
        fail(NPUENC_E_INVALID, "desc.type %d is not F32, BF16 or S8", type);
    }
}

float settle_scale(const char* name, float scale, bool int8) {
    if (!int8) {
        if (scale != 0)
            fail(NPUENC_E_INVALID, "desc.%s is for S8 only", name);
        return 1.0f;
    }
    if (!std::isfinite(scale) || scale < 0)
        fail(NPUENC_E_INVALID, "desc.%s is not positive and finite", name);
    return scale == 0 ? 1.0f : scale;
}

void check_scalars(const npuenc_attention_desc& desc) {
    require(desc.n_head >= 1, "desc.n_head is 0");
    require(desc.head_dim >= 1, "desc.head_dim is 0");
    require(std::isfinite(desc.scale), "desc.scale is not finite");
    require(desc.mask >= NPUENC_MASK_NONE && desc.mask <= NPUENC_MASK_ADD_F32,
            "desc.mask is not an npuenc_mask");
    require(desc.mask != NPUENC_MASK_CAUSAL || desc.kv_len >= desc.q_len,
            "desc.kv_len is less than q_len, but the mask is causal");
    constexpr uint32_t mask_flags = NPUENC_ATTENTION_MASK_PER_ITEM | NPUENC_ATTENTION_MASK_PER_HEAD;
    require((desc.flags & ~mask_flags) == 0, "desc.flags has bits that are not NPUENC_ATTENTION_*");
    require(desc.flags == 0 || desc.mask == NPUENC_MASK_ADD_F32,
            "desc.flags is for masks that are added only");
}

void settle_key_lengths(Attention& shape, Buffer& mask) {
    mask.check(shape.batch, sizeof(uint32_t));
    shape.key_lengths = static_cast<const uint32_t*>(mask.data);
    for (size_t i = 0; i < shape.batch; ++i)
        if (shape.key_lengths[i] > shape.kv_len)
            fail(NPUENC_E_INVALID, "mask[%zu] is %u, more than kv_len %zu", i, shape.key_lengths[i],
                 shape.kv_len);
}

void settle_added_mask(Attention& shape, uint32_t flags, Buffer& mask) {
    const bool per_item = flags & NPUENC_ATTENTION_MASK_PER_ITEM;
    const bool per_head = flags & NPUENC_ATTENTION_MASK_PER_HEAD;
    const uint64_t plane = checked_multiply(shape.q_len, shape.kv_len);
    const uint64_t item = checked_multiply(per_head ? shape.n_head : 1, plane);
    mask.check(checked_multiply(per_item ? shape.batch : 1, item), sizeof(float));
    shape.added = static_cast<const float*>(mask.data);
    shape.added_stride_head = per_head ? checked_size(plane) : 0;
    shape.added_stride_batch = per_item ? checked_size(item) : 0;
}

void settle_mask(Attention& shape, const npuenc_attention_desc& desc, Buffer& mask) {
    shape.mask = static_cast<npuenc_mask>(desc.mask);
    if (shape.mask == NPUENC_MASK_KEY_LENGTHS)
        settle_key_lengths(shape, mask);
    else if (shape.mask == NPUENC_MASK_ADD_F32)
        settle_added_mask(shape, desc.flags, mask);
    else
        require(!mask.data && mask.bytes == 0, "a mask is given, but desc.mask takes none");
}

} // namespace

extern "C" int32_t npuenc_attention(npuenc_ctx* ctx, const npuenc_attention_desc* desc,
                                    const void* q, size_t q_bytes, const void* k, size_t k_bytes,
                                    const void* v, size_t v_bytes, const void* mask,
                                    size_t mask_bytes, void* out, size_t out_bytes,
                                    npuenc_run* run) {
    return guarded([&] {
        Context& context = *check_working(ctx, "ctx").context;
        const npuenc_attention_desc known = read_struct(desc, "desc");
        const npuenc_precision precision = checked_precision(known.type);
        check_scalars(known);

        const bool int8 = known.type == NPUENC_S8;
        const uint64_t width = checked_multiply(known.n_head, known.head_dim);
        Attention shape{};
        shape.type = static_cast<npuenc_dtype>(known.type);
        shape.precision = precision;
        shape.batch = known.batch ? known.batch : 1;
        shape.n_head = known.n_head;
        shape.head_dim = known.head_dim;
        shape.q_len = known.q_len;
        shape.kv_len = known.kv_len;
        shape.scale =
            known.scale == 0 ? 1.0f / std::sqrt(static_cast<float>(known.head_dim)) : known.scale;
        shape.q_scale = settle_scale("q_scale", known.q_scale, int8);
        shape.k_scale = settle_scale("k_scale", known.k_scale, int8);
        shape.v_scale = settle_scale("v_scale", known.v_scale, int8);
        shape.out_scale = settle_scale("out_scale", known.out_scale, int8);
        shape.ldq = settle_ld("ldq", known.ldq, width);
        shape.ldk = settle_ld("ldk", known.ldk, width);
        shape.ldv = settle_ld("ldv", known.ldv, width);
        shape.ldo = settle_ld("ldo", known.ldo, width);
        const auto item_stride = [](uint64_t length, uint64_t ld) {
            return checked_size(checked_multiply(length, ld));
        };
        shape.stride_q = item_stride(shape.q_len, shape.ldq);
        shape.stride_k = item_stride(shape.kv_len, shape.ldk);
        shape.stride_v = item_stride(shape.kv_len, shape.ldv);
        shape.stride_o = item_stride(shape.q_len, shape.ldo);

        const size_t element = element_size(shape.type);
        Buffer q_buffer{q, q_bytes, "q"}, k_buffer{k, k_bytes, "k"}, v_buffer{v, v_bytes, "v"};
        Buffer mask_buffer{mask, mask_bytes, "mask"}, out_buffer{out, out_bytes, "out"};
        const auto check = [&](Buffer& buffer, uint64_t length, uint64_t ld) {
            buffer.check(span_of_rows(checked_multiply(shape.batch, length), width, ld), element);
        };
        check(q_buffer, shape.q_len, shape.ldq);
        check(k_buffer, shape.kv_len, shape.ldk);
        check(v_buffer, shape.kv_len, shape.ldv);
        check(out_buffer, shape.q_len, shape.ldo);
        settle_mask(shape, known, mask_buffer);
        for (const Buffer& input : {q_buffer, k_buffer, v_buffer, mask_buffer})
            out_buffer.check_apart_from(input);

        const uint64_t scores = checked_multiply(checked_multiply(shape.batch, shape.q_len),
                                                 checked_multiply(shape.kv_len, width));
        const uint64_t macs = checked_multiply(2, scores);
        checked_size(macs);

        Device& device = context.device();
        call_operator(context, run, {"attention", -1, device.type(), precision, macs},
                      [&](Stats& stats) { device.attention(shape, q, k, v, out, stats); });
    });
}
