// SPDX-License-Identifier: MIT
// npuenc selftest: the library's operators on the opened device against plain loops.
//
// Bounds: a sum of n products in f32, in whatever order, fused or not, is within n * u of the sum
// of their magnitudes, u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, 2002,
// section 3.1). Inputs for bf16 are numbers that bf16 holds exactly.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numbers>
#include <optional>
#include <span>

#include "commands.hpp"
#include "error.hpp"
#include "json.hpp"
#include "kernels/aie2/container/sha256.hpp"
#include "library.hpp"
#include "npu/overlay_catalog.hpp"
#include "options.hpp"
#include "plain_operators.hpp"
#include "pseudo_random.hpp"
#include "system.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

constexpr double u = 0x1p-24;        // half the distance of neighbours at 1, in f32
constexpr double bf16_u = 0x1p-8;    // in bf16
constexpr double tiniest = 0x1p-126; // keeps bounds of zeros above zero

// Of an NPU's own kernel for int8 attention, and with exact arithmetic.
constexpr uint32_t kernel_positions = 64;
constexpr double least_correlation = 0.99;

// The largest error as a part of its bound; above 1 is a failure.
class Worst {
  public:
    void compare(double found, double expected, double bound) {
        const double part = std::abs(found - expected) / (bound + tiniest);
        if (!(part <= worst_)) // a NaN too
            worst_ = std::isnan(part) ? INFINITY : part;
    }

    void compare_exactly(int64_t found, int64_t expected) {
        if (found != expected)
            worst_ = INFINITY;
    }

    double get() const { return worst_; }

  private:
    double worst_ = 0;
};

// FNV-1a (Fowler, Noll, Vo), 64 bits.
uint64_t hash_of(std::span<const std::byte> bytes) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const std::byte byte : bytes)
        hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001b3;
    return hash;
}

struct Outcome {
    double worst = 0;
    std::optional<uint64_t> hash{}; // of integer results
    double milliseconds = 0;        // that the library took
};

struct Check {
    const char* name;
    bool is_f32; // which an NPU lacks; what else a device refuses is a failure
    std::function<Outcome(const Context&)> run;
};

struct Verdict {
    const char* name;
    const char* result; // "ok", "FAILED", "unsupported"
    std::string detail;
    Outcome outcome;
};

// A file of programs for the array.
struct OverlayReport {
    const char* name;
    std::string sha256; // empty when it cannot be used
    std::string detail; // its path, or why not
};

// Calls the library and says how many milliseconds it took; throws LibraryFailure.
template <typename Call>
double timed(const Call& call) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    check(call());
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Numbers in an operator's type beside the same as doubles.
struct Operand {
    int32_t type;
    std::vector<double> values;
    std::vector<std::byte> bytes;

    Operand(int32_t element_type, size_t count) : type(element_type), values(count) {
        bytes.resize(count * element_size());
    }

    size_t element_size() const {
        switch (type) {
        case NPUENC_S8:
            return 1;
        case NPUENC_BF16:
            return 2;
        default:
            return 4;
        }
    }

    template <typename Element>
    Element* as() {
        return reinterpret_cast<Element*>(bytes.data());
    }

    void set(size_t i, double value) {
        values[i] = value;
        if (type == NPUENC_S8)
            as<int8_t>()[i] = static_cast<int8_t>(value);
        else if (type == NPUENC_BF16) // exact, so the lower half is zero
            as<uint16_t>()[i] =
                static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16);
        else
            as<float>()[i] = static_cast<float>(value);
    }

    // Takes over as doubles what the library has written.
    void read_back() {
        for (size_t i = 0; i < values.size(); ++i)
            if (type == NPUENC_S8)
                values[i] = as<int8_t>()[i];
            else if (type == NPUENC_S32)
                values[i] = as<int32_t>()[i];
            else if (type == NPUENC_BF16)
                values[i] = std::bit_cast<float>(uint32_t{as<uint16_t>()[i]} << 16);
            else
                values[i] = double{as<float>()[i]};
    }

    // S8: the whole range; BF16: multiples of 1/128 in [-1, 1); F32: [-1, 1).
    static Operand random(int32_t type, size_t count, uint64_t seed) {
        Operand operand(type, count);
        PseudoRandom random(seed);
        for (size_t i = 0; i < count; ++i)
            operand.set(i, type == NPUENC_S8     ? random.byte()
                           : type == NPUENC_BF16 ? random.byte() / 128.0
                                                 : double{random.uniform()});
        return operand;
    }
};

