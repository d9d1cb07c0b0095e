// SPDX-License-Identifier: MIT
// Streams carried out: a model of the shims' DMA that knows registers and descriptors only says
// what every channel moves, and a model of the cores multiplies what comes in that order.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>

#include "cpu/cpu_device.hpp"
#include "npu/gemm_packing.hpp"
#include "npu/gemm_stream.hpp"
#include "npu/shim_descriptor.hpp"
#include "support.hpp"

using namespace npuenc;

namespace {

// Bytes of a buffer argument that follow one another.
struct Piece {
    uint32_t argument;
    uint64_t offset;
    uint64_t bytes;
};

// What one DMA channel moves, in order.
struct Channel {
    std::vector<Piece> pieces;
    size_t tasks = 0, tokens = 0;

    void move(uint32_t argument, uint64_t offset, uint64_t bytes) {
        if (!pieces.empty() && pieces.back().argument == argument &&
            pieces.back().offset + pieces.back().bytes == offset)
            pieces.back().bytes += bytes;
        else
            pieces.push_back({argument, offset, bytes});
    }
};

// The shims, as the registers say they work.
class Shims {
  public:
    static constexpr uint32_t s2mm = 0, mm2s = 1;

    void run(std::span<const uint32_t> words) {
        assert_int_equal(words[0], 0x06030100);
        assert_int_equal(words[3], words.size() * 4);
        size_t operations = 0;
        for (size_t at = 4; at < words.size(); ++operations) {
            const uint32_t* op = &words[at];
            switch (op[0]) {
            case 0:
                write(op[2], op[4]);
                at += op[5] / 4;
                break;
            case 1:
                for (uint32_t i = 4; i < op[3] / 4; ++i)
                    write(op[2] + 4 * (i - 4), op[i]);
                at += op[3] / 4;
                break;
            case 3:
                registers_[op[2]] = (registers_[op[2]] & ~op[5]) | op[4];
                at += op[6] / 4;
                break;
            case 0x81:
                assert_true(op[8] < 5);
                patches_[op[6]] = {op[8], op[10] | uint64_t{op[11]} << 32};
                at += op[1] / 4;
                break;
            case 0x80:
                for (uint32_t i = 0; i < (op[3] >> 16 & 0xff); ++i) {
                    Channel& channel =
                        channels_.at({(op[2] >> 16 & 0xff) + i, op[2] & 0xff, op[3] >> 24});
                    assert_int_equal(channel.tokens, 1); // none is waited for in vain
                    channel.tokens = 0;
                }
                at += op[1] / 4;
                break;
            default:
                fail(NPUENC_E_INTERNAL, "operation %u", op[0]);
            }
        }
        assert_int_equal(operations, words[2]);
        for (const auto& [key, channel] : channels_) {
            assert_int_equal(channel.tokens, 0); // all are waited for
            assert_true(channel.tasks <= 4);     // as deep as a queue is
        }
    }

    const std::vector<Piece>& moved(uint32_t column, uint32_t direction, uint32_t channel) const {
        return channels_.at({column, direction, channel}).pieces;
    }
    size_t channels() const { return channels_.size(); }

  private:
    void write(uint32_t address, uint32_t value) {
        registers_[address] = value;
        const uint32_t offset = address & 0xfffff;
        if (offset >= 0x1d000 && offset < 0x1d200)
            patches_.erase(address);
        if (offset < 0x1d200 || offset > 0x1d21c || offset % 8 != 4)
            return;
        assert_int_equal(address >> 20 & 0x1f, 0);
        const uint32_t column = address >> 25, number = (offset - 0x1d204) / 8;
        Channel& channel = channels_[{column, number / 2, number % 2}];
        ++channel.tasks;
        for (uint32_t i = 0; i <= (value >> 16 & 0xff); ++i)
            chain(column, value & 0xf, channel);
        if (value >> 31) {
            assert_int_equal(registers_[address - 4] & 0x1f00, 0xf00); // to whom tokens go
            ++channel.tokens;
        }
    }

