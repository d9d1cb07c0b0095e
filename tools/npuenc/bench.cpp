// SPDX-License-Identifier: MIT
// npuenc bench: speed and memory of a model here.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "commands.hpp"
#include "json.hpp"
#include "measurement.hpp"
#include "options.hpp"
#include "progress_bar.hpp"
#include "recording.hpp"
#include "synthetic_audio.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

constexpr uint32_t product_size = 512;
constexpr ProductType product_types[] = {
    {"f32 x f32 -> f32", NPUENC_F32, NPUENC_F32},
    {"bf16 x bf16 -> f32", NPUENC_BF16, NPUENC_F32},
    {"int8 x int8 -> int32", NPUENC_S8, NPUENC_S32},
};

constexpr const char* notes =
    "Encodes one window of 30 s at least ten times, with 1 thread and with all (or N): the first\n"
    "30 s of AUDIO, which are continued with silence, or a chirp in noise, made by this command.\n"
    "Without --model: those that tools/fetch-model has put into the cache. Every measurement is\n"
    "made in a process of its own; peak memory is that process's.\n"
    "\n"
    "`npuenc bench npu` measures what the host does for an NPU (see its --help).\n"
    "\n";

struct Arguments {
    std::string audio, model;
    int32_t device_type = NPUENC_DEVICE_AUTO, precision = NPUENC_PRECISION_AUTO;
    uint32_t n_threads = 0;
    bool profile = false, json = false;
};

struct EncodeRow {
    std::string path;
    EncodeMeasurement measured;
};

struct ProductRow {
    const ProductType* type;
    uint32_t n_threads;
    ProductMeasurement measured;
};

struct Results {
    std::string input;
    bool profile;
    std::vector<EncodeRow> encodes;
    std::vector<ProductRow> products;
};

double milliseconds(uint64_t ns) {
    return static_cast<double>(ns) * 1e-6;
}

// Two operations for each multiply-add.
double gflops(uint64_t macs, uint64_t ns) {
    return ns ? 2 * static_cast<double>(macs) / static_cast<double>(ns) : 0;
}

uint64_t product_macs() {
    return uint64_t{product_size} * product_size * product_size;
}

double times_real_time(const EncodeMeasurement& measured) {
    return measured.model.n_ctx / 50.0 / (static_cast<double>(measured.times.min_ns) * 1e-9);
}

// Of the fastest run.
double share(uint64_t ns, const EncodeMeasurement& measured) {
    return static_cast<double>(ns) / static_cast<double>(measured.times.min_ns);
}

// What the whole took, by the clock around it, beyond its parts.
uint64_t between_operators(const EncodeMeasurement& measured) {
    uint64_t rest = measured.times.min_ns;
    for (uint32_t i = 0; i < measured.n_operators; ++i)
        rest -= measured.operators[i].wall_ns;
    return rest;
}

// One for each name, in the order in which they first ran.
std::vector<npuenc_op_info> summed_over_layers(const EncodeMeasurement& measured) {
    std::vector<npuenc_op_info> sums;
    for (uint32_t i = 0; i < measured.n_operators; ++i) {
        const npuenc_op_info& info = measured.operators[i];
        const auto sum = std::find_if(sums.begin(), sums.end(), [&](const npuenc_op_info& known) {
            return std::strcmp(known.name, info.name) == 0;
        });
        if (sum == sums.end()) {
            sums.push_back(info);
        } else {
            sum->n_calls += info.n_calls;
            sum->wall_ns += info.wall_ns;
            sum->macs += info.macs;
        }
    }
    return sums;
}

std::vector<float> recorded_audio(const std::string& path) {
    std::vector<float> pcm = Recording(path).next_window(window_samples);
    pcm.resize(window_samples);
    return pcm;
}

// ${XDG_CACHE_HOME:-~/.cache}/npuenc/models, as tools/fetch-model has it.
std::vector<std::string> cached_models() {
    namespace fs = std::filesystem;
    const char* given = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const fs::path cache =
        given && *given == '/' ? fs::path(given) : fs::path(home ? home : "/") / ".cache";
    std::vector<std::string> found;
    for (const char* name : {"tiny.en", "base"}) {
        const fs::path path = cache / "npuenc" / "models" / name;
        std::error_code error;
        if (fs::is_regular_file(path / "model.bin", error))
            found.push_back(path.string());
    }
    if (found.empty())
        fail(exit_usage,
             "no model: name one with --model PATH, or fetch one with `tools/fetch-model tiny.en`\n"
             "(%s has none)\n%s",
             (cache / "npuenc" / "models").c_str(), models_help);
    return found;
}