struct MatmulCase {
    int32_t in_type, out_type;
    uint32_t m, n, k;
    uint32_t flags;
};

Outcome check_matmul(const Context& context, const MatmulCase& test) {
    constexpr float s8_scale = 0x1p-9f;
    constexpr int32_t s8_zero_point = -3;
    const Operand a = Operand::random(test.in_type, size_t{test.m} * test.k, 1);
    const Operand b = Operand::random(test.in_type, size_t{test.k} * test.n, 2);
    Operand c(test.out_type, size_t{test.m} * test.n);

    npuenc_matmul_desc desc{};
    desc.struct_size = sizeof desc;
    desc.a_type = desc.b_type = test.in_type;
    desc.c_type = test.out_type;
    desc.m = test.m;
    desc.n = test.n;
    desc.k = test.k;
    desc.flags = test.flags;
    if (test.out_type == NPUENC_S8) {
        desc.scale = s8_scale;
        desc.zero_point = s8_zero_point;
    }
    const double milliseconds = timed([&] {
        return npuenc_matmul(context.get(), &desc, a.bytes.data(), a.bytes.size(), b.bytes.data(),
                             b.bytes.size(), c.bytes.data(), c.bytes.size(), nullptr);
    });
    c.read_back();

    Worst worst;
    const std::vector<plain::Sum> sums = plain::matmul(a.values, b.values, test.m, test.n, test.k,
                                                       test.flags & NPUENC_MATMUL_B_TRANSPOSED);
    for (size_t i = 0; i < sums.size(); ++i) {
        const double expected = sums[i].value;
        const double bound = test.k * u * sums[i].magnitude;
        if (test.out_type == NPUENC_S8) // the product with a power of two is exact
            worst.compare_exactly(
                static_cast<int64_t>(c.values[i]),
                std::clamp<int64_t>(std::llrint(expected * s8_scale) + s8_zero_point, -128, 127));
        else if (test.out_type == NPUENC_S32)
            worst.compare_exactly(static_cast<int64_t>(c.values[i]),
                                  static_cast<int64_t>(expected));
        else if (test.out_type == NPUENC_BF16)
            worst.compare(c.values[i], expected, bound + bf16_u * (std::abs(expected) + bound));
        else
            worst.compare(c.values[i], expected, bound);
    }
    if (test.in_type == NPUENC_S8)
        return {worst.get(), hash_of(c.bytes), milliseconds};
    return {worst.get(), {}, milliseconds};
}