    void chain(uint32_t column, uint32_t descriptor, Channel& channel) {
        for (;;) {
            const uint32_t base = column << 25 | (0x1d000 + descriptor * 0x20);
            execute(base, channel);
            const uint32_t word7 = registers_.at(base + 28);
            if (!(word7 >> 26 & 1))
                return;
            descriptor = word7 >> 27 & 0xf;
        }
    }

    void execute(uint32_t base, Channel& channel) {
        std::array<uint32_t, 8> w;
        for (uint32_t i = 0; i < 8; ++i)
            w[i] = registers_.at(base + 4 * i);
        assert_true(w[7] >> 25 & 1);            // valid
        assert_int_equal(w[7] & 0x81ffffff, 0); // no locks
        assert_int_equal(w[2], 0);              // no packets
        assert_int_equal(w[4] >> 30, 2);        // bursts
        const auto [argument, start] = patches_.at(base + 4);

        const uint32_t current = w[6] >> 26, wrap = (w[6] >> 20 & 0x3f) + 1;
        const uint64_t begin = start + 4 * uint64_t{current} * ((w[6] & 0xfffff) + 1);
        registers_[base + 24] = (w[6] & 0x03ffffff) | ((current + 1) % wrap) << 26;

        const uint64_t inner = w[3] >> 20 & 0x3ff ? w[3] >> 20 & 0x3ff : w[0];
        const uint64_t middle = w[4] >> 20 & 0x3ff ? w[4] >> 20 & 0x3ff : w[0];
        const uint64_t step[3] = {(w[3] & 0xfffff) + 1u, (w[4] & 0xfffff) + 1u,
                                  (w[5] & 0xfffff) + 1u};
        if (inner == w[0] && step[0] == 1) {
            channel.move(argument, begin, uint64_t{w[0]} * 4);
            return;
        }
        for (uint64_t i = 0; i < w[0]; ++i)
            channel.move(argument,
                         begin + 4 * (i % inner * step[0] + i / inner % middle * step[1] +
                                      i / inner / middle * step[2]),
                         4);
    }

    using Key = std::array<uint32_t, 3>; // column, direction, channel
    std::map<uint32_t, uint32_t> registers_;
    std::map<uint32_t, std::pair<uint32_t, uint64_t>> patches_; // by the address word
    std::map<Key, Channel> channels_;
};

// The bytes that a channel takes from its buffer.
std::vector<char> gather(const std::vector<Piece>& pieces, uint32_t argument,
                         const std::vector<char>& buffer) {
    std::vector<char> stream;
    for (const Piece& piece : pieces) {
        assert_int_equal(piece.argument, argument);
        assert_true(piece.offset + piece.bytes <= buffer.size());
        const auto from = buffer.begin() + static_cast<std::ptrdiff_t>(piece.offset);
        stream.insert(stream.end(), from, from + static_cast<std::ptrdiff_t>(piece.bytes));
    }
    return stream;
}

// One core: takes tiles of both streams and gives tiles of C.
class Core {
  public:
    explicit Core(const GemmOverlay& overlay) : overlay_(overlay) {}

    // All bytes of the tiles of C, from all of both streams.
    std::vector<char> run(const std::vector<char>& a, const std::vector<char>& b) {
        std::vector<char> c;
        assert_int_equal(a.size() / 4096, b.size() / 4128);
        assert_int_equal(a.size() % 4096, 0);
        assert_int_equal(b.size() % 4128, 0);
        bool inside = false; // a tile of C
        for (size_t tile = 0; tile < a.size() / 4096; ++tile) {
            uint32_t header[8];
            std::memcpy(header, b.data() + tile * 4128, sizeof header);
            if (header[0] == 10) {
                assert_true(inside && is_next_a(overlay_));
                inside = false;
                for (size_t i = 0; i < 4096; ++i)
                    assert_int_equal(a[tile * 4096 + i], 0);
                send_gelu(c, b.data() + tile * 4128 + 32);
                continue;
            }
            assert_int_equal(header[0] & ~3u, bf16() && overlay_.result == GemmResult::s16 ? 4 : 0);
            for (size_t i = 2; i < 8; ++i)
                assert_int_equal(header[i], 0);
            const bool first = header[0] & 1, last = header[0] & 2;
            assert_int_equal(first, !inside);
            inside = !last;
            multiply(a.data() + tile * 4096, b.data() + tile * 4128 + 32, first);
            assert_false(last && is_next_a(overlay_));
            if (last)
                send(c, header[1]);
        }
        assert_false(inside);
        return c;
    }

