// SPDX-License-Identifier: MIT
#include "product.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <stdexcept>

#include "aligned_buffer.hpp"
#include "bf16_model.hpp"
#include "cpu/cpu_device.hpp"
#include "gelu_model.hpp"
#include "kernels/aie2/gelu_tile.hpp"
#include "npu/gemm_packing.hpp"
#include "npu/gemm_stream.hpp"

namespace npuenc {
namespace {

float value_of(uint16_t bf16) {
    return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16);
}

uint16_t bf16_of(float value) {
    return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

std::vector<uint8_t> make_values(bool is_bf16, size_t n, Values values, std::mt19937& random) {
    std::vector<uint8_t> bytes(n * (is_bf16 ? 2 : 1));
    if (is_bf16) {
        std::normal_distribution<float> normal;
        for (size_t i = 0; i < n; ++i) {
            const uint16_t value =
                values == Values::largest ? bf16_of(0x1.fep56f) : bf16_of(normal(random));
            std::memcpy(&bytes[2 * i], &value, 2);
        }
    } else {
        for (uint8_t& byte : bytes) {
            const uint32_t bits = static_cast<uint32_t>(random());
            byte = values == Values::any ? static_cast<uint8_t>(bits) : bits & 8 ? 0x80 : 0x7f;
        }
    }
    return bytes;
}

// 2^-shift of a sum to nearest even, within an integer's type.
template <class Integer>
Integer requantised(int64_t sum, unsigned shift) {
    const double scaled = std::nearbyint(std::ldexp(static_cast<double>(sum), -int(shift)));
    using Limits = std::numeric_limits<Integer>;
    return static_cast<Integer>(std::clamp<double>(scaled, Limits::min(), Limits::max()));
}

template <class T>
void append(std::vector<uint8_t>& bytes, T value) {
    const auto* p = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), p, p + sizeof value);
}

uint16_t bf16_at(const std::vector<uint8_t>& matrix, size_t i) {
    uint16_t value;
    std::memcpy(&value, &matrix[2 * i], 2);
    return value;
}

uint32_t bf16_sum(const Operands& of, size_t i, size_t j) {
    uint32_t sum = 0;
    for (size_t k = 0; k < of.k; k += 8) {
        uint16_t a[8] = {}, b[8] = {};
        for (size_t s = 0; s < std::min<size_t>(8, of.k - k); ++s) {
            a[s] = bf16_at(of.a, i * of.k + k + s);
            b[s] = bf16_at(of.b, (k + s) * of.n + j);
        }
        sum = bf16_mac(sum, a, b);
    }
    return sum;
}

} // namespace

