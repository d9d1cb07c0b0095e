// SPDX-License-Identifier: MIT
// Log-mel spectrograms against the definition in double, librosa's filters, transformers' values.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <numbers>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "audio/mel.hpp"

// Last, for it makes a macro of a name as common as fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

static std::atomic<size_t> n_allocations;

void* operator new(size_t size) {
    ++n_allocations;
    if (void* memory = std::malloc(size))
        return memory;
    throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}

using namespace npuenc;

namespace {

constexpr double pi = std::numbers::pi;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr uint32_t both[] = {80, 128};

using Signal = std::vector<float>;

// Uniform in [-1, 1), the same everywhere.
class Noise {
  public:
    double operator()() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<double>(static_cast<int64_t>(state_) >> 11) * 0x1p-52;
    }

  private:
    uint64_t state_ = 1;
};

template <typename F>
Signal signal(size_t n, F&& f) {
    Signal result(n);
    for (size_t i = 0; i < n; ++i)
        result[i] = static_cast<float>(f(static_cast<double>(i)));
    return result;
}

Signal noise(size_t n, double amplitude = 1) {
    Noise next;
    return signal(n, [&](double) { return amplitude * next(); });
}

double tone(double i, double hertz) {
    return std::sin(2 * pi * hertz * i / 16000);
}

// whisper/audio.py, word by word, in double; the transform is the sum that defines it.
class Definition {
  public:
    Definition(const Signal& pcm, uint32_t n_frames) : n_frames_(n_frames) {
        const long length = static_cast<long>(n_frames) * 160;
        power_.reserve(n_frames);
        for (long frame = 0; frame < static_cast<long>(n_frames); ++frame) {
            double x[400];
            for (long n = 0; n < 400; ++n) {
                long i = frame * 160 + n - 200;
                while (i < 0 || i >= length)
                    i = i < 0 ? -i : 2 * (length - 1) - i;
                const auto from = static_cast<size_t>(i);
                x[n] = from < pcm.size() ? window(n) * static_cast<double>(pcm[from]) : 0;
            }
            power_.push_back(power_of(x));
        }
    }

    std::vector<double> mel(uint32_t n_mels) const {
        const std::vector<std::vector<double>> filters = filters_of(n_mels);
        std::vector<double> result(size_t{n_mels} * n_frames_);
        double maximum = -infinity;
        for (size_t band = 0; band < n_mels; ++band) {
            for (size_t frame = 0; frame < n_frames_; ++frame) {
                double sum = 0;
                for (size_t bin = 0; bin <= 200; ++bin)
                    sum += filters[band][bin] * power_[frame][bin];
                double& value = result[band * n_frames_ + frame];
                value = std::log10(std::max(sum, 1e-10));
                maximum = std::max(maximum, value);
            }
        }
        for (double& value : result)
            value = (std::max(value, maximum - 8) + 4) / 4;
        return result;
    }

    static double window(long n) { return 0.5 - 0.5 * std::cos(2 * pi * n / 400); }

    static std::vector<double> power_of(const double (&x)[400]) {
        static const std::vector<std::pair<double, double>> circle = [] {
            std::vector<std::pair<double, double>> points(400);
            for (int i = 0; i < 400; ++i) {
                const long double angle = 2 * std::numbers::pi_v<long double> * i / 400;
                points[static_cast<size_t>(i)] = {static_cast<double>(std::cos(angle)),
                                                  static_cast<double>(-std::sin(angle))};
            }
            return points;
        }();
        std::vector<double> power(201);
        for (size_t k = 0; k <= 200; ++k) {
            double re = 0, im = 0;
            for (size_t n = 0; n < 400; ++n) {
                re += x[n] * circle[n * k % 400].first;
                im += x[n] * circle[n * k % 400].second;
            }
            power[k] = re * re + im * im;
        }
        return power;
    }

  private:
    static std::vector<std::vector<double>> filters_of(uint32_t n_mels) {
        const double f_sp = 200.0 / 3, log_step = std::log(6.4) / 27;
        const double mel_max = 15 + std::log(8.0) / log_step;
        std::vector<double> corner(n_mels + 2);
        for (size_t i = 0; i < corner.size(); ++i) {
            const double mel = mel_max * static_cast<double>(i) / (n_mels + 1);
            corner[i] = mel >= 15 ? 1000 * std::exp(log_step * (mel - 15)) : f_sp * mel;
        }
        std::vector<std::vector<double>> filters(n_mels, std::vector<double>(201));
        for (size_t i = 0; i < n_mels; ++i) {
            for (size_t bin = 0; bin <= 200; ++bin) {
                const double hertz = 40.0 * static_cast<double>(bin);
                const double lower = (hertz - corner[i]) / (corner[i + 1] - corner[i]);
                const double upper = (corner[i + 2] - hertz) / (corner[i + 2] - corner[i + 1]);
                filters[i][bin] =
                    std::max(0.0, std::min(lower, upper)) * 2 / (corner[i + 2] - corner[i]);
            }
        }
        return filters;
    }