  private:
    bool bf16() const { return overlay_.operand_type == NPUENC_BF16; }

    double element(const char* tile, size_t place) const {
        if (!bf16())
            return static_cast<int8_t>(tile[place]);
        uint16_t value;
        std::memcpy(&value, tile + place * 2, 2);
        return static_cast<double>(std::bit_cast<float>(uint32_t{value} << 16));
    }

    // In micro-tiles, as the messages hold them: 4 x 8 of A, 8 x 8 or 8 x 4 of B.
    void multiply(const char* a, const char* b, bool first) {
        const size_t steps = overlay_.k_tile / 8, width = bf16() ? 4 : 8, per_block = 16 / width;
        if (first)
            sums_.fill(0);
        for (size_t i = 0; i < 8; ++i)
            for (size_t j = 0; j < 4; ++j)
                for (size_t s = 0; s < steps; ++s)
                    for (size_t h = 0; h < 2; ++h)
                        for (size_t q = 0; q < per_block; ++q)
                            for (size_t row = 0; row < 4; ++row)
                                for (size_t column = 0; column < width; ++column) {
                                    double sum = 0;
                                    for (size_t k = 0; k < 8; ++k)
                                        sum += element(a, ((i * steps + s) * 2 + h) * 32 + row * 8 +
                                                              k) *
                                               element(b, ((j * steps + s) * per_block + q) * 8 *
                                                                  width +
                                                              k * width + column);
                                    // Where the accumulators lie in a tile of C.
                                    sums_[(i * 4 + j) * 128 + (q * 2 + h) * 4 * width +
                                          row * width + column] += sum;
                                }
    }

    void send(std::vector<char>& c, uint32_t shift) const {
        const auto append = [&](auto value) {
            char bytes[sizeof value];
            std::memcpy(bytes, &value, sizeof value);
            c.insert(c.end(), bytes, bytes + sizeof value);
        };
        for (const double sum : sums_)
            switch (overlay_.result) {
            case GemmResult::s32:
                append(static_cast<int32_t>(sum));
                break;
            case GemmResult::s16:
                if (bf16())
                    append(static_cast<int16_t>(std::bit_cast<uint32_t>(static_cast<float>(sum))));
                else
                    append(
                        static_cast<int16_t>(std::clamp(shifted(sum, shift), -32768.0, 32767.0)));
                break;
            case GemmResult::s8:
                append(static_cast<int8_t>(std::clamp(shifted(sum, shift), -128.0, 127.0)));
                break;
            case GemmResult::f32:
                append(static_cast<float>(sum));
                break;
            case GemmResult::gelu:
                assert_true(false); // in another order
            }
    }

    // Two tiles of A, as if GELU were max(h, 0).
    void send_gelu(std::vector<char>& c, const char* operands) const {
        const size_t steps = overlay_.k_tile / 8;
        for (size_t tile = 0; tile < 2; ++tile)
            for (size_t i = 0; i < 8; ++i)
                for (size_t s = 0; s < steps; ++s)
                    for (size_t h = 0; h < 2; ++h)
                        for (size_t row = 0; row < 4; ++row)
                            for (size_t k = 0; k < 8; ++k) {
                                const size_t column = tile * overlay_.k_tile + s * 8 + k;
                                const size_t at = (i * 4 + column / 16) * 128 +
                                                  (column % 16 / 4 * 2 + h) * 16 + row * 4 +
                                                  column % 4;
                                const size_t bias = column / 4 * 32 + row * 4 + column % 4;
                                const double value = sums_[at] + element(operands, bias) -
                                                     element(operands, bias + 16);
                                const auto bits = std::bit_cast<uint32_t>(
                                    std::max(static_cast<float>(value), 0.0f));
                                assert_int_equal(bits & 0xffff, 0); // small integers
                                const auto high = static_cast<uint16_t>(bits >> 16);
                                char bytes[sizeof high];
                                std::memcpy(bytes, &high, sizeof high);
                                c.insert(c.end(), bytes, bytes + sizeof high);
                            }
    }

