// SPDX-License-Identifier: MIT
// The self-test passes a device that computes rightly, the array's attention included, and tells
// where another one differs.
#include "npu/self_test.hpp"

#include <cmath>
#include <functional>
#include <set>

#include "cpu/cpu_device.hpp"
#include "kernels/aie2/attention_s8_64x64.hpp"
#include "support.hpp"
#include "tests/kernels/aie2/attention_model.hpp"
#include "tests/unit/npu/device_support.hpp"

using namespace npuenc;

namespace {

// A device that has the CPU's products and the array's attention, but for what a test changes.
class Changed final : public Device {
  public:
    std::function<void(const Matmul&, void* c)> product;
    std::function<void(const Linear&, uint16_t* y)> layer;
    std::function<void(const Linear&, float* y)> mlp_results;
    std::function<void(int8_t* out)> attended;
    std::set<npuenc_dtype> products_of; // result types

    npuenc_device_type type() const override { return NPUENC_DEVICE_NPU; }
    const std::string& name() const override { return cpu_.name(); }
    const char* isa() const override { return "npu1"; }
    Parallel& parallel() override { return cpu_.parallel(); }
    Device& host() override { return cpu_; }

    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, npuenc_precision precision,
                                 const RowReader& rows, const float* bias, Sums sums) override {
        return cpu_.pack(n_out, n_in, precision, rows, bias, sums);
    }
    std::unique_ptr<Weight> pack(size_t n_out, size_t n_in, const Int8Rows& rows,
                                 const float* bias) override {
        return cpu_.pack(n_out, n_in, rows, bias);
    }
    void linear(const Weight& weight, const Linear& shape, const void* x, void* y,
                Stats& stats) override {
        cpu_.linear(weight, shape, x, y, stats);
        if (layer)
            layer(shape, static_cast<uint16_t*>(y));
    }
    bool has_mlp(size_t, size_t, size_t) const override { return true; }
    void mlp(const Weight& up, const Weight& down, const Linear& shape, const void* x, void* y,
             Stats& stats) override {
        Linear first = shape, second = shape;
        first.y_type = second.x_type = NPUENC_BF16;
        first.ldy = second.ldx = up.n_out();
        first.gelu = true;
        std::vector<uint16_t> hidden(shape.rows * up.n_out());
        cpu_.linear(up, first, x, hidden.data(), stats);
        cpu_.linear(down, second, hidden.data(), y, stats);
        if (mlp_results)
            mlp_results(shape, static_cast<float*>(y));
    }
    void layer_norm(size_t, size_t, const float*, const float*, const float*, float*) override {}
    void convert(npuenc_dtype, size_t, const float*, void*) override {}

    void matmul(const Matmul& shape, const void* a, const void* b, void* c, Stats& stats) override {
        products_of.insert(shape.c_type);
        cpu_.matmul(shape, a, b, c, stats);
        if (product)
            product(shape, c);
    }

    void attention(const Attention& shape, const void* q, const void* k, const void* v, void* out,
                   Stats&) override {
        assert_int_equal(shape.type, NPUENC_S8);
        std::vector<uint8_t> message;
        for (const void* matrix : {q, k, v}) {
            const auto* bytes = static_cast<const uint8_t*>(matrix);
            message.insert(message.end(), bytes, bytes + 64 * 64);
        }
        // What the overlay is set to.
        assert_true(double{shape.scale} * double{shape.q_scale} * double{shape.k_scale} ==
                    aie2::default_attention_scale);
        assert_true(shape.v_scale == shape.out_scale);
        const std::vector<uint8_t> result =
            attention_model(message, aie2::attention_parameters(aie2::default_attention_scale));
        std::memcpy(out, result.data(), result.size());
        if (attended)
            attended(static_cast<int8_t*>(out));
    }

  private:
    CpuDevice cpu_{1, nullptr};
};

void the_array_passes(void**) {
    const std::unique_ptr<NpuDevice> device = open_array();
    run_self_test(*device);
    assert_int_equal(module_counts().programs_made, 8);
}

// What a device does wrongly while no call of it fails.
void an_array_that_goes_wrong_is_found(void**) {
    // The array waits for more than it is given where it is not told how much that is.
    const std::pair<Misbehaviour, const char*> ways[] = {
        {Misbehaviour::no_sync_to_device, "self-test: gemm_s8_s32: "},
        {Misbehaviour::no_sync_from_device, "self-test: gemm_s8_s32: element"},
        {Misbehaviour::swapped_arguments, "self-test: gemm_s8_s32: "}};
    for (const auto& [how, said] : ways) {
        const std::unique_ptr<NpuDevice> device = open_array();
        misbehave(how);
        assert_error(run_self_test(*device), NPUENC_E_DEVICE, said);
        misbehave(Misbehaviour::none);
    }
    const std::unique_ptr<NpuDevice> device = open_array();
    fail_call(ModuleCall::wait, 2, NPUENC_E_TIMEOUT);
    assert_error(run_self_test(*device), NPUENC_E_TIMEOUT, "self-test: gemm_s8_s16: ");
    stop_failing();
    run_self_test(*device);
    fail_call(ModuleCall::submit, 1, NPUENC_E_CTX_LOST);
    assert_error(run_self_test(*device), NPUENC_E_CTX_LOST, "self-test: gemm_s8_s32: ");
    assert_int_equal(device->status(), NPUENC_E_CTX_LOST);
    stop_failing();
}

void a_device_that_computes_rightly_passes(void**) {
    Changed device;
    run_self_test(device);
    assert_true(device.products_of == (std::set<npuenc_dtype>{NPUENC_S32, NPUENC_S8, NPUENC_F32}));
    CpuDevice cpu(1, "reference");
    run_self_test(cpu);
}