// y = x W^T + bias. For int8 each row of x holds multiples of 2^-5 up to 127 of them, so that its
// scale is 2^-5 and nothing is lost in quantisation.
Outcome check_linear(const Context& context, int32_t weight_type) {
    constexpr uint32_t rows = 37, n_in = 130, n_out = 67;
    Operand weight = Operand::random(weight_type, size_t{n_out} * n_in, 3);
    const Operand bias = Operand::random(NPUENC_F32, n_out, 4);
    Operand scales(NPUENC_F32, weight_type == NPUENC_S8 ? n_out : 0);
    for (size_t j = 0; j < scales.values.size(); ++j)
        scales.set(j, static_cast<double>(1 + j % 7) * 0x1p-8);
    Operand x = Operand::random(weight_type == NPUENC_S8 ? NPUENC_F32 : weight_type,
                                size_t{rows} * n_in, 5);
    if (weight_type == NPUENC_S8)
        for (size_t i = 0; i < x.values.size(); ++i)
            x.set(i, i % n_in == 0 ? 127 * 0x1p-5 : std::rint(127 * x.values[i]) * 0x1p-5);

    npuenc_weight_desc weight_desc{};
    weight_desc.struct_size = sizeof weight_desc;
    weight_desc.type = weight_type;
    weight_desc.n_out = n_out;
    weight_desc.n_in = n_in;
    npuenc_weight* created = nullptr;
    check(
        npuenc_weight_create(context.get(), &weight_desc, weight.bytes.data(), weight.bytes.size(),
                             scales.bytes.empty() ? nullptr : scales.bytes.data(),
                             scales.bytes.size(), bias.bytes.data(), bias.bytes.size(), &created));
    const WeightHandle handle(created);

    npuenc_linear_desc desc{};
    desc.struct_size = sizeof desc;
    desc.x_type = x.type;
    desc.y_type = NPUENC_F32;
    desc.rows = rows;
    Operand y(NPUENC_F32, size_t{rows} * n_out);
    const double milliseconds = timed([&] {
        return npuenc_linear(handle.get(), &desc, x.bytes.data(), x.bytes.size(), y.bytes.data(),
                             y.bytes.size(), nullptr);
    });
    y.read_back();

    for (size_t i = 0; weight_type == NPUENC_S8 && i < weight.values.size(); ++i)
        weight.values[i] *= scales.values[i / n_in];
    Worst worst;
    const std::vector<plain::Sum> sums =
        plain::matmul(x.values, weight.values, rows, n_out, n_in, true);
    for (size_t i = 0; i < sums.size(); ++i) {
        const double addend = bias.values[i % n_out];
        // The bias is one more term; two more roundings scale an int32 sum.
        worst.compare(y.values[i], sums[i].value + addend,
                      (n_in + 3) * u * (sums[i].magnitude + std::abs(addend)));
    }
    return {worst.get(), {}, milliseconds};
}

// Errors relative to the sum of |p v|: scores are off by (head_dim + 2) u of their magnitude, which
// changes a probability by twice that in the numerator and in the denominator; exp, itself within
// 16 u, sums over the keys, the quotient and the product add theirs.
double attention_error(const plain::AttentionShape& shape, double score_magnitude) {
    const double score_error = static_cast<double>(shape.head_dim + 2) * u * score_magnitude;
    return 4 * score_error + static_cast<double>(2 * shape.kv_len + 48) * u;
}

// Pearson's.
double correlation(const std::vector<double>& found, const std::vector<double>& expected) {
    const auto n = static_cast<double>(found.size());
    double sum_x = 0, sum_y = 0, sum_xx = 0, sum_yy = 0, sum_xy = 0;
    for (size_t i = 0; i < found.size(); ++i) {
        const double x = found[i], y = expected[i];
        sum_x += x;
        sum_y += y;
        sum_xx += x * x;
        sum_yy += y * y;
        sum_xy += x * y;
    }
    return (n * sum_xy - sum_x * sum_y) /
           std::sqrt((n * sum_xx - sum_x * sum_x) * (n * sum_yy - sum_y * sum_y));
}

struct AttentionCase {
    int32_t type;
    uint32_t length;
    bool causal;
};