    size_t n_frames_;
    std::vector<std::vector<double>> power_; // [frame][bin]
};

std::vector<float> compute(const MelSpectrogram& mel, const Signal& pcm, uint32_t n_frames,
                           Parallel& parallel) {
    constexpr float guard = 12345;
    const size_t n = size_t{mel.n_mels()} * n_frames;
    std::vector<float> result(n + 1, guard);
    mel.compute(pcm.data(), pcm.size(), n_frames, result.data(), parallel);
    assert_true(result[n] == guard);
    result.pop_back();
    return result;
}

std::vector<float> compute(uint32_t n_mels, const Signal& pcm, uint32_t n_frames) {
    Serial serial;
    return compute(MelSpectrogram(n_mels), pcm, n_frames, serial);
}

// What mel.hpp promises. With y = 1 + z, u = 2^-24 and z made of an exponent's part and a rest
// below 0.04: 1.04e-7 for the fraction that is cut off, 3e-9 for the series, 1e-8 for the rounding
// of the rest, |z| 2u for the exponent's part (constant and product), |z| u and |y| u for the sums.
// The floor has the error of the maximum, which is y + 2, and another |y| u. All that is below
// 4.2e-7 + 3e-7 |y|. The double transforms add some 1e-12.
double bound(double y) {
    return 5e-7 * (1 + std::fabs(y));
}

double worst(const std::vector<float>& found, const std::vector<double>& expected) {
    assert_int_equal(found.size(), expected.size());
    double error = 0;
    for (size_t i = 0; i < found.size(); ++i) {
        const double e = std::fabs(static_cast<double>(found[i]) - expected[i]);
        if (!(e <= bound(expected[i])))
            fail_msg("value %zu of %zu: expected %.9g, found %.9g", i, found.size(), expected[i],
                     static_cast<double>(found[i]));
        error = std::max(error, e);
    }
    return error;
}

