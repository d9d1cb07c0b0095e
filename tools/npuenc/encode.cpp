// SPDX-License-Identifier: MIT
// npuenc encode: a recording in, encoder states out.
#include <cstdio>

#include "commands.hpp"
#include "interruption.hpp"
#include "json.hpp"
#include "library.hpp"
#include "npy_file.hpp"
#include "options.hpp"
#include "output_path.hpp"
#include "progress_bar.hpp"
#include "recording.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

constexpr const char* notes =
    "AUDIO is what libsndfile reads (WAV, FLAC, Ogg, ...), of any sample rate and number of\n"
    "channels; `-` is standard input. What is longer than the model's window of 30 s is encoded\n"
    "in consecutive windows, the last one continued with silence. The states are float32,\n"
    "[windows][n_ctx][n_state]: one every 20 ms. Nothing is written unless all has been encoded.\n"
    "\n";

struct Arguments {
    std::string audio, model, output;
    int32_t device_type = NPUENC_DEVICE_AUTO, precision = NPUENC_PRECISION_AUTO;
    uint32_t n_threads = 0;
    bool json = false;
};

// Encodes window after window, watching for interruptions.
class Encoding {
  public:
    Encoding(const Context& context, const Model& model)
        : model_(model), run_(context.make_run()) {}

    // Returns the states until the next call.
    const float* encode(const std::vector<float>& pcm, ProgressBar& bar, uint64_t expected) {
        npuenc_encode_desc desc{};
        desc.struct_size = sizeof desc;
        desc.n_per_item = static_cast<uint32_t>(pcm.size());
        size_t bytes = 0;
        check(npuenc_encode_size(model_.get(), &desc, &bytes));
        states_.resize(bytes / sizeof(float));
        check(npuenc_encode_submit(model_.get(), &desc, pcm.data(), pcm.size() * sizeof(float),
                                   nullptr, 0, states_.data(), bytes, run_.get()));
        wait(bar, expected);
        wall_ns_ += stats_of(run_.get()).wall_ns;
        ++n_windows_;
        return states_.data();
    }

    double seconds() const { return static_cast<double>(wall_ns_) * 1e-9; }

  private:
    void wait(ProgressBar& bar, uint64_t expected) const {
        constexpr int64_t patience_ns = 50'000'000;
        int32_t status;
        while ((status = npuenc_run_wait(run_.get(), patience_ns)) == NPUENC_E_PENDING) {
            if (interrupted())
                npuenc_run_cancel(run_.get());
            uint32_t done = 0, total = 0;
            check(npuenc_run_progress(run_.get(), &done, &total));
            const double window = total ? static_cast<double>(done) / total : 0;
            bar.show((static_cast<double>(n_windows_) + window) / static_cast<double>(expected),
                     format("window %llu of %llu", static_cast<unsigned long long>(n_windows_ + 1),
                            static_cast<unsigned long long>(expected)));
        }
        throw_if_interrupted();
        check(status);
    }

    const Model& model_;
    std::vector<float> states_; // the run may still write here until it has gone
    RunHandle run_;
    uint64_t wall_ns_ = 0, n_windows_ = 0;
};

struct Result {
    const Arguments& arguments;
    const Context& context;
    npuenc_model_info model;
    const Recording& recording;
    const NpyFile& states;
    double seconds;

    double times_real_time() const { return recording.seconds() / seconds; }
};

void print_text(const Result& result, std::FILE* stream) {
    const AudioFile& file = result.recording.file();
    const NpyFile& states = result.states;
    print_line(stream, "device", device_text(result.context));
    print_line(stream, "precision", precision_name(result.model.precision));
    print_line(stream, "model",
               format("%s (%s, %s), %s", result.model.name, result.model.format,
                      result.model.weight_type, result.arguments.model.c_str()));
    print_line(stream, "audio",
               format("%.2f s in %s, %u Hz, %s, %s", result.recording.seconds(),
                      count_text(states.n_items(), "window").c_str(), file.rate(),
                      count_text(file.n_channels(), "channel").c_str(), file.name().c_str()));
    print_line(stream, "time",
               format("%.3f s, %.1f times real time", result.seconds, result.times_real_time()));
    print_line(stream, "states",
               format("float32 [%llu][%zu][%zu], %s",
                      static_cast<unsigned long long>(states.n_items()), states.rows(),
                      states.columns(),
                      states.path() == "-" ? "standard output" : states.path().c_str()));
}

void print_json(const Result& result, std::FILE* stream) {
    const npuenc_ctx_info device = result.context.info();
    const AudioFile& file = result.recording.file();
    Json()
        .begin_object()
        .member("device", device_name(device.device_type))
        .member("device_name", result.context.device().name)
        .member("isa", device.isa)
        .member("threads", device.n_threads)
        .member("device_reason", result.context.reason())
        .member("precision", precision_name(result.model.precision))
        .member("model", result.model.name)
        .member("model_path", result.arguments.model)
        .member("model_format", result.model.format)
        .member("weight_type", result.model.weight_type)
        .member("audio", result.arguments.audio)
        .member("audio_seconds", result.recording.seconds())
        .member("sample_rate", file.rate())
        .member("channels", file.n_channels())
        .member("windows", result.states.n_items())
        .member("encode_seconds", result.seconds)
        .member("times_real_time", result.times_real_time())
        .member("output", result.states.path())
        .key("shape")
        .begin_array()
        .value(result.states.n_items())
        .value(result.states.rows())
        .value(result.states.columns())
        .end_array()
        .end_object()
        .print(stream);
}

void encode(const Arguments& arguments) {
    catch_interruptions();
    const std::string& model_path = required_model(arguments.model);
    const std::string output = output_path(arguments.audio, arguments.output, ".npy");
    Recording recording(arguments.audio);
    const Context context(arguments.device_type, arguments.n_threads);
    const Model model(context, model_path, arguments.precision);
    const npuenc_model_info info = model.info();
    const size_t length = model.samples_per_window();
    NpyFile states(output, info.n_ctx, info.n_state);
    Encoding encoding(context, model);
    {
        ProgressBar bar;
        const uint64_t expected = recording.expected_windows(length);
        std::vector<float> pcm;
        while (throw_if_interrupted(), !(pcm = recording.next_window(length)).empty())
            states.append(encoding.encode(pcm, bar, expected));
    }
    states.commit();
    (arguments.json ? print_json
                    : print_text)({arguments, context, info, recording, states, encoding.seconds()},
                                  output == "-" ? stderr : stdout);
}

} // namespace

int run_encode(int argc, char** argv) {
    Arguments arguments;
    const std::string help = std::string(notes) + models_help;
    const auto operands =
        parse({"encode",
               "AUDIO",
               "Writes the encoder's states of a recording to a .npy file.",
               {model_option(arguments.model), device_option(arguments.device_type),
                precision_option(arguments.precision), threads_option(arguments.n_threads),
                output_option(arguments.output,
                              "where to write; default: AUDIO's name with .npy in the current\n"
                              "directory; `-`: standard output, and messages to standard error"),
                json_option(arguments.json)},
               help.c_str()},
              argc, argv);
    if (!operands)
        return exit_ok;
    arguments.audio = only_operand(*operands, "AUDIO");
    encode(arguments);
    return exit_ok;
}

} // namespace npuenc
