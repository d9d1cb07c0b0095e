// SPDX-License-Identifier: MIT
// npuenc bench npu: what the host does for an NPU, tile by tile against whole products, attention
// and layers; and, apart from it, what the array does in simulated cycles.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "bare_products.hpp"
#include "base_model.hpp"
#include "commands.hpp"
#include "json.hpp"
#include "naive_product.hpp"
#include "npu/module.hpp"
#include "npu/weight.hpp"
#include "npu_measurement.hpp"
#include "options.hpp"
#include "progress_bar.hpp"
#include "simulated_array.hpp"
#include "synthetic_audio.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

constexpr uint32_t sizes[] = {16, 64, 128, 512};

struct BatchedProduct {
    NpuProductType type;
    const GemmOverlay& overlay;
};
const BatchedProduct products[] = {
    {{"int8 to int32", NPUENC_S8, NPUENC_S32}, gemm_s8_s32},
    {{"int8 to int8", NPUENC_S8, NPUENC_S8}, gemm_s8_s8},
    {{"bf16 to f32", NPUENC_BF16, NPUENC_F32}, gemm_bf16_f32},
};

struct Precision {
    const char* name;
    int32_t precision, type;
    const GemmOverlay &of_layer, &of_scores; // its products, and those of queries with keys
};
const Precision precisions[] = {
    {"int8", NPUENC_PRECISION_INT8, NPUENC_S8, gemm_s8_s16, gemm_s8_s32},
    {"bf16", NPUENC_PRECISION_BF16, NPUENC_BF16, gemm_bf16_s16, gemm_bf16_f32},
};

constexpr double clocks_ghz[] = {0.8, 1.03, 1.6};
// From one start of a shim's task to the next, measured on hardware by xdna-emu.
constexpr uint64_t cycles_per_push = 2800;
constexpr double launch_ms = 0.1; // of a command on hardware, measured by several others

// Work for the array, done so many times.
struct Piece {
    ArrayWork work;
    uint64_t times;
};

struct Row {
    std::string what, way;
    uint64_t n_calls; // of the library, or of tiles
    NpuMeasurement measured;
    std::vector<Piece> pieces;
    std::optional<ArrayCost> array;
};

// An encode's products by themselves.
struct Bare {
    std::string what;
    std::vector<ProductChain> chains;
    BareCost cost;

    size_t n_products() const {
        size_t n = 0;
        for (const ProductChain& chain : chains)
            n += chain.size();
        return n;
    }
};

// What one layer more costs, of the same model, that is in its own precision.
struct Layer {
    const char* precision;
    uint64_t submissions, syncs;
    std::vector<Piece> pieces;
    std::optional<ArrayCost> array;
};

struct Results {
    npuenc_device_info device;
    npuenc_ctx_info opened;
    std::vector<Row> products, attentions, encodes;
    std::vector<Bare> bare;
    std::vector<Layer> layers;
    uint64_t submissions = 0, syncs = 0; // of all calls, warm-ups and repetitions included
};

// The part that is done, of all measurements.
class Progress {
  public:
    void begin(const std::string& what) {
        note_ = what;
        ++n_begun_;
        show(0);
    }
    void show(double part_of_step) {
        bar_.show((static_cast<double>(n_begun_ - 1) + part_of_step) / n_steps, note_);
    }

  private:
    static constexpr double n_steps =
        std::size(sizes) * (1 + std::size(products)) + std::size(precisions) * 7 + 2; // about

    ProgressBar bar_;
    std::string note_;
    size_t n_begun_ = 0;
};

std::string cube_text(uint32_t size) {
    return format("%u x %u x %u", size, size, size);
}

Context open_npu(uint32_t n_threads) {
    try {
        return Context(NPUENC_DEVICE_NPU, n_threads);
    } catch (const LibraryFailure& failure) {
        fail(exit_not_found, "an NPU is needed: %s\n`npuenc doctor` tells more", failure.what());
    }
}

void measure_batched_products(const Context& context, Progress& progress, Results& results) {
    for (const uint32_t size : sizes)
        for (const BatchedProduct& product : products) {
            Row row{cube_text(size) + ", " + product.type.name, "batched", 1, {}, {}, {}};
            progress.begin(row.what);
            row.measured = measure_batched_product(context, product.type, size);
            row.pieces = {{product_work(product.overlay, size, size, size), 1}};
            results.products.push_back(std::move(row));
        }
}

