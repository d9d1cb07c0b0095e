// SPDX-License-Identifier: MIT
// The CPU device as a whole: its choice of instructions and threads, its name, layer norm, and
// that calls that repeat allocate nothing.
#include <atomic>
#include <new>

#include "support.hpp"

namespace {

std::atomic<size_t> n_allocations{0};

void* allocate(size_t bytes, size_t alignment) {
    ++n_allocations;
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!memory)
        throw std::bad_alloc();
    return memory;
}

// A function of its own, or gcc takes the pair for mismatched.
[[gnu::noinline]] void release(void* memory) {
    std::free(memory);
}

} // namespace

void* operator new(size_t bytes) {
    return allocate(bytes, 16);
}
void* operator new(size_t bytes, std::align_val_t alignment) {
    return allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept {
    release(memory);
}
void operator delete(void* memory, size_t) noexcept {
    release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    release(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
    release(memory);
}

using namespace npuenc;

namespace {

void says_what_it_is() {
    for (const std::string& isa : usable_isas()) {
        CpuDevice one(1, isa.c_str()), three(3, isa.c_str());
        assert_string_equal(one.name().c_str(), ("CPU " + isa + ", 1 thread").c_str());
        assert_string_equal(three.name().c_str(), ("CPU " + isa + ", 3 threads").c_str());
        assert_int_equal(one.type(), NPUENC_DEVICE_CPU);
        assert_int_equal(three.parallel().n_threads(), 3);
    }
    CpuDevice best(0, nullptr);
    assert_int_equal(best.parallel().n_threads(), default_thread_count());
    assert_non_null(std::strstr(best.name().c_str(), usable_isas().back().c_str()));
}

void refuses_unknown_isas() {
    for (const char* isa : {"", "avx", "AVX2", "avx512 "}) {
        npuenc_status status = NPUENC_OK;
        std::string detail;
        try {
            CpuDevice device(1, isa);
        } catch (const Error& error) {
            status = error.status();
            detail = error.what();
        }
        assert_int_equal(status, NPUENC_E_INVALID);
        assert_non_null(std::strstr(detail.c_str(), "reference"));
    }
    // Known, but not here: only on machines that lack one.
    for (const char* const* isa = npuenc_kernels_isas(); *isa; ++isa) {
        npuenc_kernels kernels;
        if (npuenc_kernels_init(&kernels, *isa) != NPUENC_KERNELS_LACKING_ISA)
            continue;
        npuenc_status status = NPUENC_OK;
        try {
            CpuDevice device(1, *isa);
        } catch (const Error& error) {
            status = error.status();
        }
        assert_int_equal(status, NPUENC_E_UNSUPPORTED);
    }
}

// Each step of the definition in f32: the mean and the variance as sums of n terms, each rounded,
// then a handful of operations on a normalised value of magnitude at most sqrt(n).
void layer_norm_is_right() {
    with_each_isa([](CpuDevice& device) {
        for (size_t n : {1, 2, 15, 64, 384, 1281})
            for (size_t rows : {0, 1, 31, 32, 100}) {
                Random random(static_cast<uint32_t>(n + rows));
                const std::vector<float> x = random.reals(rows * n), weight = random.reals(n),
                                         bias = random.reals(n);
                std::vector<float> y(rows * n), in_place = x;
                device.layer_norm(rows, n, x.data(), weight.data(), bias.data(), y.data());
                device.layer_norm(rows, n, in_place.data(), weight.data(), bias.data(),
                                  in_place.data());
                assert_true(y == in_place);
                for (size_t row = 0; row < rows; ++row) {
                    double mean = 0, variance = 0, greatest = 0;
                    for (size_t i = 0; i < n; ++i) {
                        mean += static_cast<double>(x[row * n + i]) / static_cast<double>(n);
                        greatest =
                            std::fmax(greatest, std::fabs(static_cast<double>(x[row * n + i])));
                    }
                    for (size_t i = 0; i < n; ++i)
                        variance += std::pow(static_cast<double>(x[row * n + i]) - mean, 2) /
                                    static_cast<double>(n);
                    const double deviation = std::sqrt(variance + 1e-5);
                    // The mean is wrong by e, so are the distances; the deviation by e at most.
                    const double e = gamma_f32(n + 2) * greatest;
                    for (size_t i = 0; i < n; ++i) {
                        const double normal =
                            (static_cast<double>(x[row * n + i]) - mean) / deviation;
                        const double w = static_cast<double>(weight[i]);
                        const double expected = normal * w + static_cast<double>(bias[i]);
                        const double bound = 1.01 * std::fabs(w) *
                                                 (e / deviation * (1 + std::fabs(normal)) +
                                                  gamma_f32(n + 8) * std::fabs(normal)) +
                                             gamma_f32(2) * (std::fabs(expected) + 1);
                        assert_near(expected, static_cast<double>(y[row * n + i]), bound,
                                    device.name().c_str(), row, i);
                    }
                }
            }
    });
}

void converts() {
    with_each_isa([](CpuDevice& device) {
        for (size_t n : {0, 1, 100, 16384, 50001}) {
            const std::vector<float> in = Random(2).reals(n);
            std::vector<uint16_t> out(n + 1, 77);
            device.convert(NPUENC_BF16, n, in.data(), out.data());
            for (size_t i = 0; i < n; ++i)
                assert_int_equal(out[i], to_bf16(in[i]));
            device.convert(NPUENC_F16, n, in.data(), out.data());
            for (size_t i = 0; i < n; ++i)
                assert_int_equal(out[i], to_f16(in[i]));
            assert_int_equal(out[n], 77);
        }
    });
}

void allocates_nothing_in_a_steady_state() {
    CpuDevice device(2, nullptr);
    const size_t rows = 300, n = 128;
    Random random(8);
    const std::vector<float> x = random.reals(rows * n), w = random.reals(n * n);
    const std::vector<int8_t> bytes = random.bytes(rows * n);
    std::vector<float> y(rows * n);
    std::vector<int8_t> out(rows * rows);
    std::unique_ptr<Weight> weights[3];
    const npuenc_precision precisions[] = {NPUENC_PRECISION_F32, NPUENC_PRECISION_BF16,
                                           NPUENC_PRECISION_INT8};
    for (int i = 0; i < 3; ++i)
        weights[i] = device.pack(n, n, precisions[i], reader_of(w, n), w.data(), Sums::in_32_bits);

    const auto everything = [&] {
        for (const auto& weight : weights) {
            Linear linear{};
            linear.x_type = linear.y_type = NPUENC_F32;
            linear.rows = rows;
            linear.ldx = linear.ldy = linear.ld_addend = n;
            linear.gelu = true;
            linear.addend = y.data();
            device.linear(*weight, linear, x.data(), y.data(), unused_stats);
        }
        Attention attention{};
        attention.type = NPUENC_S8;
        attention.precision = NPUENC_PRECISION_INT8;
        attention.batch = 1;
        attention.n_head = 2;
        attention.head_dim = n / 2;
        attention.q_len = attention.kv_len = rows;
        attention.ldq = attention.ldk = attention.ldv = attention.ldo = n;
        attention.stride_q = attention.stride_k = attention.stride_v = attention.stride_o =
            rows * n;
        attention.scale = 0.01f;
        attention.mask = NPUENC_MASK_NONE;
        attention.q_scale = attention.k_scale = attention.v_scale = attention.out_scale = 0.1f;
        device.attention(attention, bytes.data(), bytes.data(), bytes.data(), out.data(),
                         unused_stats);
        attention.type = NPUENC_F32;
        attention.precision = NPUENC_PRECISION_F32;
        device.attention(attention, x.data(), x.data(), x.data(), y.data(), unused_stats);
        Matmul matmul{};
        matmul.a_type = matmul.b_type = matmul.c_type = NPUENC_S8;
        matmul.batch = 1;
        matmul.m = matmul.n = rows;
        matmul.k = n;
        matmul.lda = matmul.ldb = n;
        matmul.ldc = rows;
        matmul.stride_a = matmul.stride_b = rows * n;
        matmul.stride_c = rows * rows;
        matmul.b_transposed = true;
        matmul.scale = 0.01f;
        device.matmul(matmul, bytes.data(), bytes.data(), out.data(), unused_stats);
        device.layer_norm(rows, n, x.data(), w.data(), w.data(), y.data());
    };
    // Which thread takes which task is chance: the pool is steady once every thread has had each.
    size_t quiet = 0;
    for (int i = 0; i < 10000 && quiet < 20; ++i) {
        const size_t before = n_allocations;
        everything();
        quiet = n_allocations == before ? quiet + 1 : 0;
    }
    assert_int_equal(quiet, 20);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<says_what_it_is>),
        cmocka_unit_test(guarded<refuses_unknown_isas>),
        cmocka_unit_test(guarded<layer_norm_is_right>),
        cmocka_unit_test(guarded<converts>),
        cmocka_unit_test(guarded<allocates_nothing_in_a_steady_state>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
