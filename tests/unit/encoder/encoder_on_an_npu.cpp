// SPDX-License-Identifier: MIT
// What the encoder gives an NPU to do, and what it says of it.
#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "encoder/encoder.hpp"
#include "recording_npu.hpp"
#include "tests/unit/random.hpp"

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
}
#undef fail // a macro of cmocka; here it is npuenc's

namespace {

using namespace npuenc;

constexpr npuenc_device_type cpu = NPUENC_DEVICE_CPU, npu = NPUENC_DEVICE_NPU;
constexpr npuenc_precision f32 = NPUENC_PRECISION_F32, bf16 = NPUENC_PRECISION_BF16,
                           bf16x2 = NPUENC_PRECISION_BF16X2, int8 = NPUENC_PRECISION_INT8;

// More positions than the CPU takes of an MLP at a time with one thread.
constexpr HyperParameters dims{
    .n_mels = 80, .n_ctx = 250, .n_state = 128, .n_head = 2, .n_layer = 3};

// Random weights, the same on every run.
class RandomModel final : public ModelFile {
  public:
    RandomModel() {
        hyper_parameters_ = dims;
        format_ = "random";
    }

    void read_rows(TensorId id, uint32_t first, uint32_t count, float* out) const override {
        const auto n = static_cast<size_t>(shape_of(id.role, dims).row_elements());
        for (uint32_t row = first; row < first + count; ++row, out += n) {
            Random random((static_cast<uint32_t>(id.role) * 16 + id.layer) * 65536 + row);
            for (size_t i = 0; i < n; ++i)
                out[i] = 0.1f * random.real();
        }
    }
};

const RandomModel model;

struct Case {
    PlanOptions options;
    struct {
        npuenc_device_type linear, attention, conv;
    } places;
    struct {
        npuenc_precision precision, wide, conv, first_attention;
        uint32_t n_wide_layers = 1;
    } precisions;
};

// On an NPU's context. Norms are the host's in each.
const Case cases[] = {
    {{}, {npu, cpu, npu}, {bf16, bf16x2, bf16, f32}},
    {{.precision = bf16}, {npu, cpu, npu}, {bf16, bf16x2, bf16, f32}},
    {{.precision = int8}, {npu, cpu, npu}, {int8, bf16, bf16x2, bf16, 2}},
    {{.linear = npu, .attention = npu, .conv = npu}, {npu, npu, npu}, {bf16, bf16x2, bf16, bf16}},
    {{.precision = int8, .linear = cpu}, {cpu, cpu, npu}, {int8, bf16, bf16x2, bf16}},
    {{.precision = int8, .conv = cpu}, {npu, cpu, cpu}, {int8, bf16, bf16, bf16, 2}},
    {{.precision = int8, .attention = npu}, {npu, npu, npu}, {int8, bf16, bf16x2, bf16, 2}},
    {{.linear = cpu}, {cpu, cpu, npu}, {bf16, f32, bf16, f32}},
    {{.conv = cpu}, {npu, cpu, cpu}, {bf16, bf16x2, bf16, f32}},
    {{.linear = cpu, .attention = npu, .conv = cpu}, {cpu, npu, cpu}, {bf16, f32, bf16, bf16}},
    {{.precision = f32, .linear = cpu, .conv = cpu, .elementwise = cpu},
     {cpu, cpu, cpu},
     {f32, f32, f32, f32}},
};

void families_are_placed_as_asked_and_products_on_the_npu_by_default(void**) {
    RecordingNpu device(1);
    for (const Case& each : cases) {
        const Plan plan = make_plan(each.options, dims, device);
        assert_int_equal(plan.linear->type(), each.places.linear);
        assert_int_equal(plan.attention->type(), each.places.attention);
        assert_int_equal(plan.conv->type(), each.places.conv);
        assert_int_equal(plan.elementwise->type(), cpu);
        assert_int_equal(plan.precision, each.precisions.precision);
        assert_int_equal(plan.wide_precision, each.precisions.wide);
        assert_int_equal(plan.conv_precision, each.precisions.conv);
        assert_int_equal(plan.first_attention_precision, each.precisions.first_attention);
        assert_int_equal(plan.n_wide_layers, each.precisions.n_wide_layers);
        assert_int_equal(plan.mlp_down_precision(1), plan.mlp_precision(1));
        assert_int_equal(plan.result_precision(0), each.precisions.precision == f32 ? f32 : bf16);
    }
}

// And only where it would be bf16 on the CPU: the first one of few layers has it.
void tiny_models_have_the_second_product_of_the_first_mlp_in_int8(void**) {
    RecordingNpu device(1);
    const auto down_of = [&](const PlanOptions& options, uint32_t n_layer) {
        HyperParameters shape = dims;
        shape.n_layer = n_layer;
        const Plan plan = make_plan(options, shape, device);
        assert_int_equal(plan.mlp_down_precision(1), plan.mlp_precision(1));
        return plan.mlp_down_precision(0);
    };
    assert_int_equal(down_of({.precision = int8, .linear = cpu}, 4), int8);
    assert_int_equal(down_of({.precision = int8, .linear = cpu}, 5), bf16);
    assert_int_equal(down_of({.precision = int8}, 4), bf16);
    assert_int_equal(down_of({.precision = bf16, .linear = cpu}, 4), bf16);
}

void a_cpu_with_amx_takes_bf16x2_for_what_is_wide(void**) {
    npuenc_kernels kernels;
    if (npuenc_kernels_init(&kernels, "amx") != NPUENC_KERNELS_OK)
        skip();
    CpuDevice device(1, "amx");
    const struct {
        npuenc_precision precision, wide, conv, first_attention;
    } plans[] = {
        {f32, f32, f32, f32}, {bf16, bf16x2, bf16x2, bf16x2}, {int8, bf16x2, bf16, bf16x2}};
    for (const auto& each : plans) {
        const Plan plan = make_plan({.precision = each.precision}, dims, device);
        assert_int_equal(plan.precision, each.precision);
        assert_int_equal(plan.wide_precision, each.wide);
        assert_int_equal(plan.conv_precision, each.conv);
        assert_int_equal(plan.first_attention_precision, each.first_attention);
        assert_int_equal(plan.result_precision(0), each.first_attention);
        assert_int_equal(plan.mlp_down_precision(0), plan.mlp_precision(0));
    }
}

// The words of the refusal; empty when there is none.
std::string refusal_of(const PlanOptions& options, Device& device) {
    try {
        check_places(options, device);
    } catch (const Error& error) {
        assert_int_equal(error.status(), NPUENC_E_UNSUPPORTED);
        return error.what();
    }
    return "";
}

void assert_contains(const std::string& text, const char* part) {
    if (text.find(part) == std::string::npos)
        fail(NPUENC_E_INTERNAL, "\"%s\" does not say \"%s\"", text.c_str(), part);
}

void what_the_array_lacks_is_refused_in_words(void**) {
    RecordingNpu device(1);
    const PlanOptions in_f32[] = {
        {.precision = f32},
        {.precision = f32, .linear = cpu},
        {.precision = f32, .conv = cpu},
        {.precision = f32, .linear = cpu, .attention = npu, .conv = cpu},
    };
    for (const PlanOptions& options : in_f32)
        assert_contains(refusal_of(options, device), "bf16 and int8, not f32");
    assert_contains(refusal_of({.elementwise = npu}, device), "elementwise_device");
}

void a_context_on_the_cpu_has_no_npu(void**) {
    CpuDevice device(1, nullptr);
    assert_contains(refusal_of({.linear = npu}, device), "linear_device asks for the NPU");
    assert_contains(refusal_of({.attention = npu}, device), "attention_device asks for the NPU");
    assert_contains(refusal_of({.conv = npu}, device), "conv_device asks for the NPU");
    assert_contains(refusal_of({.elementwise = npu}, device), "elementwise_device asks for the");
    assert_string_equal(refusal_of({.precision = f32, .linear = cpu}, device).c_str(), "");
    const Plan plan = make_plan({}, dims, device);
    for (const Device* placed : {plan.linear, plan.attention, plan.conv, plan.elementwise})
        assert_ptr_equal(placed, &device);
}

constexpr size_t n_items = 2;

std::vector<float> encode(const Encoder& encoder, Run& run, npuenc_dtype output = NPUENC_F32) {
    constexpr size_t n_frames = dims.n_ctx * frames_per_state;
    const std::vector<float> mel = Random(1).reals(n_items * dims.n_mels * n_frames);
    std::vector<float> states(n_items * dims.n_ctx * dims.n_state);
    encoder.encode({.input = NPUENC_INPUT_MEL_F32,
                    .output_type = output,
                    .size = n_items,
                    .n_per_item = n_frames,
                    .in = mel.data(),
                    .lengths = nullptr,
                    .n_ctx = dims.n_ctx,
                    .out = states.data()},
                   run);
    return states;
}

// A run that has worked, whatever with.
class FinishedRun {
  public:
    explicit FinishedRun(const std::function<void(Run&)>& work) {
        run_.begin(false);
        run_.start_work();
        work(run_);
        run_.stop_clock();
        run_.end(NPUENC_OK, "");
    }