    static double shifted(double sum, uint32_t shift) { // to nearest even
        return std::nearbyint(std::ldexp(sum, -static_cast<int>(shift)));
    }

    const GemmOverlay& overlay_;
    std::array<double, 64 * 64> sums_{};
};

// Two cores' tiles as the memory tile interleaves them.
std::vector<char> interleave(const std::vector<char>& first, const std::vector<char>& second,
                             size_t chunk) {
    std::vector<char> stream;
    assert_int_equal(first.size(), second.size());
    for (size_t at = 0; at < first.size(); at += chunk)
        for (const std::vector<char>* core : {&first, &second})
            stream.insert(stream.end(), core->begin() + static_cast<std::ptrdiff_t>(at),
                          core->begin() + static_cast<std::ptrdiff_t>(at + chunk));
    return stream;
}

// The whole array at work on three buffers.
std::vector<char> run_array(const GemmTiling& tiling, const std::vector<char>& a,
                            const std::vector<char>& b, const GemmTiling* before = nullptr) {
    Shims shims;
    shims.run(gemm_stream(tiling, before).words());
    assert_int_equal(shims.channels(), 16);
    std::vector<char> c(tiling.c_bytes());
    std::vector<bool> written(c.size() / 4);
    for (uint32_t column = 0; column < 4; ++column) {
        const std::vector<char> b_stream = gather(shims.moved(column, Shims::mm2s, 1), 1, b);
        std::vector<char> tiles[4];
        for (uint32_t row = 0; row < 4; ++row)
            tiles[row] = Core(tiling.overlay())
                             .run(gather(shims.moved(row, Shims::mm2s, 0), 0, a), b_stream);
        for (uint32_t half = 0; half < 2; ++half) {
            const std::vector<char> stream =
                interleave(tiles[2 * half], tiles[2 * half + 1], tiling.overlay().c_chunk);
            size_t at = 0;
            for (const Piece& piece : shims.moved(column, Shims::s2mm, half)) {
                assert_int_equal(piece.argument, 2);
                assert_true(at + piece.bytes <= stream.size());
                assert_true(piece.offset + piece.bytes <= c.size());
                std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(at), piece.bytes,
                            c.begin() + static_cast<std::ptrdiff_t>(piece.offset));
                for (size_t i = 0; i < piece.bytes; i += 4) {
                    assert_false(written[(piece.offset + i) / 4]);
                    written[(piece.offset + i) / 4] = true;
                }
                at += piece.bytes;
            }
            assert_int_equal(at, stream.size());
        }
    }
    assert_true(std::find(written.begin(), written.end(), false) == written.end());
    return c;
}

const struct Shape {
    size_t m, n, k;
} shapes[] = {
    {1, 1, 1},     {63, 65, 64},   {64, 64, 63},   {65, 63, 65}, {255, 257, 130},
    {257, 255, 1}, {520, 300, 70}, {300, 520, 70}, {770, 1, 33}, {1, 770, 200},
};

// Small integers: sums are exact, also those of floats.
template <class T>
std::vector<T> small_values(size_t n, uint32_t seed) {
    Random random(seed);
    std::vector<T> values(n);
    for (T& value : values) {
        const int integer = static_cast<int>(random.next() >> 8) % 15 - 7;
        if constexpr (sizeof(T) == 1)
            value = static_cast<T>(integer);
        else
            value = static_cast<T>(std::bit_cast<uint32_t>(static_cast<float>(integer)) >> 16);
    }
    return values;
}