void measure_attentions(const Context& npu, uint32_t n_threads, Progress& progress,
                        Results& results) {
    constexpr uint32_t n_head = 8, length = base_n_ctx, head_dim = 64;
    progress.begin("attention");
    results.attentions.push_back({"1 head x 64 positions, int8",
                                  "fused on the array",
                                  1,
                                  measure_attention(npu, NPUENC_S8, 1, 64),
                                  {{one_to_one_work(attention_s8_64x64, 1), 1}},
                                  {}});
    const Context cpu(NPUENC_DEVICE_CPU, n_threads);
    for (const Precision& precision : precisions) {
        const std::string what =
            format("%u heads x %u positions, %s", n_head, length, precision.name);
        progress.begin(what);
        results.attentions.push_back(
            {what,
             "products on the array",
             1,
             measure_attention(npu, precision.type, n_head, length),
             {{product_work(precision.of_scores, length, length, head_dim), n_head},
              {product_work(gemm_bf16_f32, length, head_dim, length), n_head}},
             {}});
        results.attentions.push_back({what,
                                      "fused on the CPU",
                                      1,
                                      measure_attention(cpu, precision.type, n_head, length),
                                      {},
                                      {}});
    }
}

std::vector<Piece> products_of_a_layer(const Precision& precision) {
    constexpr size_t rows = base_n_ctx, n = base_n_state;
    const auto product = [&](size_t n_out, size_t n_in) {
        const size_t depth =
            linear_depth(static_cast<npuenc_precision>(precision.precision), true, n_in);
        return Piece{product_work(precision.of_layer, rows, n_out, depth), 1};
    };
    std::vector<Piece> pieces = {product(3 * n, n), product(n, n)};
    if (precision.precision == NPUENC_PRECISION_BF16)
        for (ArrayWork& work : mlp_work(rows, n, 4 * n, n))
            pieces.push_back({std::move(work), 1});
    else
        pieces.insert(pieces.end(), {product(4 * n, n), product(n, 4 * n)});
    return pieces;
}

void measure_encodes(const Context& context, const std::string& model_path, Progress& progress,
                     Results& results) {
    const std::vector<float> pcm = synthetic_window();
    const auto measure = [&](const Model& model, const std::string& what) -> const npuenc_stats& {
        Bare bare{what, {}, {}};
        results.encodes.push_back(
            {what, "encode", 1, measure_window(context, model, pcm, bare.chains), {}, {}});
        results.bare.push_back(std::move(bare));
        return results.encodes.back().measured.cost;
    };
    // Base has six; where a model is encoded too, what a layer costs is all that is asked here. In
    // int8 the first two are wider.
    constexpr size_t wide_layers = 2;
    const size_t most_layers = model_path.empty() ? 6 : wide_layers + 1;
    for (const Precision& precision : precisions) {
        npuenc_stats with_wide{}, with_all{};
        for (const size_t n_layer : {size_t{1}, wide_layers, most_layers}) {
            const std::string what = format("base's shape, %s, %s",
                                            count_text(n_layer, "layer").c_str(), precision.name);
            progress.begin(what);
            (n_layer < most_layers ? with_wide : with_all) =
                measure(Model(context, random_base_model(n_layer), precision.precision), what);
        }
        const auto of_a_layer = [&](uint64_t npuenc_stats::*count) {
            return (with_all.*count - with_wide.*count) / (most_layers - wide_layers);
        };
        results.layers.push_back({precision.name,
                                  of_a_layer(&npuenc_stats::n_submissions),
                                  of_a_layer(&npuenc_stats::n_syncs),
                                  products_of_a_layer(precision),
                                  {}});
    }
    if (model_path.empty())
        return;
    for (const Precision& precision : precisions) {
        progress.begin(model_path);
        const Model model(context, model_path, precision.precision);
        measure(model, format("%s, 30 s, %s", model.info().name, precision.name));
    }
}

void measure_bare_products(Progress& progress, Results& results) {
    BareProducts alone(results.device.bus_address, results.opened.n_threads);
    for (Bare& bare : results.bare) {
        progress.begin(bare.what + ", its products alone");
        bare.cost = alone.measure(bare.chains);
        results.submissions += bare.cost.n_submissions;
        results.syncs += bare.cost.n_syncs;
    }
}

void measure_naive_products(Progress& progress, Results& results) {
    const OverlayCatalog overlays;
    const Session session(Module::instance().functions(), results.device.bus_address);
    NaiveProduct product(session, overlays);
    std::vector<Row> rows;
    for (const uint32_t size : sizes) {
        Row row{cube_text(size) + ", int8", "tile by tile", 0, {}, {}, {}};
        progress.begin(row.what + ", tile by tile");
        row.measured.n_runs = 1;
        row.measured.cost = product.run(size, [&](double part) { progress.show(part); });
        row.n_calls = row.measured.cost.n_calls;
        row.pieces = {{one_to_one_work(matmul_s8_16x16, 1), row.n_calls}};
        rows.push_back(std::move(row));
    }
    results.products.insert(results.products.begin(), rows.begin(), rows.end());
    results.submissions += product.n_calls();
    results.syncs += 2 * product.n_calls();
}

