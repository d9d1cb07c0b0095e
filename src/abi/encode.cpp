// SPDX-License-Identifier: MIT
#include <vector>

#include "abi/audio.hpp"
#include "abi/handles.hpp"

using namespace npuenc;

namespace {

constexpr uint32_t max_batch = 65536;

// What a description means for a model, before its buffers are known.
struct EncodeShape {
    npuenc_input input;
    npuenc_dtype output_type;
    size_t batch;
    uint32_t n_per_item; // 0: from the input's size
    uint32_t n_ctx;
    uint64_t out_elements;
};

EncodeShape checked_shape(const Encoder& encoder, const npuenc_encode_desc* desc) {
    const npuenc_encode_desc known = read_struct(desc, "desc");
    const HyperParameters& dims = encoder.hyper_parameters();
    EncodeShape shape;
    shape.input = checked_input(known.input);
    const int32_t output_type = known.output_type == 0 ? NPUENC_F32 : known.output_type;
    require(output_type == NPUENC_F32 || output_type == NPUENC_BF16 || output_type == NPUENC_F16,
            "desc.output_type is not F32, BF16 or F16");
    shape.output_type = static_cast<npuenc_dtype>(output_type);
    require(known.batch <= max_batch, "desc.batch is more than 65536");
    if (known.n_ctx > dims.n_ctx)
        fail(NPUENC_E_INVALID, "desc.n_ctx is %u, more than the model's %u", known.n_ctx,
             dims.n_ctx);
    shape.batch = known.batch ? known.batch : 1;
    shape.n_per_item = known.n_per_item;
    shape.n_ctx = known.n_ctx ? known.n_ctx : dims.n_ctx;
    shape.out_elements = checked_multiply(shape.batch, uint64_t{shape.n_ctx} * dims.n_state);
    return shape;
}

size_t window_length(const EncodeShape& shape) {
    const size_t n_frames = size_t{shape.n_ctx} * frames_per_state;
    return shape.input == NPUENC_INPUT_MEL_F32 ? n_frames : n_frames * hop_length;
}

// The elements of one sample or of one frame.
size_t bands(const EncodeShape& shape, const Encoder& encoder) {
    return shape.input == NPUENC_INPUT_MEL_F32 ? encoder.hyper_parameters().n_mels : 1;
}

size_t settle_n_per_item(const EncodeShape& shape, const Encoder& encoder, size_t in_bytes) {
    if (shape.n_per_item)
        return shape.n_per_item;
    const size_t one = shape.batch * bands(shape, encoder) * sample_size(shape.input);
    if (in_bytes % one != 0)
        fail(NPUENC_E_INVALID, "in has %zu bytes, which are not %zu items of whole %s", in_bytes,
             shape.batch, shape.input == NPUENC_INPUT_MEL_F32 ? "frames" : "samples");
    return in_bytes / one;
}

void check_lengths(const Batch& batch, size_t window) {
    const auto check = [&](size_t item, size_t length) {
        if (length > window)
            fail(NPUENC_E_INVALID, "item %zu is %zu long, more than the window's %zu", item, length,
                 window);
    };
    if (!batch.lengths)
        check(0, batch.n_per_item);
    for (size_t i = 0; batch.lengths && i < batch.size; ++i) {
        if (batch.lengths[i] > batch.n_per_item)
            fail(NPUENC_E_INVALID, "lengths[%zu] is %u, more than n_per_item %zu", i,
                 batch.lengths[i], batch.n_per_item);
        check(i, batch.lengths[i]);
    }
}

// Only what is valid of an item is read, here and later.
void check_values(const Batch& batch, size_t n_bands) {
    if (batch.input == NPUENC_INPUT_PCM_S16)
        return;
    const float* values = static_cast<const float*>(batch.in);
    for (size_t i = 0; i < batch.size; ++i)
        for (size_t band = 0; band < n_bands; ++band, values += batch.n_per_item)
            check_finite(values, batch.lengths ? batch.lengths[i] : batch.n_per_item, "in");
}

struct Arguments {
    const npuenc_encode_desc* desc;
    const void* in;
    size_t in_bytes;
    const uint32_t* lengths;
    size_t n_lengths;
    void* out;
    size_t out_bytes;
};

Batch checked_batch(const Encoder& encoder, const Arguments& arguments) {
    const EncodeShape shape = checked_shape(encoder, arguments.desc);
    const size_t n_bands = bands(shape, encoder);
    Batch batch;
    batch.input = shape.input;
    batch.output_type = shape.output_type;
    batch.size = shape.batch;
    batch.n_per_item = settle_n_per_item(shape, encoder, arguments.in_bytes);
    batch.in = arguments.in;
    batch.lengths = arguments.lengths;
    batch.n_ctx = shape.n_ctx;
    batch.out = arguments.out;

    Buffer in{arguments.in, arguments.in_bytes, "in"};
    Buffer out{arguments.out, arguments.out_bytes, "out"};
    in.check(checked_multiply(batch.size * n_bands, batch.n_per_item), sample_size(batch.input));
    out.check(shape.out_elements, element_size(batch.output_type));
    out.check_apart_from(in);
    if (batch.lengths || arguments.n_lengths) {
        Buffer lengths{arguments.lengths, arguments.n_lengths * sizeof(uint32_t), "lengths"};
        require(arguments.n_lengths == batch.size, "n_lengths is not desc.batch");
        lengths.check(arguments.n_lengths, sizeof(uint32_t));
        out.check_apart_from(lengths);
    }
    check_lengths(batch, window_length(shape));
    check_values(batch, n_bands);
    return batch;
}

void encode(Context& context, const Encoder& encoder, const Batch& batch, Run& run) {
    encoder.encode(batch, run);
    const Stats& stats = run.stats_in_work();
    context.log().write(&run, NPUENC_LOG_DEBUG, "encoded %zu x %u states, %.1f G multiply-adds",
                        batch.size, batch.n_ctx, static_cast<double>(stats.macs) * 1e-9);
}

} // namespace