Outcome check_attention(const Context& context, const AttentionCase& test) {
    const int32_t type = test.type;
    const plain::AttentionShape shape{
        2, 64, test.length, test.length, type == NPUENC_S8 ? 0x1p-13 : 0.5, test.causal};
    const size_t count = shape.q_len * shape.n_head * shape.head_dim;
    const Operand q = Operand::random(type, count, 6), k = Operand::random(type, count, 7),
                  v = Operand::random(type, count, 8);
    Operand out(type, count);
    constexpr float out_scale = 0.25f;

    npuenc_attention_desc desc{};
    desc.struct_size = sizeof desc;
    desc.type = type;
    desc.n_head = static_cast<uint32_t>(shape.n_head);
    desc.head_dim = static_cast<uint32_t>(shape.head_dim);
    desc.q_len = static_cast<uint32_t>(shape.q_len);
    desc.kv_len = static_cast<uint32_t>(shape.kv_len);
    desc.mask = test.causal ? NPUENC_MASK_CAUSAL : NPUENC_MASK_NONE;
    desc.scale = static_cast<float>(shape.scale);
    if (type == NPUENC_S8)
        desc.out_scale = out_scale;
    const double milliseconds = timed([&] {
        return npuenc_attention(context.get(), &desc, q.bytes.data(), q.bytes.size(),
                                k.bytes.data(), k.bytes.size(), v.bytes.data(), v.bytes.size(),
                                nullptr, 0, out.bytes.data(), out.bytes.size(), nullptr);
    });
    out.read_back();

    Worst worst;
    const std::vector<plain::AttentionSum> sums =
        plain::attention(shape, q.values, k.values, v.values);
    for (size_t i = 0; i < count; ++i) {
        const double error = attention_error(shape, sums[i].score_magnitude) * sums[i].magnitude;
        if (type == NPUENC_S8) // probabilities in bf16; clamping brings no two further apart
            worst.compare(out.values[i],
                          std::clamp(sums[i].value / double{out_scale}, -128.0, 127.0),
                          0.5 + (error + bf16_u * sums[i].magnitude) / double{out_scale});
        else if (type == NPUENC_BF16) // probability, its sum, its scaling and the result rounded
            worst.compare(out.values[i], sums[i].value, error + 4 * bf16_u * sums[i].magnitude);
        else
            worst.compare(out.values[i], sums[i].value, error);
    }
    if (type != NPUENC_S8)
        return {worst.get(), {}, milliseconds};
    if (test.length != kernel_positions || context.info().device_type != NPUENC_DEVICE_NPU)
        return {worst.get(), hash_of(out.bytes), milliseconds};
    // The array's own kernel for this size has an exponential made of tangents, which no bound of
    // single elements fits.
    std::vector<double> expected(count);
    for (size_t i = 0; i < count; ++i)
        expected[i] = std::clamp(sums[i].value / double{out_scale}, -128.0, 127.0);
    return {(1 - correlation(out.values, expected)) / (1 - least_correlation), hash_of(out.bytes),
            milliseconds};
}

// Three seconds of three tones in noise; npuenc_mel promises 1e-4.
Outcome check_mel(const Context& context, uint32_t n_mels) {
    constexpr uint32_t n_frames = 300;
    std::vector<float> pcm(size_t{160} * n_frames);
    PseudoRandom random(9);
    for (size_t i = 0; i < pcm.size(); ++i) {
        const double turn = 2 * std::numbers::pi * static_cast<double>(i) / sample_rate;
        pcm[i] = static_cast<float>(0.4 * std::sin(440 * turn) + 0.2 * std::sin(1234 * turn) +
                                    0.05 * std::sin(5000 * turn)) +
                 0.01f * random.uniform();
    }
    npuenc_mel_desc desc{};
    desc.struct_size = sizeof desc;
    desc.n_mels = n_mels;
    desc.n_frames = n_frames;
    std::vector<float> found(size_t{n_mels} * n_frames);
    const double milliseconds = timed([&] {
        return npuenc_mel(context.get(), &desc, pcm.data(), pcm.size() * sizeof(float),
                          found.data(), found.size() * sizeof(float), nullptr);
    });
    Worst worst;
    const std::vector<double> expected = plain::mel(pcm, n_mels, n_frames);
    for (size_t i = 0; i < found.size(); ++i)
        worst.compare(double{found[i]}, expected[i], 1e-4);
    return {worst.get(), {}, milliseconds};
}

Check matmul_check(const char* name, const MatmulCase& test) {
    return {name, test.in_type == NPUENC_F32,
            [=](const Context& context) { return check_matmul(context, test); }};
}

Check linear_check(const char* name, int32_t weight_type) {
    return {name, weight_type == NPUENC_F32,
            [=](const Context& context) { return check_linear(context, weight_type); }};
}