void check(const char* name, const Signal& pcm, uint32_t n_frames) {
    const Definition definition(pcm, n_frames);
    for (const uint32_t n_mels : both) {
        const double error = worst(compute(n_mels, pcm, n_frames), definition.mel(n_mels));
        print_message("%-32s %3u bands, %4u frames: max abs error %.2e\n", name, n_mels, n_frames,
                      error);
    }
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Frequencies of corners err by some ulps of 8000 Hz, 1e-11 Hz, where filters are 190 Hz wide and
// more, and by less where they are narrower: less than 1e-14 in a weight.
void filters_are_those_of_librosa(void**) {
    struct Probe {
        uint32_t n_mels, band, bin;
        double weight;
    };
    constexpr Probe probes[] = {
#include "librosa_filters.inc"
    };
    for (const Probe& probe : probes) {
        const MelFilter filter = mel_filters(probe.n_mels).at(probe.band);
        assert_true(probe.bin >= filter.first_bin);
        const double weight = filter.weights.at(probe.bin - filter.first_bin);
        assert_true(std::fabs(weight - probe.weight) <= 1e-14);
    }

    struct Whole {
        uint32_t n_mels;
        size_t n_weights;
        double sum;
    };
    for (const Whole& whole : {Whole{80, 391, 1.9990241029178577}, //
                               Whole{128, 394, 3.1909855285406996}}) {
        size_t n_weights = 0;
        double sum = 0;
        const std::vector<MelFilter> filters = mel_filters(whole.n_mels);
        assert_int_equal(filters.size(), whole.n_mels);
        for (const MelFilter& filter : filters) {
            n_weights += filter.weights.size();
            for (const double weight : filter.weights)
                sum += weight;
        }
        assert_int_equal(n_weights, whole.n_weights);
        assert_true(std::fabs(sum - whole.sum) <= 1e-12);
    }
}

// A sum of 400 products with factors of one ulp errs by less than 402 u |x|_1, u = 2^-53, in
// whatever order it is taken, |X| is at most |x|_1, and there are two such sums to compare.
void power_is_that_of_the_sum(void**) {
    constexpr size_t n_frames = PowerSpectrum::n_frames;
    const PowerSpectrum spectrum;
    Signal samples = noise((n_frames - 1) * hop_length + n_fft);
    for (size_t i = 0; i < 1500; ++i)
        samples[i] *= 1e-6f; // loud frames must not be heard in quiet ones
    double power[n_bins][n_frames];
    spectrum.compute(samples.data(), power[0]);
    for (size_t frame = 0; frame < n_frames; ++frame) {
        double x[400], norm = 0;
        for (size_t n = 0; n < 400; ++n) {
            x[n] = Definition::window(static_cast<long>(n)) *
                   static_cast<double>(samples[frame * hop_length + n]);
            norm += std::fabs(x[n]);
        }
        const std::vector<double> expected = Definition::power_of(x);
        for (size_t bin = 0; bin < n_bins; ++bin) {
            assert_true(std::fabs(power[bin][frame] - expected[bin]) <=
                        4 * 402 * 0x1p-53 * norm * norm);
        }
    }
}

void usual_signals(void**) {
    constexpr uint32_t n_frames = 300;
    constexpr size_t n = n_frames * hop_length;
    check("noise", noise(n), n_frames);
    check("quiet noise", noise(n, 1e-4), n_frames);
    check("sweep", signal(n, [](double i) { return std::sin(pi * i * i / (2 * n)); }), n_frames);
    check("constant", signal(n, [](double) { return 0.5; }), n_frames);
    check("noise, then padding", noise(20001), n_frames);
}

void hard_signals(void**) {
    constexpr uint32_t n_frames = 300;
    constexpr size_t n = n_frames * hop_length;
    check("tones 100 dB apart",
          signal(n, [](double i) { return tone(i, 3000) + 1e-5 * tone(i, 500); }), n_frames);
    check("tones 100 dB apart, in turn",
          signal(n, [](double i) { return (i < 24000 ? 1 : 1e-5) * tone(i, 1000.5); }), n_frames);
    // A float transform is wrong by 1e-3 here.
    check("Nyquist and 50 Hz, 92 dB apart",
          signal(n, [](double i) { return std::cos(pi * i) + 2.5e-5 * tone(i, 50); }), n_frames);
    check("square", signal(n, [](double i) { return std::fmod(i, 36) < 18 ? 1 : -1; }), n_frames);
    check("square of period 32", signal(n, [](double i) { return std::fmod(i, 32) < 16 ? 1 : -1; }),
          n_frames);
    for (const double at : {0.0, 200.0, 24000.0, double{n - 1}})
        check("impulse", signal(n, [&](double i) { return i == at ? 1 : 0; }), n_frames);
    Signal denormal = noise(n);
    for (float& sample : denormal)
        sample = std::copysign(std::numeric_limits<float>::denorm_min(), sample);
    check("denormals", denormal, n_frames);
    denormal[n / 2] = 1;
    check("denormals and an impulse", denormal, n_frames);
    const double most = static_cast<double>(std::numeric_limits<float>::max());
    check("largest floats", noise(n, most), n_frames);
    check("largest floats, square",
          signal(n, [&](double i) { return std::fmod(i, 36) < 18 ? most : -most; }), n_frames);
}

void silence(void**) {
    for (const uint32_t n_mels : both) {
        for (const Signal& pcm :
             {Signal(), Signal(16000), signal(16000, [](double) { return -0.0; })})
            for (const float value : compute(n_mels, pcm, 100))
                assert_true(std::fabs(static_cast<double>(value) + 1.5) <= bound(-1.5));
    }
}

void windows_of_any_length(void**) {
    for (const uint32_t n_frames : {1u, 2u, 3u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 33u, 49u}) {
        const size_t n = size_t{n_frames} * hop_length;
        const Signal pcm = noise(n);
        for (const size_t n_samples : {size_t{0}, size_t{1}, n / 2, n - 41, n - 40, n - 1, n})
            check("noise", Signal(pcm.begin(), pcm.begin() + static_cast<long>(n_samples)),
                  n_frames);
    }
    for (const uint32_t n_mels : both)
        assert_true(compute(n_mels, Signal(), 0).empty());
}

void whole_window(void**) {
    check("noise, 30 s", noise(480000), 3000);
    check("sweep, 11 s of 30",
          signal(176000, [](double i) { return std::sin(pi * i * i / (2 * 176000)); }), 3000);
}

// Frame 0 of 160 samples sees numpy.pad(range(160), 200, mode="reflect")[0:400]: of an impulse at
// p it has those at which that array is p, here as numpy 2.4.6 gives it.
void one_frame_reflects_as_numpy(void**) {
    struct Case {
        size_t sample;
        std::vector<size_t> seen;
    };
    const PowerSpectrum spectrum;
    for (const Case& c : {Case{0, {200}}, Case{1, {199, 201}}, Case{118, {0, 82, 318}},
                          Case{158, {40, 42, 358, 360}}, Case{159, {41, 359}},
                          Case{120, {2, 80, 320, 398}}, Case{119, {1, 81, 319, 399}}}) {
        Signal pcm(160), frame(PowerSpectrum::n_frames * hop_length + n_fft);
        pcm[c.sample] = 1;
        for (const size_t i : c.seen)
            frame[i] = 1;
        double power[n_bins][PowerSpectrum::n_frames];
        spectrum.compute(frame.data(), power[0]);
        for (const uint32_t n_mels : both) {
            const std::vector<MelFilter> filters = mel_filters(n_mels);
            std::vector<double> expected(n_mels);
            for (size_t band = 0; band < n_mels; ++band) {
                double sum = 0;
                for (size_t i = 0; i < filters[band].weights.size(); ++i)
                    sum += filters[band].weights[i] * power[filters[band].first_bin + i][0];
                expected[band] = std::log10(std::max(sum, 1e-10));
            }
            const double maximum = *std::max_element(expected.begin(), expected.end());
            for (double& value : expected)
                value = (std::max(value, maximum - 8) + 4) / 4;
            worst(compute(n_mels, pcm, 1), expected);
        }
    }
}

void padding_equals_zeros(void**) {
    for (const uint32_t n_mels : both) {
        for (const size_t n_samples :
             {1u, 39u, 40u, 41u, 120u, 121u, 2760u, 2761u, 5000u, 15960u}) {
            Signal pcm = noise(n_samples);
            const std::vector<float> padded_by_us = compute(n_mels, pcm, 100);
            pcm.resize(16000);
            assert_true(same(padded_by_us, compute(n_mels, pcm, 100)));
        }
    }
}

void not_finite_makes_all_nan(void**) {
    for (const uint32_t n_mels : both) {
        for (const float bad : {std::nanf(""), -std::nanf(""), infinity, -infinity}) {
            for (const size_t at : {0u, 1u, 200u, 799u, 8000u, 15999u}) {
                Signal pcm = noise(16000);
                pcm[at] = bad;
                for (const float value : compute(n_mels, pcm, 100))
                    assert_true(std::isnan(value));
            }
            Signal last(1, bad); // nothing but this one, and padding
            for (const float value : compute(n_mels, last, 100))
                assert_true(std::isnan(value));
        }
    }
}

class Threads final : public Parallel {
  public:
    explicit Threads(unsigned n) : n_(n) {}
    unsigned n_threads() const override { return n_; }

  protected:
    void run(size_t n_tasks, Task task, void* context) override {
        std::atomic<size_t> left = n_tasks; // from the last to the first
        const auto work = [&](unsigned thread) {
            for (size_t i = left; i > 0;) {
                if (left.compare_exchange_weak(i, i - 1)) {
                    task(context, i - 1, thread);
                    i = left;
                }
            }
        };
        std::vector<std::thread> threads;
        for (unsigned thread = 1; thread < n_; ++thread)
            threads.emplace_back(work, thread);
        work(0);
        for (std::thread& thread : threads)
            thread.join();
    }

  private:
    unsigned n_;
};

void threads_change_nothing(void**) {
    const Signal pcm = noise(100 * 160 - 77);
    for (const uint32_t n_mels : both) {
        const MelSpectrogram mel(n_mels);
        Serial serial;
        const std::vector<float> expected = compute(mel, pcm, 111, serial);
        for (const unsigned n : {1u, 2u, 3u, 7u}) {
            Threads threads(n);
            assert_true(same(compute(mel, pcm, 111, threads), expected));
        }
    }
}

// Two signals by turns, in windows so short that everything is at an edge.
void callers_do_not_meet(void**) {
    constexpr uint32_t n_frames = 12;
    constexpr size_t n_calls = 4000;
    const MelSpectrogram mel(80);
    const Signal pcm[] = {noise(1900), noise(1800, 1e-3)};
    Serial serial;
    const std::vector<float> expected[] = {compute(mel, pcm[0], n_frames, serial),
                                           compute(mel, pcm[1], n_frames, serial)};
    std::atomic<size_t> n_same = 0;
    Threads callers(4);
    callers.for_each(n_calls, [&](size_t task, unsigned) {
        Serial own;
        std::vector<float> found(expected[0].size());
        const size_t which = task % 2;
        mel.compute(pcm[which].data(), pcm[which].size(), n_frames, found.data(), own);
        n_same += same(found, expected[which]);
    });
    assert_int_equal(n_same.load(), n_calls);
}

void nothing_is_allocated(void**) {
    const MelSpectrogram mel(128);
    const Signal pcm = noise(16000);
    std::vector<float> result(128 * 120);
    Serial serial;
    const size_t before = n_allocations;
    mel.compute(pcm.data(), pcm.size(), 120, result.data(), serial);
    assert_int_equal(n_allocations - before, 0);
}

// 16-bit mono samples of a WAV file; nothing if there is no such file.
Signal read_wav(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (!file)
        return {};
    std::vector<unsigned char> bytes(1 << 20);
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
    std::fclose(file);
    Signal pcm;
    for (size_t at = 12; at + 8 <= bytes.size();) {
        uint32_t size;
        std::memcpy(&size, &bytes[at + 4], sizeof size);
        if (std::memcmp(&bytes[at], "data", 4) == 0) {
            assert_true(size <= bytes.size() - at - 8);
            for (size_t i = 0; i + 1 < size; i += 2) {
                int16_t sample;
                std::memcpy(&sample, &bytes[at + 8 + i], sizeof sample);
                pcm.push_back(static_cast<float>(sample) / 32768);
            }
            break;
        }
        at += 8 + size_t{size} + size % 2;
    }
    assert_false(pcm.empty());
    return pcm;
}

// transformers has doubles everywhere but for a spectrum in complex64, 2^-23 of a power at most,
// and a float as its result: 2e-7 more than our own bound.
void recordings_are_as_transformers_has_them(void**) {
    struct Probe {
        uint32_t n_mels, recording, band, frame;
        float value;
    };
    constexpr Probe probes[] = {
#include "transformers_mel.inc"
    };
    const std::string base =
        "/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-";
    std::vector<Signal> recordings;
    for (const char* name : {"0870", "0880", "0890", "0920", "0930"}) {
        recordings.push_back(read_wav(base + name + ".wav"));
        if (recordings.back().empty()) {
            print_message("no recordings: the package pocketsphinx-testdata has them\n");
            skip();
        }
    }
    double error = 0;
    for (const uint32_t n_mels : both) {
        for (size_t recording = 0; recording < recordings.size(); ++recording) {
            const std::vector<float> mel = compute(n_mels, recordings[recording], 3000);
            for (const Probe& probe : probes) {
                if (probe.n_mels != n_mels || probe.recording != recording)
                    continue;
                const double expected = probe.value;
                const double e =
                    std::fabs(static_cast<double>(mel[probe.band * 3000 + probe.frame]) - expected);
                assert_true(e <= bound(expected) + 2e-7);
                error = std::max(error, e);
            }
        }
    }
    print_message("%zu values of transformers: max abs error %.2e\n", std::size(probes), error);
}

} // namespace

// Where one thread does everything there is nothing for ThreadSanitizer: "values" and "threads".
int main(int argc, char** argv) {
    const CMUnitTest values[] = {
        cmocka_unit_test(filters_are_those_of_librosa),
        cmocka_unit_test(power_is_that_of_the_sum),
        cmocka_unit_test(usual_signals),
        cmocka_unit_test(hard_signals),
        cmocka_unit_test(silence),
        cmocka_unit_test(windows_of_any_length),
        cmocka_unit_test(whole_window),
        cmocka_unit_test(one_frame_reflects_as_numpy),
        cmocka_unit_test(padding_equals_zeros),
        cmocka_unit_test(not_finite_makes_all_nan),
        cmocka_unit_test(nothing_is_allocated),
        cmocka_unit_test(recordings_are_as_transformers_has_them),
    };
    const CMUnitTest threads[] = {
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(callers_do_not_meet),
    };
    const std::string group = argc == 2 ? argv[1] : "";
    if (group == "values")
        return cmocka_run_group_tests_name("mel values", values, nullptr, nullptr);
    if (group == "threads")
        return cmocka_run_group_tests_name("mel threads", threads, nullptr, nullptr);
    std::fprintf(stderr, "usage: mel_test values|threads\n");
    return 2;
}