extern "C" {

int32_t npuenc_encode_size(const npuenc_model* model, const npuenc_encode_desc* desc,
                           size_t* bytes) {
    return guarded([&] {
        require_not_null(bytes, "bytes");
        const npuenc_model& handle = check_handle(model, "model");
        const EncodeShape shape = checked_shape(*handle.encoder, desc);
        *bytes =
            checked_size(checked_multiply(shape.out_elements, element_size(shape.output_type)));
    });
}

int32_t npuenc_encode(npuenc_model* model, const npuenc_encode_desc* desc, const void* in,
                      size_t in_bytes, const uint32_t* lengths, size_t n_lengths, void* out,
                      size_t out_bytes, npuenc_run* run) {
    return guarded([&] {
        npuenc_model& handle = check_working(model, "model");
        const Batch batch = checked_batch(*handle.encoder,
                                          {desc, in, in_bytes, lengths, n_lengths, out, out_bytes});
        call(*handle.context, run,
             [&](Run& used) { encode(*handle.context, *handle.encoder, batch, used); });
    });
}

int32_t npuenc_encode_submit(npuenc_model* model, const npuenc_encode_desc* desc, const void* in,
                             size_t in_bytes, const uint32_t* lengths, size_t n_lengths, void* out,
                             size_t out_bytes, npuenc_run* run) {
    return guarded([&] {
        npuenc_model& handle = check_working(model, "model");
        require_not_null(run, "run");
        Batch batch = checked_batch(*handle.encoder,
                                    {desc, in, in_bytes, lengths, n_lengths, out, out_bytes});
        Context& context = *handle.context; // the run keeps it until the call has ended
        RunOrOwn chosen(run, context);
        Run& used = *chosen;
        auto kept_lengths = std::make_shared<std::vector<uint32_t>>(lengths, lengths + n_lengths);
        if (lengths)
            batch.lengths = kept_lengths->data();
        auto failure = std::make_shared<Failure>();

        const auto do_work = [&context, &used, batch, kept_lengths, encoder = handle.encoder,
                              failure] {
            *failure = work(context, used,
                            [&](Run& working) { encode(context, *encoder, batch, working); });
        };
        const auto finish = [&used, failure] { used.end(failure->status, failure->detail); };
        SubmissionQueue::Job job{do_work, finish};
        used.begin(true);
        try {
            context.queue().push(std::move(job));
        } catch (...) {
            used.end(current_failure().status, {});
            throw;
        }
    });
}

} // extern "C"