double value_of(int8_t value) {
    return value;
}
double value_of(uint16_t value) {
    return static_cast<double>(std::bit_cast<float>(uint32_t{value} << 16));
}

// C is A B less `offset`.
template <class Operand, class Result>
void multiplies(const GemmOverlay& overlay, const Shape& shape, BLayout layout,
                const std::vector<Operand>& a, const std::vector<Operand>& b, unsigned shift,
                double offset = 0) {
    const auto [m, n, k] = shape;
    Serial serial;
    const GemmTiling tiling(overlay, m, n, k);
    std::vector<char> packed_a(tiling.a_bytes()), packed_b(tiling.b_bytes());
    const size_t ldb = layout == BLayout::k_by_n ? n : k;
    pack_a(tiling, a.data(), k, packed_a.data(), serial);
    pack_b(tiling, b.data(), ldb, layout, shift, packed_b.data(), serial);
    const std::vector<char> packed_c = run_array(tiling, packed_a, packed_b);
    std::vector<Result> c(m * n);
    unpack_c(select_kernels(nullptr).unpack, tiling, packed_c.data(), c.data(), n, serial);

    for (size_t i = 0; i < m; ++i)
        for (size_t j = 0; j < n; ++j) {
            double sum = -offset;
            for (size_t x = 0; x < k; ++x)
                sum += value_of(a[i * k + x]) *
                       value_of(layout == BLayout::k_by_n ? b[x * n + j] : b[j * k + x]);
            if constexpr (sizeof(Result) == 1)
                sum = std::clamp(std::nearbyint(sum / (1 << shift)), -128.0, 127.0);
            if (static_cast<double>(c[i * n + j]) != sum) {
                print_error("%s, %zu x %zu x %zu: (%zu, %zu) is %g, expected %g\n", overlay.name, m,
                            n, k, i, j, static_cast<double>(c[i * n + j]), sum);
                assert_true(false);
            }
        }
}

template <class Operand, class Result>
void multiplies_all(const GemmOverlay& overlay, unsigned shift) {
    for (const Shape& shape : shapes)
        for (const BLayout layout : {BLayout::k_by_n, BLayout::n_by_k})
            multiplies<Operand, Result>(overlay, shape, layout,
                                        small_values<Operand>(shape.m * shape.k, 1),
                                        small_values<Operand>(shape.n * shape.k, 2), shift);
}

void int8_to_int32(void**) {
    multiplies_all<int8_t, int32_t>(gemm_s8_s32, 0);
    const Shape shape{260, 70, 300};
    const std::vector<int8_t> least(shape.m * shape.k, -128);
    multiplies<int8_t, int32_t>(gemm_s8_s32, shape, BLayout::k_by_n, least,
                                std::vector<int8_t>(least.begin(), least.begin() + 70 * 300), 0);
    multiplies<int8_t, int32_t>(gemm_s8_s32, shape, BLayout::n_by_k,
                                Random(1).values<int8_t>(shape.m * shape.k),
                                Random(2).values<int8_t>(shape.n * shape.k), 0);
}

void int8_to_int8(void**) {
    multiplies_all<int8_t, int8_t>(gemm_s8_s8, 3);
}

void bf16_to_f32(void**) {
    multiplies_all<uint16_t, float>(gemm_bf16_f32, 0);
}

// With a last product of 1.5 * 2^23 the low bits of a sum are the others' sum.
void bf16_to_int16(void**) {
    constexpr uint16_t one = 0x3f80, most = 0x4b40;
    for (Shape shape : shapes) {
        ++shape.k;
        std::vector<uint16_t> a = small_values<uint16_t>(shape.m * shape.k, 1);
        std::vector<uint16_t> b = small_values<uint16_t>(shape.n * shape.k, 2);
        for (size_t i = 0; i < shape.m; ++i)
            a[i * shape.k + shape.k - 1] = one;
        for (size_t j = 0; j < shape.n; ++j)
            b[j * shape.k + shape.k - 1] = most;
        multiplies<uint16_t, int32_t>(gemm_bf16_s16, shape, BLayout::n_by_k, a, b, 0, 0x1.8p23);
    }
}

