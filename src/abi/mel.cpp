// SPDX-License-Identifier: MIT
#include <vector>

#include "abi/audio.hpp"
#include "abi/handles.hpp"
#include "audio/pcm.hpp"

using namespace npuenc;

namespace {

constexpr uint32_t default_mels = 80;
constexpr uint32_t default_frames = 3000;
constexpr uint32_t min_frames = 2; // the reflection at the ends needs 201 samples
constexpr uint32_t max_frames = 131072;

npuenc_mel_desc checked_desc(const npuenc_mel_desc* desc) {
    npuenc_mel_desc known = read_struct(desc, "desc");
    require(checked_input(known.input) != NPUENC_INPUT_MEL_F32, "desc.input is mel already");
    if (known.n_mels == 0)
        known.n_mels = default_mels;
    if (known.n_frames == 0)
        known.n_frames = default_frames;
    require(known.n_mels == 80 || known.n_mels == 128, "desc.n_mels is not 80 or 128");
    require(known.n_frames >= min_frames && known.n_frames <= max_frames,
            "desc.n_frames is not in [2, 131072]");
    return known;
}

} // namespace

extern "C" {

int32_t npuenc_mel_size(const npuenc_mel_desc* desc, size_t* bytes) {
    return guarded([&] {
        require_not_null(bytes, "bytes");
        const npuenc_mel_desc known = checked_desc(desc);
        *bytes = size_t{known.n_mels} * known.n_frames * sizeof(float);
    });
}

int32_t npuenc_mel(npuenc_ctx* ctx, const npuenc_mel_desc* desc, const void* pcm, size_t pcm_bytes,
                   void* out, size_t out_bytes, npuenc_run* run) {
    return guarded([&] {
        Context& context = *check_working(ctx, "ctx").context;
        const npuenc_mel_desc known = checked_desc(desc);
        const auto input = static_cast<npuenc_input>(known.input);
        const size_t n_samples = pcm_bytes / sample_size(input);
        require(pcm_bytes % sample_size(input) == 0, "pcm_bytes is not whole samples");
        require(n_samples <= size_t{known.n_frames} * hop_length, "pcm is longer than the window");

        Buffer pcm_buffer{pcm, pcm_bytes, "pcm"}, out_buffer{out, out_bytes, "out"};
        pcm_buffer.check(n_samples, sample_size(input));
        out_buffer.check(uint64_t{known.n_mels} * known.n_frames, sizeof(float));
        out_buffer.check_apart_from(pcm_buffer);
        if (input == NPUENC_INPUT_PCM_F32)
            check_finite(static_cast<const float*>(pcm), n_samples, "pcm");

        const MelSpectrogram& spectrogram = context.spectrogram(known.n_mels);
        const Operation operation = {"mel", -1, NPUENC_DEVICE_CPU, NPUENC_PRECISION_F32, 0};
        call(context, run, [&](Run& used) {
            used.set_total(1);
            const Clock::time_point start = Clock::now();
            used.operate(operation, [&] {
                std::vector<float> wide;
                const float* samples = static_cast<const float*>(pcm);
                if (input == NPUENC_INPUT_PCM_S16) {
                    wide.resize(n_samples);
                    pcm_from_s16(static_cast<const int16_t*>(pcm), n_samples, wide.data());
                    samples = wide.data();
                }
                spectrogram.compute(samples, n_samples, known.n_frames, static_cast<float*>(out),
                                    context.device().parallel());
            });
            used.stats_in_work().mel_ns += nanoseconds_since(start);
        });
    });
}

} // extern "C"