std::vector<uint8_t> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error(path + " cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

npusim::Overlay read_overlay(const std::string& name) {
    const char* directory = std::getenv("NPUENC_OVERLAYS");
    return npusim::read_xclbin(
        read_file(std::string(directory ? directory : ".") + "/" + name + ".xclbin"));
}

std::string title_of(const GemmOverlay& overlay) {
    const bool several = overlay.operand_type == NPUENC_BF16;
    const char* form = overlay.result == GemmResult::s16    ? " int16"
                       : overlay.result == GemmResult::gelu ? " GELU"
                                                            : " f32";
    return std::string(overlay.name) + (several ? form : "");
}

Operands make_operands(const GemmOverlay& overlay, size_t m, size_t n, size_t k, Values values,
                       uint32_t seed) {
    std::mt19937 random(seed);
    const bool is_bf16 = overlay.operand_type == NPUENC_BF16;
    Operands operands{m, n, k, {}, {}};
    operands.a = make_values(is_bf16, m * k, values, random);
    operands.b = make_values(is_bf16, k * n, values, random);
    return operands;
}

namespace {

// C as it comes back.
std::vector<uint8_t> run_stream(npusim::Array& array, const GemmTiling& tiling,
                                std::vector<uint8_t>& a, std::vector<uint8_t>& b,
                                npusim::RunReport* report) {
    std::vector<uint8_t> c(tiling.c_bytes(), 0xa5);
    npusim::HostBuffers buffers;
    buffers.bind(gemm_a_argument, a);
    buffers.bind(gemm_b_argument, b);
    buffers.bind(gemm_c_argument, c);
    const InstructionStream stream = gemm_stream(tiling);
    const auto* words = reinterpret_cast<const uint8_t*>(stream.words().data());
    const npusim::RunReport run =
        array.run(npusim::InstructionStream::parse({words, stream.bytes()}), buffers);
    if (report)
        *report = run;
    return c;
}

} // namespace

std::vector<uint8_t> run_product(npusim::Array& array, const GemmOverlay& overlay,
                                 const Operands& operands, unsigned shift,
                                 npusim::RunReport* report) {
    Serial thread;
    const GemmTiling tiling(overlay, operands.m, operands.n, operands.k);
    std::vector<uint8_t> a(tiling.a_bytes()), b(tiling.b_bytes());
    pack_a(tiling, operands.a.data(), operands.k, a.data(), thread);
    pack_b(tiling, operands.b.data(), operands.n, BLayout::k_by_n, shift, b.data(), thread);
    const std::vector<uint8_t> c = run_stream(array, tiling, a, b, report);

    const size_t element = result_bytes(overlay);
    std::vector<uint8_t> result(operands.m * operands.n * element);
    unpack_c(select_kernels(nullptr).unpack, tiling, c.data(), result.data(), operands.n, thread);
    return result;
}

std::vector<uint8_t> plain_product(const GemmOverlay& overlay, const Operands& of, unsigned shift) {
    std::vector<uint8_t> result;
    for (size_t i = 0; i < of.m; ++i)
        for (size_t j = 0; j < of.n; ++j) {
            if (overlay.operand_type == NPUENC_BF16) {
                const uint32_t sum_bits = bf16_sum(of, i, j);
                if (overlay.result == GemmResult::s16)
                    append(result, int32_t{static_cast<int16_t>(sum_bits & 0xffff)});
                else
                    append(result, sum_bits);
                continue;
            }
            int64_t sum = 0;
            for (size_t k = 0; k < of.k; ++k)
                sum += static_cast<int8_t>(of.a[i * of.k + k]) *
                       static_cast<int8_t>(of.b[k * of.n + j]);
            if (overlay.result == GemmResult::s8)
                append(result, requantised<int8_t>(sum, shift));
            else if (overlay.result == GemmResult::s16)
                append(result, int32_t{requantised<int16_t>(sum, shift)});
            else
                append(result, static_cast<int32_t>(sum));
        }
    return result;
}

Exact exact_element(const Operands& of, size_t i, size_t j) {
    double sum = 0, magnitudes = 0;
    for (size_t k = 0; k < of.k; ++k) {
        const double product = static_cast<double>(value_of(bf16_at(of.a, i * of.k + k))) *
                               value_of(bf16_at(of.b, k * of.n + j));
        sum += product;
        magnitudes += std::fabs(product);
    }
    const double steps = static_cast<double>((of.k + 7) / 8);
    return {sum, steps * 10 * 0x1p-23 * magnitudes};
}

GeluOperands make_gelu_operands(size_t m, size_t n, size_t k, uint32_t seed) {
    GeluOperands operands{make_operands(gemm_bf16_gelu, m, n, k, Values::any, seed), {}};
    const float scale = std::exp2(std::nearbyint(-0.5f * std::log2(static_cast<float>(k))));
    for (size_t i = 0; i < k * n; ++i) {
        const uint16_t scaled = bf16_of(value_of(bf16_at(operands.product.b, i)) * scale); // exact
        std::memcpy(&operands.product.b[2 * i], &scaled, 2);
    }
    std::mt19937 random(seed + 1);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < n; ++i)
        operands.bias.push_back(normal(random));
    return operands;
}