// Every piece of work once, however often it occurs.
void simulate_all(Progress& progress, Results& results) {
    progress.begin("the array, simulated");
    std::vector<ArrayWork> works;
    const auto place_of = [&](const ArrayWork& work) {
        const auto found = std::find_if(works.begin(), works.end(),
                                        [&](const ArrayWork& known) { return known.is_as(work); });
        const auto place = static_cast<size_t>(found - works.begin());
        if (found == works.end())
            works.push_back(work);
        return place;
    };
    const auto for_each_part = [&](const auto& visit) {
        for (std::vector<Row>* rows : {&results.products, &results.attentions, &results.encodes})
            for (Row& row : *rows)
                visit(row.pieces, row.array);
        for (Layer& layer : results.layers)
            visit(layer.pieces, layer.array);
    };
    for_each_part([&](const std::vector<Piece>& pieces, const auto&) {
        for (const Piece& piece : pieces)
            place_of(piece.work);
    });
    const std::optional<std::vector<ArrayCost>> costs = simulate(works, OverlayCatalog());
    for_each_part([&](const std::vector<Piece>& pieces, std::optional<ArrayCost>& sum) {
        if (!costs || pieces.empty())
            return;
        sum = ArrayCost{};
        for (const Piece& piece : pieces) {
            const ArrayCost& cost = (*costs)[place_of(piece.work)];
            sum->cycles += piece.times * cost.cycles;
            sum->pushes += piece.times * cost.pushes;
        }
    });
}

Results measure(const std::string& model_path, uint32_t n_threads) {
    Progress progress;
    Results results;
    {
        const Context context = open_npu(n_threads);
        results.device = context.device();
        results.opened = context.info();
        measure_batched_products(context, progress, results);
        measure_attentions(context, n_threads, progress, results);
        measure_encodes(context, model_path, progress, results);
        const npuenc_stats all = context.stats();
        results.submissions = all.n_submissions;
        results.syncs = all.n_syncs;
    }
    measure_bare_products(progress, results);
    measure_naive_products(progress, results);
    simulate_all(progress, results);
    return results;
}

double milliseconds(uint64_t ns) {
    return static_cast<double>(ns) * 1e-6;
}

double milliseconds_of(uint64_t cycles, double ghz) {
    return static_cast<double>(cycles) / (ghz * 1e6);
}

// What the wall clock saw beyond all that has a name.
uint64_t rest_ns(const NpuMeasurement& measured) {
    const npuenc_stats& cost = measured.cost;
    const uint64_t named = host_ns(cost) + cost.device_ns + measured.cpu_operators;
    return cost.wall_ns - std::min(cost.wall_ns, named);
}

template <typename Print>
void print_rows(const Results& results, const Print& print) {
    for (const std::vector<Row>* rows : {&results.products, &results.attentions, &results.encodes})
        for (const Row& row : *rows)
            print(row);
}

unsigned long long printable(uint64_t number) {
    return number;
}

void print_counts(const Results& results) {
    std::printf("\n%-38s %-21s %6s %11s %7s %13s %13s\n", "One call of each", "", "calls",
                "submissions", "syncs", "bytes to it", "bytes from it");
    print_rows(results, [](const Row& row) {
        const npuenc_stats& cost = row.measured.cost;
        std::printf("%-38s %-21s %6llu %11llu %7llu %13llu %13llu\n", row.what.c_str(),
                    row.way.c_str(), printable(row.n_calls), printable(cost.n_submissions),
                    printable(cost.n_syncs), printable(cost.bytes_to_device),
                    printable(cost.bytes_from_device));
    });
    for (const Layer& layer : results.layers)
        std::printf("%-60s %6s %11llu %7llu\n",
                    format("each further layer of base, %s", layer.precision).c_str(), "",
                    printable(layer.submissions), printable(layer.syncs));
}