Check attention_check(const char* name, const AttentionCase& test) {
    return {name, test.type == NPUENC_F32,
            [=](const Context& context) { return check_attention(context, test); }};
}

Check mel_check(const char* name, uint32_t n_mels) {
    return {name, false, [=](const Context& context) { return check_mel(context, n_mels); }};
}

// Odd sizes leave rests in every direction; 512 is what an NPU takes in whole tiles.
std::vector<Check> all_checks() {
    constexpr uint32_t transposed = NPUENC_MATMUL_B_TRANSPOSED;
    return {
        matmul_check("matmul f32", {NPUENC_F32, NPUENC_F32, 37, 67, 130, 0}),
        matmul_check("matmul f32 transposed", {NPUENC_F32, NPUENC_F32, 37, 67, 130, transposed}),
        matmul_check("matmul bf16 to f32", {NPUENC_BF16, NPUENC_F32, 37, 67, 130, 0}),
        matmul_check("matmul bf16 to bf16", {NPUENC_BF16, NPUENC_BF16, 37, 67, 130, 0}),
        matmul_check("matmul int8 to int32", {NPUENC_S8, NPUENC_S32, 37, 67, 130, 0}),
        matmul_check("matmul int8 to int32 512", {NPUENC_S8, NPUENC_S32, 512, 512, 512, 0}),
        matmul_check("matmul int8 to int8", {NPUENC_S8, NPUENC_S8, 37, 67, 130, 0}),
        linear_check("linear f32", NPUENC_F32),
        linear_check("linear bf16", NPUENC_BF16),
        linear_check("linear int8", NPUENC_S8),
        attention_check("attention f32", {NPUENC_F32, 64, false}),
        attention_check("attention f32 causal", {NPUENC_F32, 64, true}),
        attention_check("attention bf16", {NPUENC_BF16, 64, false}),
        attention_check("attention int8", {NPUENC_S8, 70, false}),
        attention_check("attention int8 64", {NPUENC_S8, kernel_positions, false}),
        mel_check("mel 80", 80),
        mel_check("mel 128", 128),
    };
}

Verdict judge(const Check& check, const Context& context) {
    Verdict verdict{check.name, "ok", {}, {}};
    try {
        verdict.outcome = check.run(context);
        const double worst = verdict.outcome.worst;
        if (!(worst <= 1))
            verdict.result = "FAILED";
        verdict.detail =
            format(worst <= 1 ? "error %.2f of its bound" : "error %.3g of its bound", worst);
    } catch (const LibraryFailure& failure) {
        const bool unsupported = check.is_f32 && failure.status() == NPUENC_E_UNSUPPORTED;
        verdict.result = unsupported ? "unsupported" : "FAILED";
        verdict.detail = failure.what();
    }
    return verdict;
}

size_t count(const std::vector<Verdict>& verdicts, std::string_view result) {
    return static_cast<size_t>(
        std::count_if(verdicts.begin(), verdicts.end(),
                      [&](const Verdict& verdict) { return verdict.result == result; }));
}

size_t count_failed(const std::vector<Verdict>& verdicts) {
    return count(verdicts, "FAILED");
}

// Those of an NPU; a CPU has none.
std::vector<OverlayReport> overlays_of(const Context& context) {
    std::vector<OverlayReport> reports;
    if (context.info().device_type != NPUENC_DEVICE_NPU)
        return reports;
    const OverlayCatalog overlays;
    for (const char* name : OverlayCatalog::names()) {
        OverlayReport report{name, {}, {}};
        try {
            const OverlayFile& overlay = overlays.get(name);
            for (const uint8_t byte : aie2::sha256(overlay.xclbin))
                report.sha256 += format("%02x", byte);
            report.detail = overlay.path;
        } catch (const Error& error) {
            report.detail = error.what();
        }
        reports.push_back(std::move(report));
    }
    return reports;
}

std::string hash_text(uint64_t hash) {
    return format("%016llx", static_cast<unsigned long long>(hash));
}