// An MLP of small integers with max(h, 0) for GELU: what the first product leaves is A of the
// second.
void chained(const Shape& shape, size_t n_out) {
    const auto [m, n, k] = shape;
    Serial serial;
    const GemmTiling first(gemm_bf16_gelu, m, n, k, GemmTiling::Replayed::b);
    const size_t depth = first.n_groups() * 256;
    const GemmTiling second(gemm_bf16_f32, m, n_out, depth, GemmTiling::Replayed::a);
    const std::vector<uint16_t> x = small_values<uint16_t>(m * k, 1);
    std::vector<uint16_t> up(n * k), down(n_out * depth); // few are not zero: sums are small
    Random random(2);
    for (size_t j = 0; j < n; ++j)
        up[j * k + random.next() % k] = 0x4000;
    for (size_t j = 0; j < n_out; ++j)
        for (size_t i = 0; i < n; ++i)
            down[j * depth + i] = small_values<uint16_t>(1, static_cast<uint32_t>(j * n + i))[0];
    std::vector<float> bias(n);
    for (size_t i = 0; i < n; ++i)
        bias[i] = static_cast<float>(i % 5) - 2.0f;

    std::vector<char> a(first.a_bytes(), 0x55), b(first.b_bytes(), 0x55);
    pack_a(first, x.data(), k, a.data(), serial);
    pack_b(first, up.data(), k, BLayout::n_by_k, 0, b.data(), serial);
    for (size_t strip = 0; strip < b_strips(first); ++strip)
        pack_gelu_tile(first, strip, bias.data() + std::min(strip * 64, n), b.data());
    const std::vector<char> hidden = run_array(first, a, b);
    b.assign(second.b_bytes(), 0x55);
    pack_b(second, down.data(), depth, BLayout::n_by_k, 0, b.data(), serial);
    const std::vector<char> packed = run_array(second, hidden, b, &first);
    std::vector<float> c(m * n_out);
    unpack_c(select_kernels(nullptr).unpack, second, packed.data(), c.data(), n_out, serial);

    for (size_t row = 0; row < m; ++row) {
        std::vector<double> h(n);
        for (size_t i = 0; i < n; ++i) {
            h[i] = static_cast<double>(bias[i]);
            for (size_t j = 0; j < k; ++j)
                h[i] += value_of(x[row * k + j]) * value_of(up[i * k + j]);
        }
        for (size_t column = 0; column < n_out; ++column) {
            double sum = 0;
            for (size_t i = 0; i < n; ++i)
                sum += std::max(h[i], 0.0) * value_of(down[column * depth + i]);
            assert_true(static_cast<double>(c[row * n_out + column]) == sum);
        }
    }
}

void results_are_the_next_a(void**) {
    for (const Shape& shape : {Shape{1, 1, 1}, {63, 65, 64}, {255, 257, 33}, {520, 300, 70}})
        for (const size_t n_out : {size_t{1}, size_t{70}, size_t{300}})
            chained(shape, n_out);
}

void only_results_that_fit_are_the_next_a(void**) {
    const auto first = [](size_t m, size_t n) {
        return GemmTiling(gemm_bf16_gelu, m, n, 40, GemmTiling::Replayed::b);
    };
    const GemmTiling second(gemm_bf16_f32, 300, 600, 512, GemmTiling::Replayed::a);
    const GemmTiling fits = first(300, 300);
    gemm_stream(second, &fits);
    const auto refuses = [](const GemmTiling& tiling, const GemmTiling& before) {
        assert_error(gemm_stream(tiling, &before), NPUENC_E_INVALID, "A is not what");
    };
    refuses(second, first(600, 300));
    refuses(second, first(300, 600));
    refuses(second, GemmTiling(gemm_bf16_s16, 300, 300, 40));
    refuses(GemmTiling(gemm_bf16_f32, 300, 600, 512), fits); // replays B
}

