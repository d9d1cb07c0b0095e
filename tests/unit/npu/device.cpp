// SPDX-License-Identifier: MIT
// What holds for every operator of the device: nothing is made anew in a steady state, a failure of
// any call of the module leaks nothing and the next call works, threads do not disturb each other,
// and what the module or the device might forget shows.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>
#include <thread>

#include "device_support.hpp"

using namespace npuenc;

// Allocations of this process outside of the module.
namespace {
std::atomic<uint64_t> allocations;
}

void* operator new(std::size_t bytes) {
    if (!is_inside_module())
        ++allocations;
    if (void* memory = std::malloc(bytes ? bytes : 1))
        return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    if (!is_inside_module())
        ++allocations;
    const auto step = static_cast<std::size_t>(alignment);
    if (void* memory = std::aligned_alloc(step, (bytes + step - 1) / step * step))
        return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    std::free(memory);
}

namespace {

// One of each operator, with what is expected of it.
class Operators {
  public:
    explicit Operators(NpuDevice& device)
        : a_(Random(1).bytes(m * k)), b_(Random(2).bytes(k * n)), x_(Random(3).reals(m * k)),
          q_(to_bf16(Random(4).reals(m * 3 * k))), narrow_(Random(5).bytes(64 * 3 * 64)) {
        product_.a_type = product_.b_type = NPUENC_S8;
        product_.c_type = NPUENC_S32;
        product_.batch = 1;
        product_.m = m;
        product_.n = n;
        product_.k = k;
        product_.lda = k;
        product_.ldb = n;
        product_.ldc = n;
        product_.stride_a = m * k;
        product_.stride_b = k * n;
        product_.stride_c = m * n;
        product_.scale = 1;
        linear_.x_type = linear_.y_type = NPUENC_F32;
        linear_.rows = m;
        linear_.ldx = k;
        linear_.ldy = n;
        attention_ = attention(NPUENC_BF16, NPUENC_PRECISION_BF16, m, k);
        kernel_ = attention(NPUENC_S8, NPUENC_PRECISION_INT8, 64, 64);
        kernel_.q_scale = kernel_.k_scale = kernel_.v_scale = kernel_.out_scale = 0x1p-5f;
        weight_ =
            device.pack(n, k, NPUENC_PRECISION_INT8, reader_of(x_, k), nullptr, Sums::in_32_bits);
    }

    static constexpr size_t count = 4;

    static Attention attention(npuenc_dtype type, npuenc_precision precision, size_t length,
                               size_t dimensions) {
        Attention shape{};
        shape.type = type;
        shape.precision = precision;
        shape.batch = shape.n_head = 1;
        shape.head_dim = dimensions;
        shape.q_len = shape.kv_len = length;
        shape.ldq = shape.ldk = shape.ldv = 3 * dimensions;
        shape.ldo = dimensions;
        shape.scale = 0.125f;
        shape.q_scale = shape.k_scale = shape.v_scale = shape.out_scale = 1;
        return shape;
    }

    // The bytes that operator `which` of the device makes.
    std::vector<char> run(NpuDevice& device, size_t which, Stats& stats) const {
        std::vector<char> out(most_bytes);
        run(device, which, out, stats);
        return out;
    }
    void run(NpuDevice& device, size_t which, std::vector<char>& out, Stats& stats) const {
        switch (which) {
        case 0:
            return device.matmul(product_, a_.data(), b_.data(), out.data(), stats);
        case 1:
            return device.linear(*weight_, linear_, x_.data(), out.data(), stats);
        case 2:
            return device.attention(attention_, q_.data(), q_.data() + k, q_.data() + 2 * k,
                                    out.data(), stats);
        default:
            return device.attention(kernel_, narrow_.data(), narrow_.data() + 64,
                                    narrow_.data() + 128, out.data(), stats);
        }
    }

    // Independent of the device: whether out is the product, which says that operands went in and
    // results came out.
    bool is_product(const std::vector<char>& out) const {
        const auto* c = reinterpret_cast<const int32_t*>(out.data());
        for (size_t i = 0; i < m; ++i)
            for (size_t j = 0; j < n; ++j) {
                int32_t sum = 0;
                for (size_t l = 0; l < k; ++l)
                    sum += a_[i * k + l] * b_[l * n + j];
                if (c[i * n + j] != sum)
                    return false;
            }
        return true;
    }