void print_text(const Context& context, const std::vector<Verdict>& verdicts) {
    const npuenc_device_info device = context.device();
    print_line(stdout, "npuenc", npuenc_version_string());
    print_line(stdout, "system", system_text());
    print_line(stdout, "device", device_text(context));
    const std::pair<const char*, const char*> details[] = {{"bus", device.bus_address},
                                                           {"driver", device.driver},
                                                           {"firmware", device.firmware},
                                                           {"runtime", device.runtime}};
    for (const auto& [label, text] : details)
        if (*text)
            print_line(stdout, label, text);
    for (const OverlayReport& overlay : overlays_of(context))
        print_line(stdout, "overlay",
                   overlay.sha256.empty()
                       ? format("%s: %s", overlay.name, overlay.detail.c_str())
                       : format("%s, sha256 %s", overlay.name, overlay.sha256.c_str()));
    std::printf("\n");
    for (const Verdict& verdict : verdicts) {
        std::printf("%-11s %-25s %9.2f ms  %s", verdict.result, verdict.name,
                    verdict.outcome.milliseconds, verdict.detail.c_str());
        if (verdict.outcome.hash)
            std::printf(", hash %s", hash_text(*verdict.outcome.hash).c_str());
        std::printf("\n");
    }
    const size_t n_failed = count_failed(verdicts), n_unsupported = count(verdicts, "unsupported");
    if (n_failed == 0)
        std::printf(
            "\nNone of %zu checks failed.%s\n", verdicts.size(),
            n_unsupported
                ? format(" %zu are of what the device does not support.", n_unsupported).c_str()
                : "");
    else
        std::printf("\n%zu of %zu checks FAILED. Please report this with all of the above.\n",
                    n_failed, verdicts.size());
}

void print_json(const Context& context, const std::vector<Verdict>& verdicts) {
    const npuenc_device_info device = context.device();
    const npuenc_ctx_info opened = context.info();
    Json json;
    json.begin_object()
        .member("version", npuenc_version_string())
        .member("system", system_text())
        .member("device", device_name(opened.device_type))
        .member("device_name", device.name)
        .member("isa", opened.isa)
        .member("threads", opened.n_threads)
        .member("device_reason", context.reason())
        .member("bus_address", device.bus_address)
        .member("driver", device.driver)
        .member("firmware", device.firmware)
        .member("runtime", device.runtime)
        .key("overlays")
        .begin_array();
    for (const OverlayReport& overlay : overlays_of(context))
        json.begin_object()
            .member("name", overlay.name)
            .member("sha256", overlay.sha256)
            .member("detail", overlay.detail)
            .end_object();
    json.end_array().member("failed", count_failed(verdicts)).key("checks").begin_array();
    for (const Verdict& verdict : verdicts) {
        json.begin_object()
            .member("name", verdict.name)
            .member("result", verdict.result)
            .member("ms", verdict.outcome.milliseconds)
            .member("detail", verdict.detail);
        if (verdict.outcome.hash)
            json.member("hash", hash_text(*verdict.outcome.hash));
        json.end_object();
    }
    json.end_array().end_object().print(stdout);
}

} // namespace

int run_selftest(int argc, char** argv) {
    int32_t device_type = NPUENC_DEVICE_AUTO;
    uint32_t n_threads = 0;
    bool json = false;
    if (!parse_options(
            {"selftest",
             "",
             "Runs operators on the device and compares with plain loops in double precision. The\n"
             "output is what to send with a report about wrong results. Hashes of int8 products\n"
             "are the same everywhere; that of int8 attention may differ where a result is nearly\n"
             "halfway between two integers.",
             {device_option(device_type), threads_option(n_threads), json_option(json)},
             ""},
            argc, argv))
        return exit_ok;
    const Context context(device_type, n_threads);
    std::vector<Verdict> verdicts;
    for (const Check& test : all_checks())
        verdicts.push_back(judge(test, context));
    (json ? print_json : print_text)(context, verdicts);
    return count_failed(verdicts) ? exit_failed : exit_ok;
}

} // namespace npuenc