template <class Element>
void assert_found(npuenc_dtype type, size_t row, size_t column, const char* name) {
    Changed device;
    std::string expected = std::string("self-test: ") + name + ": element (" + std::to_string(row) +
                           ", " + std::to_string(column) + ") is ";
    device.product = [&](const Matmul& shape, void* c) {
        if (shape.c_type != type)
            return;
        Element& element = static_cast<Element*>(c)[row * shape.ldc + column];
        const int right = static_cast<int>(element);
        element = static_cast<Element>(right == 127 ? 126 : right + 1);
        expected +=
            std::to_string(static_cast<int>(element)) + " instead of " + std::to_string(right);
    };
    npuenc_status status = NPUENC_OK;
    std::string detail;
    try {
        run_self_test(device);
    } catch (const Error& error) {
        status = error.status();
        detail = error.what();
    }
    assert_int_equal(status, NPUENC_E_DEVICE);
    assert_string_equal(detail.c_str(), expected.c_str());
}

void one_wrong_element_is_found_wherever_it_is(void**) {
    for (const auto& [row, column] : {std::pair<size_t, size_t>{0, 0}, {3, 7}, {255, 255}}) {
        assert_found<int32_t>(NPUENC_S32, row, column, "gemm_s8_s32");
        assert_found<int8_t>(NPUENC_S8, row, column, "gemm_s8_s8");
        assert_found<float>(NPUENC_F32, row, column, "gemm_bf16");
    }
}

void a_wrong_element_of_a_layer_is_found(void**) {
    Changed device;
    device.layer = [](const Linear& shape, uint16_t* y) { y[5 * shape.ldy + 9] ^= 1; };
    assert_error(run_self_test(device), NPUENC_E_DEVICE, "self-test: gemm_s8_s16: element (5, 9)");
    device.layer = [](const Linear& shape, uint16_t* y) {
        if (shape.ldx == 64)
            y[255 * shape.ldy] ^= 1;
    };
    assert_error(run_self_test(device), NPUENC_E_DEVICE, "self-test: gemm_bf16: element (255, 0)");
}

// A sixteenth is beyond all that rounding does to differences of such hidden values near zero, and
// columns that have changed places are found among 256 x 256.
void a_wrong_mlp_is_found(void**) {
    const char* said = "self-test: gemm_bf16 with GELU: element (";
    Changed device;
    device.mlp_results = [](const Linear& shape, float* y) {
        y[255 * shape.ldy + 254] += std::ldexp(std::fabs(y[255 * shape.ldy + 254]) + 16, -4);
    };
    assert_error(run_self_test(device), NPUENC_E_DEVICE, "GELU: element (255, 254) is ");
    device.mlp_results = [](const Linear&, float* y) { y[3] = NAN; };
    assert_error(run_self_test(device), NPUENC_E_DEVICE, "GELU: element (0, 3) is nan");
    device.mlp_results = [](const Linear& shape, float* y) {
        for (size_t row = 0; row < shape.rows; ++row)
            std::swap(y[row * shape.ldy + 200], y[row * shape.ldy + 201]);
    };
    assert_error(run_self_test(device), NPUENC_E_DEVICE, said);
    device.mlp_results = [](const Linear& shape, float* y) {
        std::fill_n(y, shape.rows * shape.ldy, 0.0f);
    };
    assert_error(run_self_test(device), NPUENC_E_DEVICE, said);
}

void results_that_are_not_there_are_found(void**) {
    Changed device;
    device.product = [](const Matmul& shape, void* c) {
        std::memset(c, 0, shape.m * shape.ldc * element_size(shape.c_type));
    };
    assert_error(run_self_test(device), NPUENC_E_DEVICE, "self-test: gemm_s8_s32: element (0, 0)");
    device.product = nullptr;
    device.attended = [](int8_t* out) { std::memset(out, 0, 64 * 64); };
    assert_error(run_self_test(device), NPUENC_E_DEVICE,
                 "self-test: attention_s8_64x64: the "
                 "correlation");
}

void attention_that_is_none_is_found(void**) {
    Changed device;
    // Rows as they are, but of other queries.
    device.attended = [](int8_t* out) {
        std::vector<int8_t> rows(out, out + 64 * 64);
        for (size_t i = 0; i < 64; ++i)
            std::copy_n(&rows[(i + 1) % 64 * 64], 64, out + 64 * i);
    };
    assert_error(run_self_test(device), NPUENC_E_DEVICE,
                 "self-test: attention_s8_64x64: the "
                 "correlation with the CPU's attention is");
}

void failures_of_the_device_keep_their_kind(void**) {
    Changed device;
    device.product = [](const Matmul& shape, void*) {
        if (shape.c_type == NPUENC_F32)
            fail(NPUENC_E_TIMEOUT, "it hangs");
    };
    assert_error(run_self_test(device), NPUENC_E_TIMEOUT, "self-test: gemm_bf16: it hangs");
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_array_passes),
        cmocka_unit_test(an_array_that_goes_wrong_is_found),
        cmocka_unit_test(a_device_that_computes_rightly_passes),
        cmocka_unit_test(one_wrong_element_is_found_wherever_it_is),
        cmocka_unit_test(a_wrong_element_of_a_layer_is_found),
        cmocka_unit_test(a_wrong_mlp_is_found),
        cmocka_unit_test(results_that_are_not_there_are_found),
        cmocka_unit_test(attention_that_is_none_is_found),
        cmocka_unit_test(failures_of_the_device_keep_their_kind),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