    std::vector<int8_t>& a() { return a_; }

  private:
    static constexpr size_t m = 70, n = 66, k = 72, most_bytes = m * n * 4;

    std::vector<int8_t> a_, b_;
    std::vector<float> x_;
    std::vector<uint16_t> q_;
    std::vector<int8_t> narrow_;
    Matmul product_{};
    Linear linear_{};
    Attention attention_{}, kernel_{};
    std::unique_ptr<Weight> weight_;
};

void a_steady_state_makes_nothing() {
    const auto device = open_array();
    const Operators operators(*device);
    std::vector<char> out(70 * 72 * 4);
    Stats stats;
    for (size_t which = 0; which < Operators::count; ++which) {
        operators.run(*device, which, out, stats);
        const Counting counting;
        const uint64_t before = allocations;
        for (int i = 0; i < 20; ++i)
            operators.run(*device, which, out, stats);
        assert_int_equal(counting.buffers_made(), 0);
        assert_int_equal(counting.programs_made(), 0);
        assert_int_equal(allocations - before, 0);
    }
}

// Of instruction streams only so many are kept, those used last.
void programs_are_bounded() {
    const auto device = open_array();
    const std::vector<int8_t> qkv = Random(1).bytes(64 * 3 * 64);
    std::vector<int8_t> out(64 * 64);
    Attention shape = Operators::attention(NPUENC_S8, NPUENC_PRECISION_INT8, 64, 64);
    Stats stats;
    const Counting counting;
    const auto attend = [&](size_t i) {
        shape.q_scale = 0x1p-4f + 0x1p-16f * static_cast<float>(i);
        shape.k_scale = 0x1p-4f;
        device->attention(shape, qkv.data(), qkv.data() + 64, qkv.data() + 128, out.data(), stats);
    };
    for (size_t i = 0; i < Array::most_programs + 5; ++i) {
        attend(0);
        attend(i);
    }
    assert_int_equal(counting.programs_made(), Array::most_programs + 5);
    assert_int_equal(module_counts().programs, Array::most_programs);
    attend(0);
    attend(Array::most_programs);
    assert_int_equal(counting.programs_made(), Array::most_programs + 5);
    attend(1);
    assert_int_equal(counting.programs_made(), Array::most_programs + 6);
}

// Each call of the table, at each of its turns within a first call of an operator.
void a_failure_leaks_nothing() {
    for (size_t which = 0; which < Operators::count; ++which)
        for (int call = static_cast<int>(ModuleCall::overlay_create);
             call < static_cast<int>(ModuleCall::n_calls); ++call)
            for (npuenc_status status : {NPUENC_E_DEVICE, NPUENC_E_NOMEM, NPUENC_E_TIMEOUT})
                for (uint64_t turn = 1;; ++turn) {
                    const auto device = open_array();
                    const Operators operators(*device);
                    Stats stats;
                    npuenc_status found = NPUENC_OK;
                    fail_call(static_cast<ModuleCall>(call), turn, status);
                    try {
                        operators.run(*device, which, stats);
                    } catch (const Error& error) {
                        found = error.status();
                        assert_non_null(std::strstr(error.what(), "was told to fail"));
                    }
                    const bool reached = stop_failing();
                    // Memory that other buffers or programs hold is freed, and the call repeated.
                    const bool again = status == NPUENC_E_NOMEM &&
                                       (call == static_cast<int>(ModuleCall::buffer_create) ||
                                        call == static_cast<int>(ModuleCall::program_create));
                    assert_int_equal(found, reached && !again ? status : NPUENC_OK);
                    assert_int_equal(device->status(), NPUENC_OK);
                    assert_int_equal(module_counts().submissions, 0);
                    const std::vector<char> out = operators.run(*device, which, stats);
                    if (which == 0)
                        assert_true(operators.is_product(out));
                    if (!reached)
                        break;
                    assert_true(turn < 20);
                }
    assert_true(nothing_is_left());
}

void a_lost_device_stays_lost() {
    for (ModuleCall call : {ModuleCall::buffer_create, ModuleCall::buffer_sync, ModuleCall::submit,
                            ModuleCall::wait}) {
        const auto device = open_array();
        const Operators operators(*device);
        Stats stats;
        fail_call(call, 1, NPUENC_E_CTX_LOST);
        assert_error(operators.run(*device, 0, stats), NPUENC_E_CTX_LOST, "was told to fail");
        assert_int_equal(device->status(), NPUENC_E_CTX_LOST);
        stop_failing(); // the module would go on, but the device does not ask it
        const Counting counting;
        for (size_t which = 0; which < Operators::count; ++which)
            assert_error(operators.run(*device, which, stats), NPUENC_E_CTX_LOST,
                         "the device has gone");
        assert_error(Operators another(*device), NPUENC_E_CTX_LOST, "the device has gone");
        assert_int_equal(counting.submitted() + counting.buffers_made(), 0);
    }
    assert_true(nothing_is_left());
}

void no_device_is_an_error() {
    fail_call(ModuleCall::session_open, 1, NPUENC_E_UNSUPPORTED);
    assert_error(open_array(), NPUENC_E_UNSUPPORTED, "session_open was told to fail");
    stop_failing();
    assert_error(Session(array_module(), "0000:00:00.0"), NPUENC_E_NOT_FOUND, "no such device");
    assert_true(nothing_is_left());
}

// A weight outlives its device's buffers, and everything is freed in the end.
void everything_is_freed() {
    {
        const auto device = open_array();
        const Operators operators(*device);
        Stats stats;
        for (size_t which = 0; which < Operators::count; ++which)
            operators.run(*device, which, stats);
        assert_false(nothing_is_left());
    }
    assert_true(nothing_is_left());
}

void threads_do_not_disturb_each_other() {
    const auto device = open_array();
    const Operators operators(*device);
    Stats unused;
    std::vector<std::vector<char>> expected;
    for (size_t which = 0; which < Operators::count; ++which)
        expected.push_back(operators.run(*device, which, unused));
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (size_t thread = 0; thread < 8; ++thread)
        threads.emplace_back([&, thread] {
            Stats stats;
            for (size_t i = 0; i < 12; ++i) {
                const size_t which = (thread + i) % Operators::count;
                wrong += operators.run(*device, which, stats) != expected[which];
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    assert_int_equal(wrong, 0);
}

// The same product twice, with other operands: what a module or a device forgets would leave those
// of the first time.
bool second_product_is_right(Misbehaviour how) {
    const auto device = open_array();
    Operators operators(*device);
    Stats stats;
    std::vector<char> out = operators.run(*device, 0, stats);
    assert_true(operators.is_product(out));
    for (int8_t& value : operators.a())
        value = static_cast<int8_t>(value ^ 0x55);
    misbehave(how);
    try {
        out = operators.run(*device, 0, stats);
    } catch (const Error& error) { // what the array makes of it may even be no product at all
        assert_int_equal(error.status(), NPUENC_E_DEVICE);
        out.assign(out.size(), 0);
    }
    misbehave(Misbehaviour::none);
    return operators.is_product(out);
}

void what_is_forgotten_shows() {
    assert_true(second_product_is_right(Misbehaviour::none));
    assert_false(second_product_is_right(Misbehaviour::no_sync_to_device));
    assert_false(second_product_is_right(Misbehaviour::no_sync_from_device));
    assert_false(second_product_is_right(Misbehaviour::swapped_arguments));
    assert_false(second_product_is_right(Misbehaviour::stale_argument));
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<a_steady_state_makes_nothing>),
        cmocka_unit_test(guarded<programs_are_bounded>),
        cmocka_unit_test(guarded<a_failure_leaks_nothing>),
        cmocka_unit_test(guarded<a_lost_device_stays_lost>),
        cmocka_unit_test(guarded<no_device_is_an_error>),
        cmocka_unit_test(guarded<everything_is_freed>),
        cmocka_unit_test(guarded<threads_do_not_disturb_each_other>),
        cmocka_unit_test(guarded<what_is_forgotten_shows>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