void print_host(const Results& results) {
    std::printf(
        "\nHost, ms of wall clock, measured; the fastest of so many runs. \"waited\" is for "
        "the device,\nreal or virtual, by the same clock\n"
        "%-38s %-21s %8s %8s %8s %8s %8s %8s %9s %9s %8s %4s\n",
        "", "", "pack", "submit", "sync", "unpack", "add up", "for NPU", "CPU's own", "waited",
        "rest", "runs");
    print_rows(results, [](const Row& row) {
        const npuenc_stats& cost = row.measured.cost;
        std::printf("%-38s %-21s %8.3f %8.3f %8.3f %8.3f %8.3f %8.3f %9.3f %9.3f %8.3f %4u\n",
                    row.what.c_str(), row.way.c_str(), milliseconds(cost.pack_ns),
                    milliseconds(cost.submit_ns), milliseconds(cost.sync_ns),
                    milliseconds(cost.unpack_ns), milliseconds(cost.accumulate_ns),
                    milliseconds(host_ns(cost)), milliseconds(row.measured.cpu_operators),
                    milliseconds(cost.device_ns), milliseconds(rest_ns(row.measured)),
                    row.measured.n_runs);
    });
}

void print_bare(const Results& results) {
    std::printf(
        "\nOf \"for NPU\", ms outside of the operators that run on the CPU: the same products "
        "without norms,\nquantisation, scales, bias, GELU and addition. \"CPU time\" is "
        "that of one thread that does it all\n%-60s %8s %8s %8s %8s %8s %8s\n",
        "", "pack", "submit", "sync", "unpack", "all", "CPU time");
    for (const Bare& bare : results.bare) {
        const npuenc_stats& cost = bare.cost.wall;
        std::printf("%-38s %-21s %8.3f %8.3f %8.3f %8.3f %8.3f %8.3f\n", bare.what.c_str(),
                    "encode", milliseconds(cost.pack_ns), milliseconds(cost.submit_ns),
                    milliseconds(cost.sync_ns), milliseconds(cost.unpack_ns),
                    milliseconds(bare.cost.outside_ns), milliseconds(bare.cost.cpu_ns));
    }
}

void print_array_row(const std::string& what, const char* way,
                     const std::optional<ArrayCost>& array) {
    if (!array)
        return;
    std::printf("%-38s %-21s %11llu", what.c_str(), way, printable(array->cycles));
    for (const double ghz : clocks_ghz)
        std::printf(" %8.3f", milliseconds_of(array->cycles, ghz));
    std::printf(" %8llu %11llu", printable(array->pushes),
                printable(array->pushes * cycles_per_push));
    for (const double ghz : clocks_ghz)
        std::printf(" %8.3f",
                    milliseconds_of(array->cycles + array->pushes * cycles_per_push, ghz));
    std::printf("\n");
}

void print_array(const Results& results) {
    if (!results.products.front().array) {
        std::printf("\nThis build has no simulator of the array.\n");
        return;
    }
    std::printf("\nArray, simulated cycles, at 0.8, 1.03 and 1.6 GHz in ms; then with %llu cycles "
                "for each queue\npush, as others measured on hardware. Launching a command takes "
                "about %.1f ms more (measured by\nothers), which is not counted\n"
                "%-38s %-21s %11s",
                printable(cycles_per_push), launch_ms, "", "", "cycles");
    const auto print_clocks = [] {
        for (const double ghz : clocks_ghz)
            std::printf(" %8s", format("%.2f GHz", ghz).c_str());
    };
    print_clocks();
    std::printf(" %8s %11s", "pushes", "push cycles");
    print_clocks();
    std::printf("\n");
    print_rows(results,
               [](const Row& row) { print_array_row(row.what, row.way.c_str(), row.array); });
    for (const Layer& layer : results.layers)
        print_array_row(format("a layer of base, %s", layer.precision), "its products",
                        layer.array);
}

void print_text(const Results& results) {
    const npuenc_device_info& device = results.device;
    print_line(stdout, "npuenc", npuenc_version_string());
    print_line(stdout, "device",
               format("npu: %s, %s, %s, firmware %s, %s", device.name, device.bus_address,
                      device.driver, device.firmware, device.runtime));
    print_line(stdout, "host",
               format("%s, %s, %s", list_devices().front().name, list_devices().front().isa,
                      count_text(results.opened.n_threads, "thread").c_str()));
    print_counts(results);
    print_host(results);
    print_bare(results);
    print_array(results);
}

void append_array(Json& json, const std::optional<ArrayCost>& array) {
    if (!array)
        return;
    const uint64_t push_cycles = array->pushes * cycles_per_push;
    json.key("array")
        .begin_object()
        .member("simulated_cycles", array->cycles)
        .member("pushes", array->pushes)
        .member("push_cycles", push_cycles)
        .key("clocks")
        .begin_array();
    for (const double ghz : clocks_ghz)
        json.begin_object()
            .member("ghz", ghz)
            .member("ms", milliseconds_of(array->cycles, ghz))
            .member("ms_with_pushes", milliseconds_of(array->cycles + push_cycles, ghz))
            .end_object();
    json.end_array().end_object();
}