Option profile_option(bool& profile) {
    return {"profile", nullptr,
            "show where the time of the fastest run goes, operator by operator;\n"
            "with --json one by one for each layer, else summed over layers",
            [&profile](const char*) { profile = true; }};
}

std::vector<uint32_t> thread_counts(uint32_t given) {
    const uint32_t most = given ? given : std::max(1u, list_devices().front().n_cores);
    return most == 1 ? std::vector<uint32_t>{1} : std::vector<uint32_t>{1, most};
}

Results measure(const Arguments& arguments) {
    const std::vector<std::string> models =
        arguments.model.empty() ? cached_models() : std::vector<std::string>{arguments.model};
    const std::vector<uint32_t> threads = thread_counts(arguments.n_threads);
    const std::vector<float> pcm =
        arguments.audio.empty() ? synthetic_window() : recorded_audio(arguments.audio);
    Results results;
    results.input = arguments.audio.empty() ? "synthetic: a chirp in noise" : arguments.audio;
    results.profile = arguments.profile;

    ProgressBar bar;
    const double steps =
        static_cast<double>((models.size() + std::size(product_types)) * threads.size());
    const auto show = [&](const std::string& note) {
        bar.show(static_cast<double>(results.encodes.size() + results.products.size()) / steps,
                 note);
    };
    for (const std::string& path : models)
        for (const uint32_t n_threads : threads) {
            show(path + ", " + count_text(n_threads, "thread"));
            results.encodes.push_back(
                {path, measure_encode({path, arguments.device_type, arguments.precision, n_threads,
                                       pcm, arguments.profile})});
        }
    for (const ProductType& type : product_types)
        for (const uint32_t n_threads : threads) {
            show(std::string(type.name) + ", " + count_text(n_threads, "thread"));
            results.products.push_back(
                {&type, n_threads,
                 measure_product(type, product_size, arguments.device_type, n_threads)});
        }
    return results;
}

void print_operators(const EncodeMeasurement& measured) {
    std::printf("\n%s, %s, %s: the fastest run, summed over layers\n"
                "%-22s %6s %9s %7s %8s\n",
                measured.model.name, precision_name(measured.model.precision),
                count_text(measured.n_threads, "thread").c_str(), "operator", "calls", "ms",
                "share", "GFLOPS");
    const auto print_row = [&](const char* name, const std::string& calls, uint64_t ns,
                               uint64_t macs) {
        std::printf("%-22s %6s %9.2f %5.1f %%", name, calls.c_str(), milliseconds(ns),
                    100 * share(ns, measured));
        if (macs)
            std::printf(" %8.1f", gflops(macs, ns));
        std::printf("\n");
    };
    for (const npuenc_op_info& sum : summed_over_layers(measured))
        print_row(sum.name, std::to_string(sum.n_calls), sum.wall_ns, sum.macs);
    print_row("between operators", "", between_operators(measured), 0);
    print_row("all", "", measured.times.min_ns, measured.macs);
}

