// SPDX-License-Identifier: MIT
#include "npu_measurement.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>

#include "first_window.hpp"
#include "pseudo_random.hpp"

namespace npuenc {
namespace {

using Clock = std::chrono::steady_clock;

// Of the host itself; what a virtual device computes meanwhile is not its work.
uint64_t ns_without_waiting(const npuenc_stats& cost) {
    return cost.wall_ns - std::min(cost.wall_ns, cost.device_ns);
}

uint64_t cpu_operators_of(const npuenc_run* run) {
    uint32_t count = 0;
    check(npuenc_run_op_count(run, &count));
    uint64_t ns = 0;
    for (uint32_t i = 0; i < count; ++i) {
        npuenc_op_info info{};
        info.struct_size = sizeof info;
        check(npuenc_run_op_get(run, i, &info));
        if (info.device_type == NPUENC_DEVICE_CPU)
            ns += info.wall_ns;
    }
    return ns;
}

NpuMeasurement repeat(const Context& context, const std::function<void(npuenc_run*)>& call) {
    constexpr uint32_t most_runs = 10;
    constexpr auto enough = std::chrono::seconds(1);
    const RunHandle run = context.make_run();
    call(run.get());
    NpuMeasurement result;
    const Clock::time_point begin = Clock::now();
    while (result.n_runs == 0 || (result.n_runs < most_runs && Clock::now() - begin < enough)) {
        call(run.get());
        const npuenc_stats cost = stats_of(run.get());
        if (result.n_runs++ == 0 || ns_without_waiting(cost) < ns_without_waiting(result.cost)) {
            result.cost = cost;
            result.cpu_operators = cpu_operators_of(run.get());
        }
    }
    return result;
}

size_t element_bytes(int32_t type) {
    return type == NPUENC_S8 ? 1 : type == NPUENC_BF16 ? 2 : 4;
}

// Numbers in an operator's type and the same as int32, in steps of 1/128 for bf16: sums of their
// products are exact in f32 up to 2^10 terms.
struct Operand {
    std::vector<uint8_t> bytes;
    std::vector<int32_t> values;

    Operand(int32_t type, size_t count, uint64_t seed)
        : bytes(count * element_bytes(type)), values(count) {
        PseudoRandom random(seed);
        for (size_t i = 0; i < count; ++i) {
            const int8_t value = random.byte();
            values[i] = value;
            if (type == NPUENC_S8) {
                bytes[i] = static_cast<uint8_t>(value);
            } else { // bf16 holds it exactly: the lower half of the f32 is zero
                const auto half = static_cast<uint16_t>(
                    std::bit_cast<uint32_t>(static_cast<float>(value) / 128) >> 16);
                std::memcpy(&bytes[2 * i], &half, sizeof half);
            }
        }
    }
};

std::vector<int32_t> plain_sums(const Operand& a, const Operand& b, size_t size) {
    std::vector<int32_t> sums(size * size);
    for (size_t i = 0; i < size; ++i)
        for (size_t k = 0; k < size; ++k)
            for (size_t j = 0; j < size; ++j)
                sums[i * size + j] += a.values[i * size + k] * b.values[k * size + j];
    return sums;
}

// The bits of what the sum becomes as a result.
uint32_t result_bits(int32_t result_type, int32_t sum) {
    switch (result_type) {
    case NPUENC_S8:
        return static_cast<uint8_t>(static_cast<int8_t>(
            std::clamp(std::rint(std::ldexp(sum, -int{s8_result_shift})), -128.0, 127.0)));
    case NPUENC_F32:
        return std::bit_cast<uint32_t>(static_cast<float>(sum) * 0x1p-14f);
    default:
        return static_cast<uint32_t>(sum);
    }
}

void check_product(const NpuProductType& type, const std::vector<uint8_t>& found,
                   const std::vector<int32_t>& sums) {
    const size_t bytes = element_bytes(type.result_type);
    for (size_t i = 0; i < sums.size(); ++i) {
        const uint32_t expected = result_bits(type.result_type, sums[i]);
        if (std::memcmp(&found[i * bytes], &expected, bytes) != 0)
            fail(exit_failed, "%s: element %zu of the product is wrong", type.name, i);
    }
}

} // namespace

uint64_t host_ns(const npuenc_stats& cost) {
    return cost.pack_ns + cost.submit_ns + cost.sync_ns + cost.unpack_ns + cost.accumulate_ns;
}

NpuMeasurement measure_batched_product(const Context& context, const NpuProductType& type,
                                       uint32_t size) {
    const size_t elements = size_t{size} * size;
    const Operand a(type.operand_type, elements, 1), b(type.operand_type, elements, 2);
    std::vector<uint8_t> c(elements * element_bytes(type.result_type));
    npuenc_matmul_desc desc{};
    desc.struct_size = sizeof desc;
    desc.a_type = desc.b_type = type.operand_type;
    desc.c_type = type.result_type;
    desc.m = desc.n = desc.k = size;
    if (type.result_type == NPUENC_S8)
        desc.scale = std::ldexp(1.0f, -int{s8_result_shift});
    const NpuMeasurement result = repeat(context, [&](npuenc_run* run) {
        check(npuenc_matmul(context.get(), &desc, a.bytes.data(), a.bytes.size(), b.bytes.data(),
                            b.bytes.size(), c.data(), c.size(), run));
    });
    check_product(type, c, plain_sums(a, b, size));
    return result;
}

NpuMeasurement measure_attention(const Context& context, int32_t type, uint32_t n_head,
                                 uint32_t length) {
    constexpr uint32_t head_dim = 64;
    const size_t elements = size_t{length} * n_head * head_dim;
    const Operand q(type, elements, 3), k(type, elements, 4), v(type, elements, 5);
    std::vector<uint8_t> out(q.bytes.size());
    npuenc_attention_desc desc{};
    desc.struct_size = sizeof desc;
    desc.type = type;
    desc.n_head = n_head;
    desc.head_dim = head_dim;
    desc.q_len = desc.kv_len = length;
    if (type == NPUENC_S8)
        desc.q_scale = desc.k_scale = desc.v_scale = desc.out_scale = 1.0f / 32;
    return repeat(context, [&](npuenc_run* run) {
        check(npuenc_attention(context.get(), &desc, q.bytes.data(), q.bytes.size(), k.bytes.data(),
                               k.bytes.size(), v.bytes.data(), v.bytes.size(), nullptr, 0,
                               out.data(), out.size(), run));
    });
}

NpuMeasurement measure_window(const Context& context, const Model& model,
                              const std::vector<float>& pcm, std::vector<ProductChain>& chains) {
    FirstWindow window(model, pcm);
    return repeat(context, [&](npuenc_run* run) {
        window.encode(run);
        if (chains.empty())
            chains = linear_products(run, model.info());
    });
}

} // namespace npuenc
