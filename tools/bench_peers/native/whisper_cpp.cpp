/* SPDX-License-Identifier: MIT
 *
 * whisper.cpp's encoder for the worker. Its own whisper_encode also computes the decoder's cross
 * keys and values, and has no way to read the states: hence its source is included here, and the
 * two graphs of the encoder are run as whisper_encode runs them.
 */
#include "whisper.cpp"

static whisper_context* context = nullptr;
static int threads = 1;

extern "C" {

const char* peer_version(void) {
    return WHISPER_VERSION;
}

int peer_load(const char* path, int n_threads, const float* mel, size_t bytes) {
    whisper_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    whisper_context_params params = whisper_context_default_params();
    params.use_gpu = false;
    threads = n_threads;
    context = whisper_init_from_file_with_params(path, params);
    if (context == nullptr)
        return 0;
    const int n_mels = whisper_model_n_mels(context);
    const int frames = static_cast<int>(bytes / sizeof(float)) / n_mels;
    return whisper_set_mel(context, mel, frames, n_mels) == 0;
}

int peer_encode(void) {
    whisper_state& state = *context->state;
    ggml_cgraph* graph = whisper_build_graph_conv(*context, state);
    if (!ggml_backend_sched_alloc_graph(state.sched_conv.sched, graph))
        return 0;
    ggml_backend_tensor_set(ggml_graph_get_tensor(graph, "mel"), state.mel.data.data(), 0,
                            state.mel.data.size() * sizeof(float));
    if (!ggml_graph_compute_helper(state.sched_conv.sched, graph, threads))
        return 0;
    graph = whisper_build_graph_encoder(*context, state);
    if (!ggml_backend_sched_alloc_graph(state.sched_encode.sched, graph))
        return 0;
    return ggml_graph_compute_helper(state.sched_encode.sched, graph, threads);
}

void peer_states(float* states, size_t bytes) {
    ggml_backend_tensor_get(context->state->embd_enc, states, 0, bytes);
}
}