// Which tile comes when, from the loops that the cores run: also for products too large to compute.
void tiles_come_in_order(void**) {
    const struct {
        size_t m, n, k;
    } products[] = {{512, 512, 512},   {1500, 512, 512},   {1500, 2048, 512},  {1500, 512, 2048},
                    {1500, 1500, 64},  {16384, 2304, 640}, {2304, 16384, 640}, {2304, 2304, 65024},
                    {16384, 1, 65024}, {1, 16384, 65024}};
    for (const GemmOverlay* overlay : gemm_overlays)
        for (const auto& [m, n, k8] : products) {
            const size_t k = k8 * overlay->k_tile / 64;
            const GemmTiling tiling(*overlay, m, n, k);
            const size_t mg = (m + 255) / 256, ng = (n + 255) / 256;
            const size_t kt = (k + overlay->k_tile - 1) / overlay->k_tile;
            Shims shims;
            shims.run(gemm_stream(tiling).words());
            for (uint32_t column = 0; column < 4; ++column) {
                std::vector<Piece> a, b; // strips, in the order in which they are needed
                for (size_t t = 0; t < mg * ng; ++t) {
                    const size_t mi = ng <= mg ? t / ng : t % mg, ni = ng <= mg ? t % ng : t / mg;
                    assert_int_equal(tiling.output_index(mi, ni), t);
                    a.push_back({0, (column * mg + mi) * kt * 4096, kt * 4096});
                    b.push_back({1, (column * ng + ni) * kt * 4128, kt * 4128});
                }
                const auto same = [](const std::vector<Piece>& found,
                                     const std::vector<Piece>& strips) {
                    Channel expected;
                    for (const Piece& strip : strips)
                        expected.move(strip.argument, strip.offset, strip.bytes);
                    assert_int_equal(found.size(), expected.pieces.size());
                    for (size_t i = 0; i < found.size(); ++i) {
                        assert_int_equal(found[i].argument, expected.pieces[i].argument);
                        assert_int_equal(found[i].offset, expected.pieces[i].offset);
                        assert_int_equal(found[i].bytes, expected.pieces[i].bytes);
                    }
                };
                same(shims.moved(column, Shims::mm2s, 0), a);
                same(shims.moved(column, Shims::mm2s, 1), b);
                for (uint32_t half = 0; half < 2; ++half) { // bands, each beside those of others
                    const size_t in_chunk = overlay == &gemm_bf16_s16 ? 8 : 4;
                    const size_t band = overlay->c_chunk / in_chunk, bands = mg * ng * 16;
                    std::vector<Piece> c;
                    for (size_t i = 0; i < bands; ++i)
                        c.push_back({2, ((half * bands + i) * 4 + column) * band, band});
                    same(shims.moved(column, Shims::s2mm, half), c);
                }
            }
        }
}

