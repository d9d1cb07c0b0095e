// SPDX-License-Identifier: MIT
#include "naive_product.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "failure.hpp"
#include "npu/gemm_stream.hpp"
#include "npu/timer.hpp"
#include "pseudo_random.hpp"

namespace npuenc {
namespace {

constexpr size_t tile = NaiveProduct::tile, tile_bytes = tile * tile;
constexpr int overlay_shift = 7; // aie2::MatmulS8::default_shift

std::vector<int8_t> random_matrix(size_t size, uint64_t seed) {
    PseudoRandom random(seed);
    std::vector<int8_t> matrix(size * size);
    for (int8_t& value : matrix)
        value = random.byte();
    return matrix;
}

void copy_tile(char* packed, const int8_t* matrix, size_t size) {
    for (size_t row = 0; row < tile; ++row)
        std::memcpy(packed + row * tile, matrix + row * size, tile);
}

int32_t tile_result(int32_t sum) {
    const double scaled = std::rint(std::ldexp(sum, -overlay_shift));
    return static_cast<int32_t>(std::clamp(scaled, -128.0, 127.0));
}

void check_result(const std::vector<int8_t>& a, const std::vector<int8_t>& b,
                  const std::vector<int32_t>& c, size_t size) {
    std::vector<int32_t> sums(size), expected(size);
    for (size_t i = 0; i < size; ++i) {
        std::fill(expected.begin(), expected.end(), 0);
        for (size_t first = 0; first < size; first += tile) {
            std::fill(sums.begin(), sums.end(), 0);
            for (size_t k = first; k < first + tile; ++k)
                for (size_t j = 0; j < size; ++j)
                    sums[j] += a[i * size + k] * b[k * size + j];
            for (size_t j = 0; j < size; ++j)
                expected[j] += tile_result(sums[j]);
        }
        if (!std::equal(expected.begin(), expected.end(), &c[i * size]))
            fail(exit_failed, "row %zu of the product of %zu x %zu, tile by tile, is wrong", i,
                 size, size);
    }
}

InstructionStream one_tile() {
    return one_to_one_stream(matmul_s8_16x16, 1);
}

} // namespace

NaiveProduct::NaiveProduct(const Session& session, const OverlayCatalog& overlays)
    : session_(session.core()), overlay_(session_, overlays.get(matmul_s8_16x16.name).xclbin),
      program_(overlay_, one_tile().words()), input_(session_, matmul_s8_16x16.input_bytes),
      output_(session_, matmul_s8_16x16.output_bytes) {}

void NaiveProduct::multiply_tile(npuenc_stats& cost, const int8_t* a, const int8_t* b, int32_t* c,
                                 uint32_t size) {
    {
        const Timer timer(cost.pack_ns);
        copy_tile(input_.data(), a, size);
        copy_tile(input_.data() + tile_bytes, b, size);
    }
    {
        const Timer timer(cost.sync_ns);
        input_.sync(npuenc_module_to_device, 0, matmul_s8_16x16.input_bytes, thread_);
    }
    npuenc_module_command command{};
    command.program = program_.handle();
    command.n_arguments = 2;
    command.arguments[0] = {input_.handle(), 0, matmul_s8_16x16.input_bytes};
    command.arguments[1] = {output_.handle(), 0, matmul_s8_16x16.output_bytes};
    {
        std::optional<Timer> timer(cost.submit_ns);
        RunningCommands running(session_, {&command, 1});
        timer.emplace(cost.device_ns);
        running.wait();
    }
    {
        const Timer timer(cost.sync_ns);
        output_.sync(npuenc_module_from_device, 0, matmul_s8_16x16.output_bytes, thread_);
    }
    int8_t partial[tile_bytes];
    {
        const Timer timer(cost.unpack_ns);
        std::memcpy(partial, output_.data(), tile_bytes);
    }
    {
        const Timer timer(cost.accumulate_ns);
        for (size_t row = 0; row < tile; ++row)
            for (size_t column = 0; column < tile; ++column)
                c[row * size + column] += partial[row * tile + column];
    }
    ++n_calls_;
    ++cost.n_calls;
    ++cost.n_submissions;
    cost.n_syncs += 2;
    cost.bytes_to_device += matmul_s8_16x16.input_bytes;
    cost.bytes_from_device += matmul_s8_16x16.output_bytes;
}

npuenc_stats NaiveProduct::run(uint32_t size, const std::function<void(double)>& progress) {
    const std::vector<int8_t> a = random_matrix(size, 1), b = random_matrix(size, 2);
    std::vector<int32_t> c(size_t{size} * size);
    npuenc_stats warm_up{};
    multiply_tile(warm_up, a.data(), b.data(), c.data(), size);
    std::fill(c.begin(), c.end(), 0);

    npuenc_stats cost{};
    {
        const Timer timer(cost.wall_ns);
        for (size_t i = 0; i < size; i += tile) {
            for (size_t j = 0; j < size; j += tile)
                for (size_t k = 0; k < size; k += tile)
                    multiply_tile(cost, &a[i * size + k], &b[k * size + j], &c[i * size + j], size);
            progress(static_cast<double>(i + tile) / size);
        }
    }
    check_result(a, b, c, size);
    return cost;
}

} // namespace npuenc
