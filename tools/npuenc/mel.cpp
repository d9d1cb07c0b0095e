// SPDX-License-Identifier: MIT
// npuenc mel: a recording in, its log-mel spectrogram out.
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

constexpr uint32_t frames_per_window = 3000; // 30 s
constexpr size_t samples_per_window = size_t{160} * frames_per_window;

constexpr const char* notes =
    "AUDIO is what libsndfile reads (WAV, FLAC, Ogg, ...), of any sample rate and number of\n"
    "channels; `-` is standard input. The spectrogram is Whisper's, float32,\n"
    "[windows][bands][3000], in consecutive windows of 30 s, the last one continued with silence.\n"
    "It is computed on the CPU. Nothing is written unless all has been computed.\n";

struct Arguments {
    std::string audio, output;
    uint32_t n_mels = 80, n_threads = 0;
    bool json = false;
};

struct Result {
    const Arguments& arguments;
    const Recording& recording;
    const NpyFile& mel;
};

void print_text(const Result& result, std::FILE* stream) {
    const AudioFile& file = result.recording.file();
    print_line(stream, "audio",
               format("%.2f s in %s, %u Hz, %s, %s", result.recording.seconds(),
                      count_text(result.mel.n_items(), "window").c_str(), file.rate(),
                      count_text(file.n_channels(), "channel").c_str(), file.name().c_str()));
    print_line(stream, "mel",
               format("float32 [%llu][%zu][%zu], %s",
                      static_cast<unsigned long long>(result.mel.n_items()), result.mel.rows(),
                      result.mel.columns(),
                      result.mel.path() == "-" ? "standard output" : result.mel.path().c_str()));
}

void print_json(const Result& result, std::FILE* stream) {
    const AudioFile& file = result.recording.file();
    Json()
        .begin_object()
        .member("audio", result.arguments.audio)
        .member("audio_seconds", result.recording.seconds())
        .member("sample_rate", file.rate())
        .member("channels", file.n_channels())
        .member("windows", result.mel.n_items())
        .member("output", result.mel.path())
        .key("shape")
        .begin_array()
        .value(result.mel.n_items())
        .value(result.mel.rows())
        .value(result.mel.columns())
        .end_array()
        .end_object()
        .print(stream);
}

void compute(const Arguments& arguments) {
    catch_interruptions();
    const std::string output = output_path(arguments.audio, arguments.output, ".mel.npy");
    Recording recording(arguments.audio);
    const Context context(NPUENC_DEVICE_CPU, arguments.n_threads);
    npuenc_mel_desc desc{};
    desc.struct_size = sizeof desc;
    desc.n_mels = arguments.n_mels;
    desc.n_frames = frames_per_window;
    NpyFile file(output, arguments.n_mels, frames_per_window);
    {
        ProgressBar bar;
        const uint64_t expected = recording.expected_windows(samples_per_window);
        std::vector<float> mel(size_t{arguments.n_mels} * frames_per_window), pcm;
        while (throw_if_interrupted(), !(pcm = recording.next_window(samples_per_window)).empty()) {
            check(npuenc_mel(context.get(), &desc, pcm.data(), pcm.size() * sizeof(float),
                             mel.data(), mel.size() * sizeof(float), nullptr));
            file.append(mel.data());
            bar.show(static_cast<double>(file.n_items()) / static_cast<double>(expected),
                     format("window %llu of %llu", static_cast<unsigned long long>(file.n_items()),
                            static_cast<unsigned long long>(expected)));
        }
    }
    file.commit();
    (arguments.json ? print_json : print_text)({arguments, recording, file},
                                               output == "-" ? stderr : stdout);
}

} // namespace

int run_mel(int argc, char** argv) {
    Arguments arguments;
    const Option mels{"mels", "N", "bands: 80 (the default) or 128 (large-v3)",
                      [&](const char* text) {
                          arguments.n_mels = number_argument("mels", text, 80, 128);
                          if (arguments.n_mels != 80 && arguments.n_mels != 128)
                              fail(exit_usage, "--mels is '%s', expected 80 or 128", text);
                      }};
    const auto operands =
        parse({"mel",
               "AUDIO",
               "Writes the log-mel spectrogram of a recording to a .npy file.",
               {mels, threads_option(arguments.n_threads),
                output_option(arguments.output,
                              "where to write; default: AUDIO's name with .mel.npy in the current\n"
                              "directory; `-`: standard output, and messages to standard error"),
                json_option(arguments.json)},
               notes},
              argc, argv);
    if (!operands)
        return exit_ok;
    arguments.audio = only_operand(*operands, "AUDIO");
    compute(arguments);
    return exit_ok;
}

} // namespace npuenc