    Stats stats() const { return run_.stats(); }
    std::vector<Operation> operations() const {
        std::vector<Operation> operations;
        for (uint32_t i = 0; i < run_.operation_count(); ++i)
            operations.push_back(run_.operation(i));
        return operations;
    }

  private:
    Run run_{Run::Profile::on};
};

void each_product_is_one_submission_of_all_rows_without_gaps(void**) {
    RecordingNpu device(1);
    const Encoder encoder(model, {}, device);
    std::vector<Sums> sums(2, Sums::in_16_bits);
    for (uint32_t layer = 0; layer < dims.n_layer; ++layer)
        for (const Sums each : {Sums::in_16_bits, Sums::in_16_bits, Sums::stay, Sums::of_stayed})
            sums.push_back(each);
    assert_true(device.packed == sums);
    const FinishedRun run([&](Run& working) { encode(encoder, working); });

    size_t i = 0, i_mlp = 0;
    const auto expect = [&](const Weight& weight, size_t rows, size_t ldx) {
        assert_true(i < device.linears.size());
        const RecordingNpu::LinearCall& call = device.linears[i++];
        assert_ptr_equal(call.weight, &weight);
        assert_int_equal(call.rows, rows);
        assert_int_equal(call.ldx, ldx);
        assert_int_equal(call.ldy, weight.n_out());
    };
    for (size_t item = 0; item < n_items; ++item) {
        const EncoderWeights& weights = encoder.weights();
        expect(*weights.conv1, dims.n_ctx * frames_per_state, dims.n_mels);
        expect(*weights.conv2, dims.n_ctx, frames_per_state * dims.n_state);
        for (const Layer& layer : weights.layers) {
            expect(*layer.qkv, dims.n_ctx, dims.n_state);
            expect(*layer.attention_out, dims.n_ctx, dims.n_state);
            assert_true(i_mlp < device.mlps.size());
            const RecordingNpu::MlpCall& call = device.mlps[i_mlp++];
            assert_ptr_equal(call.up, layer.mlp_up.get());
            assert_ptr_equal(call.down, layer.mlp_down.get());
            assert_int_equal(call.rows, dims.n_ctx);
        }
    }
    assert_int_equal(i, device.linears.size());
    assert_int_equal(i_mlp, device.mlps.size());
    assert_int_equal(run.stats().n_submissions, i + i_mlp);
    assert_int_equal(run.stats().n_syncs, 2 * (i + i_mlp));
}

// Where an MLP is one: in bf16, unless somebody wants GELU on the CPU or the device has none.
void mlps_in_bf16_are_one_submission(void**) {
    const struct {
        PlanOptions options;
        bool has_mlps;
        std::vector<bool> in_one; // of each layer
    } all[] = {
        {{}, true, {true, true, true}},
        {{.precision = bf16, .attention = npu}, true, {true, true, true}},
        {{.precision = int8}, true, {true, true, false}},
        {{.elementwise = cpu}, true, {false, false, false}},
        {{.precision = int8, .elementwise = cpu}, true, {false, false, false}},
        {{.precision = bf16x2}, true, {false, false, false}},
        {{.linear = cpu}, true, {false, false, false}},
        {{}, false, {false, false, false}},
    };
    for (const auto& [options, has_mlps, in_one] : all) {
        RecordingNpu device(1);
        device.has_mlps = has_mlps;
        const Encoder encoder(model, options, device);
        const FinishedRun run([&](Run& working) { encode(encoder, working); });
        size_t n = 0;
        for (uint32_t layer = 0; layer < dims.n_layer; ++layer) {
            assert_int_equal(encoder.plan().runs_mlp_in_one(layer), in_one[layer]);
            n += in_one[layer];
        }
        assert_int_equal(device.mlps.size(), n_items * n);
        assert_int_equal(std::count(device.packed.begin(), device.packed.end(), Sums::stay), n);
        assert_int_equal(std::count(device.packed.begin(), device.packed.end(), Sums::of_stayed),
                         n);
    }
}

// The residual stream goes in and comes out as it does through two layers.
void an_mlp_in_one_gives_the_same_states(void**) {
    std::vector<float> states[2];
    for (const bool in_one : {false, true}) {
        RecordingNpu device(1);
        device.has_mlps = in_one;
        const Encoder encoder(model, {}, device);
        const FinishedRun run([&](Run& working) { states[in_one] = encode(encoder, working); });
    }
    assert_memory_equal(states[0].data(), states[1].data(), states[0].size() * sizeof(float));
}

npuenc_precision expected_precision(const Case& of, const Operation& operation) {
    const std::string name = operation.name;
    if (name == "mel" || name == "final norm")
        return f32;
    if (name == "conv1" || name == "conv2")
        return of.precisions.conv;
    if (name == "attention")
        return operation.layer == 0 ? of.precisions.first_attention : of.precisions.precision;
    const bool is_wide = operation.layer < static_cast<int32_t>(of.precisions.n_wide_layers) &&
                         (name != "mlp" || of.precisions.precision == int8);
    return is_wide ? of.precisions.wide : of.precisions.precision;
}

npuenc_device_type expected_place(const Case& of, const std::string& name) {
    if (name == "mel" || name == "final norm")
        return cpu;
    if (name == "conv1" || name == "conv2")
        return of.places.conv;
    return name == "attention" ? of.places.attention : of.places.linear;
}

// Those that the device itself has seen.
void the_operator_list_tells_which_device_ran_what(void**) {
    for (const Case& each : cases) {
        RecordingNpu device(2);
        const Encoder encoder(model, each.options, device);
        const FinishedRun run([&](Run& working) { encode(encoder, working); });

        const std::vector<Operation> operations = run.operations();
        assert_int_equal(operations.size(), 4 + 4 * dims.n_layer);
        size_t linears = 0, mlps = 0, attentions = 0;
        for (const Operation& operation : operations) {
            assert_int_equal(operation.device, expected_place(each, operation.name));
            assert_int_equal(operation.precision, expected_precision(each, operation));
            assert_int_equal(operation.n_calls, n_items);
            if (operation.device == npu) {
                const bool is_mlp = std::strcmp(operation.name, "mlp") == 0;
                if (is_mlp && operation.precision == bf16)
                    ++mlps;
                else
                    (std::strcmp(operation.name, "attention") == 0 ? attentions : linears) +=
                        is_mlp ? 2 : 1;
            }
        }
        assert_int_equal(device.linears.size(), n_items * linears);
        assert_int_equal(device.mlps.size(), n_items * mlps);
        assert_int_equal(device.attentions, n_items * attentions);
    }
}

// With one thread the CPU's MLP takes 192 of the 250 rows first, with two all of them, as an NPU
// does.
void rows_in_pieces_or_at_once_give_the_same_states(void**) {
    CpuDevice in_pieces(1, isa_of_host()), at_once(2, isa_of_host());
    for (const npuenc_precision precision : {f32, bf16, int8}) {
        const auto states_on = [&](Device& device) {
            const Encoder encoder(model, {.precision = precision}, device);
            std::vector<float> states;
            const FinishedRun run([&](Run& working) { states = encode(encoder, working); });
            return states;
        };
        const std::vector<float> first = states_on(in_pieces), second = states_on(at_once);
        assert_memory_equal(first.data(), second.data(), first.size() * sizeof(float));
    }
}

// The first layer's MLP in bf16x2, whose activations are f32, where nothing else has such: with
// four threads it takes more room than the convolutions and the projections.
void the_widest_activations_have_room(void**) {
    npuenc_kernels kernels;
    if (npuenc_kernels_init(&kernels, "amx") != NPUENC_KERNELS_OK)
        skip();
    constexpr PlanOptions options{.precision = int8, .linear = cpu, .attention = npu, .conv = cpu};
    std::vector<float> states[2];
    for (const unsigned n_threads : {1u, 4u}) {
        RecordingNpu device(n_threads, "amx");
        const Plan plan = make_plan(options, dims, device);
        assert_int_equal(plan.mlp_precision(0), bf16x2);
        for (const npuenc_precision other :
             {plan.precision, plan.conv_precision, plan.first_attention_precision})
            assert_int_not_equal(other, bf16x2);
        const Encoder encoder(model, options, device);
        const FinishedRun run(
            [&](Run& working) { states[n_threads == 4] = encode(encoder, working); });
    }
    assert_memory_equal(states[0].data(), states[1].data(), states[0].size() * sizeof(float));
}

void states_are_converted_on_the_host(void**) {
    RecordingNpu device(1);
    const Encoder encoder(model, {}, device);
    const FinishedRun run([&](Run& working) { encode(encoder, working, NPUENC_F16); });
    assert_int_equal(run.operations().back().device, cpu);
}

// An exception that reaches cmocka would say nothing but "terminate".
template <void (*test)(void**)>
void guarded(void** state) {
    try {
        test(state);
    } catch (const std::exception& error) {
        print_error("unexpected: %s\n", error.what());
        _fail(__FILE__, __LINE__);
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<a_cpu_with_amx_takes_bf16x2_for_what_is_wide>),
        cmocka_unit_test(guarded<tiny_models_have_the_second_product_of_the_first_mlp_in_int8>),
        cmocka_unit_test(guarded<families_are_placed_as_asked_and_products_on_the_npu_by_default>),
        cmocka_unit_test(guarded<what_the_array_lacks_is_refused_in_words>),
        cmocka_unit_test(guarded<a_context_on_the_cpu_has_no_npu>),
        cmocka_unit_test(guarded<each_product_is_one_submission_of_all_rows_without_gaps>),
        cmocka_unit_test(guarded<mlps_in_bf16_are_one_submission>),
        cmocka_unit_test(guarded<an_mlp_in_one_gives_the_same_states>),
        cmocka_unit_test(guarded<the_operator_list_tells_which_device_ran_what>),
        cmocka_unit_test(guarded<rows_in_pieces_or_at_once_give_the_same_states>),
        cmocka_unit_test(guarded<the_widest_activations_have_room>),
        cmocka_unit_test(guarded<states_are_converted_on_the_host>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