void append_row(Json& json, const Row& row) {
    const npuenc_stats& cost = row.measured.cost;
    json.begin_object()
        .member("name", row.what)
        .member("way", row.way)
        .member("calls", row.n_calls)
        .member("runs", row.measured.n_runs)
        .member("submissions", cost.n_submissions)
        .member("syncs", cost.n_syncs)
        .member("bytes_to_device", cost.bytes_to_device)
        .member("bytes_from_device", cost.bytes_from_device)
        .member("pack_ms", milliseconds(cost.pack_ns))
        .member("submit_ms", milliseconds(cost.submit_ns))
        .member("sync_ms", milliseconds(cost.sync_ns))
        .member("unpack_ms", milliseconds(cost.unpack_ns))
        .member("accumulate_ms", milliseconds(cost.accumulate_ns))
        .member("host_ms", milliseconds(host_ns(cost)))
        .member("cpu_operators_ms", milliseconds(row.measured.cpu_operators))
        .member("waited_ms", milliseconds(cost.device_ns))
        .member("rest_ms", milliseconds(rest_ns(row.measured)))
        .member("wall_ms", milliseconds(cost.wall_ns));
    append_array(json, row.array);
    json.end_object();
}

void print_json(const Results& results) {
    const npuenc_device_info& device = results.device;
    Json json;
    json.begin_object()
        .member("version", npuenc_version_string())
        .member("device_name", device.name)
        .member("bus_address", device.bus_address)
        .member("driver", device.driver)
        .member("firmware", device.firmware)
        .member("runtime", device.runtime)
        .member("threads", results.opened.n_threads)
        .member("cycles_per_push", cycles_per_push)
        .member("launch_ms_not_counted", launch_ms);
    const std::pair<const char*, const std::vector<Row>*> sections[] = {
        {"products", &results.products},
        {"attention", &results.attentions},
        {"encode", &results.encodes}};
    for (const auto& [name, rows] : sections) {
        json.key(name).begin_array();
        for (const Row& row : *rows)
            append_row(json, row);
        json.end_array();
    }
    json.key("outside_operators").begin_array();
    for (const Bare& bare : results.bare) {
        const npuenc_stats& cost = bare.cost.wall;
        json.begin_object()
            .member("name", bare.what)
            .member("submissions", uint64_t{bare.chains.size()})
            .member("products", uint64_t{bare.n_products()})
            .member("all_submissions", bare.cost.n_submissions)
            .member("all_syncs", bare.cost.n_syncs)
            .member("pack_ms", milliseconds(cost.pack_ns))
            .member("submit_ms", milliseconds(cost.submit_ns))
            .member("sync_ms", milliseconds(cost.sync_ns))
            .member("unpack_ms", milliseconds(cost.unpack_ns))
            .member("all_ms", milliseconds(bare.cost.outside_ns))
            .member("cpu_time_ms", milliseconds(bare.cost.cpu_ns))
            .end_object();
    }
    json.end_array().key("layers").begin_array();
    for (const Layer& layer : results.layers) {
        json.begin_object()
            .member("precision", layer.precision)
            .member("submissions", layer.submissions)
            .member("syncs", layer.syncs);
        append_array(json, layer.array);
        json.end_object();
    }
    json.end_array()
        .key("all_calls")
        .begin_object()
        .member("submissions", results.submissions)
        .member("syncs", results.syncs)
        .end_object()
        .end_object()
        .print(stdout);
}

constexpr const char* notes =
    "Tile by tile, each product of 16 x 16 x 16 is a submission with two synchronisations, and\n"
    "the host adds up; batched, a whole product is one submission with two. Layers have base's\n"
    "shape and random weights; with --model, 30 s of audio are encoded, too. The host's times are\n"
    "measured; those of the array are cycles of a simulator and no part of them.\n"
    "\n";

} // namespace

int run_bench_npu(int argc, char** argv) {
    std::string model;
    uint32_t n_threads = 0;
    bool json = false;
    const std::string help = std::string(notes) + models_help;
    if (!parse_options(
            {"bench npu",
             "",
             "Measures what the host does for an NPU, real or virtual, and simulates the array.",
             {model_option(model), threads_option(n_threads), json_option(json)},
             help.c_str()},
            argc, argv))
        return exit_ok;
    const Results results = measure(model, n_threads);
    (json ? print_json : print_text)(results);
    return exit_ok;
}

} // namespace npuenc