Packed packed(const GemmTiling& tiling, const GeluOperands& operands) {
    Serial thread;
    const Operands& of = operands.product;
    Packed packed{std::vector<uint8_t>(tiling.a_bytes()), std::vector<uint8_t>(tiling.b_bytes())};
    pack_a(tiling, of.a.data(), of.k, packed.a.data(), thread);
    pack_b(tiling, of.b.data(), of.n, BLayout::k_by_n, 0, packed.b.data(), thread);
    const size_t last = tiling.b_strip() - tiling.overlay().b_message;
    for (size_t strip = 0; strip < b_strips(tiling); ++strip) {
        const size_t column = std::min(strip * core_tile, of.n);
        const size_t offset = tiling.b_offset(strip % array_cores, strip / array_cores) + last;
        gelu_tile::write(operands.bias.data() + column, std::min(core_tile, of.n - column),
                         reinterpret_cast<char*>(packed.b.data() + offset));
    }
    return packed;
}

std::vector<uint16_t> unpacked_gelu(const GemmTiling& tiling, const std::vector<uint8_t>& c) {
    const size_t rows = tiling.m_groups() * output_group, n = tiling.n_groups() * output_group;
    std::vector<uint16_t> result(rows * n);
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < n; ++j) {
            const size_t tile =
                tiling.c_offset(i % output_group / core_tile,
                                tiling.output_index(i / output_group, j / output_group), 0, 0,
                                j % output_group / core_tile);
            const size_t row = i % core_tile, column = j % core_tile;
            const size_t element =
                ((column / 32 * 8 + row / 8) * 4 + column % 32 / 8) * 64 + row % 8 * 8 + column % 8;
            result[i * n + j] = bf16_at(c, tile / 2 + element);
        }
    return result;
}

std::vector<uint16_t> run_gelu(npusim::Array& array, const GeluOperands& operands,
                               npusim::RunReport* report) {
    const Operands& of = operands.product;
    const GemmTiling tiling(gemm_bf16_gelu, of.m, of.n, of.k);
    Packed inputs = packed(tiling, operands);
    return unpacked_gelu(tiling, run_stream(array, tiling, inputs.a, inputs.b, report));
}

std::vector<uint16_t> plain_gelu(const GeluOperands& operands) {
    const Operands& of = operands.product;
    const size_t rows = round_up(of.m, output_group), columns = round_up(of.n, output_group);
    std::vector<float> bias = operands.bias;
    bias.resize(columns);
    std::vector<uint16_t> result(rows * columns);
    std::vector<char> message(gemm_bf16_gelu.b_message);
    for (size_t j = 0; j < columns; ++j) {
        if (j % core_tile == 0)
            gelu_tile::write(&bias[j], core_tile, message.data());
        const auto* behind_header =
            reinterpret_cast<const uint8_t*>(message.data()) + gemm_bf16_gelu.b_header;
        for (size_t i = 0; i < rows; ++i)
            result[i * columns + j] = gelu_model(i < of.m && j < of.n ? bf16_sum(of, i, j) : 0,
                                                 i % core_tile, j % core_tile, behind_header);
    }
    return result;
}

double exact_gelu(double x) {
    return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}

Exact exact_gelu_element(const GeluOperands& operands, size_t i, size_t j) {
    constexpr double to_bf16 = 0x1p-8, to_two_bf16 = 0x1p-16, adding_two = 4 * 0x1p-23;
    const Exact sum = exact_element(operands.product, i, j);
    const double bias = operands.bias[j], value = exact_gelu(sum.value + bias);
    const double magnitude = std::fabs(sum.value) + sum.bound + (1 + to_bf16) * std::fabs(bias);
    double of_h = sum.bound + to_two_bf16 * std::fabs(bias) + adding_two * magnitude;
    of_h += to_bf16 * (std::fabs(sum.value + bias) + of_h);
    const double of_f32 =
        1.13 * of_h + 2.2e-4 + adding_two * (std::fabs(sum.value + bias) + of_h + 1.5);
    return {value, of_f32 + to_bf16 * (std::fabs(value) + of_f32)};
}

} // namespace npuenc