void print_text(const Results& results) {
    const npuenc_device_info& device = results.encodes.front().measured.device;
    print_line(stdout, "npuenc", npuenc_version_string());
    print_line(stdout, "device",
               format("%s: %s, %s", device_name(device.device_type), device.name, device.isa));
    print_line(stdout, "input", results.input + ", one window");

    std::printf("\n%-10s %-9s %7s %9s %9s %10s %11s %8s %9s %5s\n", "model", "precision", "threads",
                "load ms", "min ms", "median ms", "x real time", "GFLOPS", "peak MiB", "runs");
    for (const EncodeRow& row : results.encodes) {
        const EncodeMeasurement& measured = row.measured;
        std::printf("%-10s %-9s %7u %9.1f %9.2f %10.2f %11.1f %8.1f %9.1f %5u\n",
                    measured.model.name, precision_name(measured.model.precision),
                    measured.n_threads, milliseconds(measured.load_ns),
                    milliseconds(measured.times.min_ns), milliseconds(measured.times.median_ns),
                    times_real_time(measured), gflops(measured.macs, measured.times.min_ns),
                    static_cast<double>(measured.peak_bytes) / (1 << 20), measured.times.n_runs);
    }
    if (results.profile)
        for (const EncodeRow& row : results.encodes)
            print_operators(row.measured);

    std::printf("\n%-22s %7s %9s %10s %8s %5s\n", "matmul 512 x 512 x 512", "threads", "min ms",
                "median ms", "GFLOPS", "runs");
    for (const ProductRow& row : results.products) {
        const Times& times = row.measured.times;
        if (row.measured.supported)
            std::printf("%-22s %7u %9.3f %10.3f %8.1f %5u\n", row.type->name, row.n_threads,
                        milliseconds(times.min_ns), milliseconds(times.median_ns),
                        gflops(product_macs(), times.min_ns), times.n_runs);
        else
            std::printf("%-22s %7u not supported by this device\n", row.type->name, row.n_threads);
    }
}

void append_times(Json& json, const Times& times, uint64_t macs) {
    json.member("runs", times.n_runs)
        .member("min_ms", milliseconds(times.min_ns))
        .member("median_ms", milliseconds(times.median_ns))
        .member("gflops", gflops(macs, times.min_ns));
}

void append_operators(Json& json, const EncodeMeasurement& measured) {
    json.key("operators").begin_array();
    for (uint32_t i = 0; i < measured.n_operators; ++i) {
        const npuenc_op_info& info = measured.operators[i];
        json.begin_object()
            .member("name", info.name)
            .member("layer", info.layer)
            .member("device", device_name(info.device_type))
            .member("precision", precision_name(info.precision))
            .member("calls", info.n_calls)
            .member("ms", milliseconds(info.wall_ns))
            .member("share", share(info.wall_ns, measured))
            .member("gflops", gflops(info.macs, info.wall_ns))
            .end_object();
    }
    json.end_array().member("between_operators_ms", milliseconds(between_operators(measured)));
}

void print_json(const Results& results) {
    const npuenc_device_info& device = results.encodes.front().measured.device;
    Json json;
    json.begin_object()
        .member("version", npuenc_version_string())
        .member("device", device_name(device.device_type))
        .member("device_name", device.name)
        .member("isa", device.isa)
        .member("input", results.input)
        .key("encode")
        .begin_array();
    for (const EncodeRow& row : results.encodes) {
        const EncodeMeasurement& measured = row.measured;
        json.begin_object()
            .member("model", measured.model.name)
            .member("model_path", row.path)
            .member("precision", precision_name(measured.model.precision))
            .member("threads", measured.n_threads)
            .member("load_ms", milliseconds(measured.load_ns))
            .member("peak_bytes", measured.peak_bytes)
            .member("times_real_time", times_real_time(measured));
        append_times(json, measured.times, measured.macs);
        if (results.profile)
            append_operators(json, measured);
        json.end_object();
    }
    json.end_array().key("matmul").begin_array();
    for (const ProductRow& row : results.products) {
        json.begin_object()
            .member("types", row.type->name)
            .member("size", product_size)
            .member("threads", row.n_threads)
            .member("supported", row.measured.supported);
        append_times(json, row.measured.times, row.measured.supported ? product_macs() : 0);
        json.end_object();
    }
    json.end_array().end_object().print(stdout);
}

} // namespace

int run_bench(int argc, char** argv) {
    if (argc > 1 && std::strcmp(argv[1], "npu") == 0)
        return run_bench_npu(argc - 1, argv + 1);
    Arguments arguments;
    const std::string help = std::string(notes) + models_help;
    const auto operands =
        parse({"bench",
               "[AUDIO]",
               "Measures speed, memory and load time.",
               {model_option(arguments.model), device_option(arguments.device_type),
                precision_option(arguments.precision), threads_option(arguments.n_threads),
                profile_option(arguments.profile), json_option(arguments.json)},
               help.c_str()},
              argc, argv);
    if (!operands)
        return exit_ok;
    if (!operands->empty())
        arguments.audio = only_operand(*operands, "AUDIO");
    const Results results = measure(arguments);
    (arguments.json ? print_json : print_text)(results);
    return exit_ok;
}

} // namespace npuenc