// Also of chains too large to compute: what is between the two products, with one order of groups
// where it is written and another where it is read.
void chained_tiles_come_in_order(void**) {
    for (const auto& [m, n, k, n_out] : {std::array<size_t, 4>{1500, 2048, 512, 512},
                                         {2304, 5120, 1280, 1280},
                                         {2304, 16384, 40, 300},
                                         {1, 16384, 1, 1},
                                         {2304, 1, 1, 1}}) {
        const GemmTiling first(gemm_bf16_gelu, m, n, k, GemmTiling::Replayed::b);
        const size_t mg = (m + 255) / 256, ng = (n + 255) / 256, of_results = (n_out + 255) / 256;
        const GemmTiling second(gemm_bf16_f32, m, n_out, ng * 256, GemmTiling::Replayed::a);
        Shims writes, reads;
        writes.run(gemm_stream(first).words());
        reads.run(gemm_stream(second, &first).words());
        for (uint32_t i = 0; i < 4; ++i) { // a column that writes, a row of cores that read
            for (uint32_t half = 0; half < 2; ++half) {
                Channel expected;
                for (size_t block = 0; block < mg * ng * 2; ++block)
                    expected.move(2, ((half * mg * ng * 2 + block) * 4 + i) * 8192, 8192);
                const std::vector<Piece>& found = writes.moved(i, Shims::s2mm, half);
                assert_int_equal(found.size(), expected.pieces.size());
                for (size_t j = 0; j < found.size(); ++j) {
                    assert_int_equal(found[j].offset, expected.pieces[j].offset);
                    assert_int_equal(found[j].bytes, expected.pieces[j].bytes);
                }
            }
            Channel expected;
            for (size_t m_group = 0; m_group < mg; ++m_group)
                for (size_t result = 0; result < of_results; ++result)
                    for (size_t j = 0; j < ng; ++j)
                        expected.move(0, (((i / 2 * ng + j) * mg + m_group) * 2 + i % 2) * 32768,
                                      32768);
            const std::vector<Piece>& found = reads.moved(i, Shims::mm2s, 0);
            assert_int_equal(found.size(), expected.pieces.size());
            for (size_t j = 0; j < found.size(); ++j) {
                assert_int_equal(found[j].argument, 0);
                assert_int_equal(found[j].offset, expected.pieces[j].offset);
                assert_int_equal(found[j].bytes, expected.pieces[j].bytes);
            }
        }
    }
}

// The model itself, on a descriptor that uses every dimension.
void model_follows_dimensions(void**) {
    InstructionStream stream;
    const ShimDescriptor descriptor{.length = 12,
                                    .inner = {2, 3},
                                    .middle = {3, 10},
                                    .outer_step = 100,
                                    .iterations = 2,
                                    .iteration_step = 1000};
    stream.block_write(shim_descriptor_address(1, 4), descriptor.encode());
    stream.patch(shim_address_word(1, 4), 3, 4000);
    stream.write(shim_queue(1, DmaDirection::mm2s, 1), queue_word(4, 3, Token::none));
    Shims shims;
    shims.run(stream.words());
    std::vector<uint64_t> words, expected;
    for (const Piece& piece : shims.moved(1, Shims::mm2s, 1))
        words.push_back((piece.offset - 4000) / 4);
    for (const uint64_t execution : {0, 1000, 0})
        for (const uint64_t outer : {0, 100})
            for (const uint64_t middle : {0, 10, 20})
                for (const uint64_t inner : {0, 3})
                    expected.push_back(execution + outer + middle + inner);
    assert_true(words == expected);
}

void problems_follow_one_another(void**) {
    for (const OneToOneOverlay* overlay : {&attention_s8_64x64, &matmul_s8_16x16})
        for (const size_t count : {1, 2, 1000}) {
            Shims shims;
            shims.run(one_to_one_stream(*overlay, count).words());
            assert_int_equal(shims.channels(), 2);
            const auto whole = [](const std::vector<Piece>& pieces, uint32_t argument,
                                  size_t bytes) {
                assert_int_equal(pieces.size(), 1);
                assert_int_equal(pieces[0].argument, argument);
                assert_int_equal(pieces[0].offset, 0);
                assert_int_equal(pieces[0].bytes, bytes);
            };
            whole(shims.moved(0, Shims::mm2s, 0), 0, count * overlay->input_bytes);
            whole(shims.moved(0, Shims::s2mm, 0), 1, count * overlay->output_bytes);
        }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(int8_to_int32),
        cmocka_unit_test(int8_to_int8),
        cmocka_unit_test(bf16_to_f32),
        cmocka_unit_test(bf16_to_int16),
        cmocka_unit_test(results_are_the_next_a),
        cmocka_unit_test(only_results_that_fit_are_the_next_a),
        cmocka_unit_test(tiles_come_in_order),
        cmocka_unit_test(chained_tiles_come_in_order),
        cmocka_unit_test(model_follows_dimensions),
        cmocka_unit_test(problems_follow_one_another),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
