// SPDX-License-Identifier: MIT
// Which device is opened, with drivers of every kind of luck.
#include <array>
#include <functional>
#include <span>

#include "device/choice.hpp"
#include "error.hpp"

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
}
#undef fail // cmocka's, which hides npuenc's

namespace {

using namespace npuenc;

class NoParallel final : public Parallel {
  public:
    unsigned n_threads() const override { return 1; }

  protected:
    void run(size_t, Task, void*) override {}
};

// A device that is opened and never used.
class IdleDevice final : public Device {
  public:
    IdleDevice(npuenc_device_type type, std::string name) : type_(type), name_(std::move(name)) {}

    npuenc_device_type type() const override { return type_; }
    const std::string& name() const override { return name_; }
    const char* isa() const override { return ""; }
    Parallel& parallel() override { return parallel_; }
    std::unique_ptr<Weight> pack(size_t, size_t, npuenc_precision, const RowReader&, const float*,
                                 Sums) override {
        return nullptr;
    }
    std::unique_ptr<Weight> pack(size_t, size_t, const Int8Rows&, const float*) override {
        return nullptr;
    }
    void matmul(const Matmul&, const void*, const void*, void*, Stats&) override {}
    void linear(const Weight&, const Linear&, const void*, void*, Stats&) override {}
    void attention(const Attention&, const void*, const void*, const void*, void*,
                   Stats&) override {}
    void layer_norm(size_t, size_t, const float*, const float*, const float*, float*) override {}
    void convert(npuenc_dtype, size_t, const float*, void*) override {}

  private:
    npuenc_device_type type_;
    std::string name_;
    NoParallel parallel_;
};

// A driver whose devices open or fail as told.
class ToldDriver final : public Driver {
  public:
    ToldDriver(npuenc_device_type type, std::vector<npuenc_status> devices)
        : type_(type), devices_(std::move(devices)) {}

    npuenc_device_type type() const override { return type_; }
    std::string absence() const override { return "none was plugged in"; }

    std::vector<DeviceDescription> list() const override {
        std::vector<DeviceDescription> list(devices_.size());
        for (size_t i = 0; i < list.size(); ++i) {
            list[i].type = type_;
            list[i].index = static_cast<uint32_t>(i);
        }
        return list;
    }

    std::unique_ptr<Device> open(const DeviceDescription& device, unsigned) const override {
        if (devices_[device.index] != NPUENC_OK)
            fail(devices_[device.index], "it is broken");
        return std::make_unique<IdleDevice>(type_, std::to_string(device.index));
    }

  private:
    npuenc_device_type type_;
    std::vector<npuenc_status> devices_;
};

Choice choose(std::vector<npuenc_status> npus, std::vector<npuenc_status> cpus,
              npuenc_device_type type, uint32_t index = 0) {
    const ToldDriver npu(NPUENC_DEVICE_NPU, std::move(npus));
    const ToldDriver cpu(NPUENC_DEVICE_CPU, std::move(cpus));
    const std::array<const Driver*, 2> drivers = {&npu, &cpu};
    return choose_device(drivers, type, index, 1);
}

npuenc_status failure_of(const std::function<Choice()>& choice) {
    try {
        choice();
        return NPUENC_OK;
    } catch (const Error& error) {
        return error.status();
    }
}

void auto_takes_the_first_driver_that_has_a_usable_device(void**) {
    const Choice choice = choose({NPUENC_OK, NPUENC_OK}, {NPUENC_OK}, NPUENC_DEVICE_AUTO);
    assert_int_equal(choice.device->type(), NPUENC_DEVICE_NPU);
    assert_string_equal(choice.device->name().c_str(), "0");
    assert_false(choice.fell_back);
    assert_string_equal(choice.reason.c_str(), "");
}

void auto_goes_on_to_the_next_device_and_says_why(void**) {
    const Choice choice = choose({NPUENC_E_DEVICE, NPUENC_OK}, {NPUENC_OK}, NPUENC_DEVICE_AUTO);
    assert_int_equal(choice.device->type(), NPUENC_DEVICE_NPU);
    assert_string_equal(choice.device->name().c_str(), "1");
    assert_int_equal(choice.description.index, 1);
    assert_false(choice.fell_back);
    assert_string_equal(choice.reason.c_str(), "NPU 0 not used: it is broken");
}

void auto_falls_back_and_says_why(void**) {
    const Choice broken =
        choose({NPUENC_E_DEVICE, NPUENC_E_UNSUPPORTED}, {NPUENC_OK}, NPUENC_DEVICE_AUTO);
    assert_int_equal(broken.device->type(), NPUENC_DEVICE_CPU);
    assert_true(broken.fell_back);
    assert_string_equal(broken.reason.c_str(),
                        "NPU 0 not used: it is broken\nNPU 1 not used: it is broken");

    const Choice absent = choose({}, {NPUENC_OK}, NPUENC_DEVICE_AUTO);
    assert_int_equal(absent.device->type(), NPUENC_DEVICE_CPU);
    assert_true(absent.fell_back);
    assert_string_equal(absent.reason.c_str(), "no NPU: none was plugged in");
}

void a_named_type_never_falls_back(void**) {
    assert_int_equal(failure_of([] { return choose({}, {NPUENC_OK}, NPUENC_DEVICE_NPU); }),
                     NPUENC_E_NOT_FOUND);
    assert_int_equal(
        failure_of([] { return choose({NPUENC_E_DEVICE}, {NPUENC_OK}, NPUENC_DEVICE_NPU); }),
        NPUENC_E_DEVICE);
    // Not even to a device of the same type.
    assert_int_equal(
        failure_of([] {
            return choose({NPUENC_E_DEVICE, NPUENC_OK}, {NPUENC_OK}, NPUENC_DEVICE_NPU);
        }),
        NPUENC_E_DEVICE);
}

void a_named_type_is_taken_though_a_better_one_is_usable(void**) {
    const Choice choice = choose({NPUENC_OK}, {NPUENC_OK}, NPUENC_DEVICE_CPU);
    assert_int_equal(choice.device->type(), NPUENC_DEVICE_CPU);
    assert_false(choice.fell_back);
}

void a_named_index_is_taken_or_not_found(void**) {
    const Choice choice = choose({NPUENC_OK, NPUENC_OK}, {NPUENC_OK}, NPUENC_DEVICE_NPU, 1);
    assert_string_equal(choice.device->name().c_str(), "1");
    assert_int_equal(
        failure_of([] { return choose({NPUENC_OK}, {NPUENC_OK}, NPUENC_DEVICE_CPU, 1); }),
        NPUENC_E_NOT_FOUND);
}

void the_last_resort_gives_its_own_error(void**) {
    assert_int_equal(failure_of([] { return choose({}, {NPUENC_E_INVALID}, NPUENC_DEVICE_AUTO); }),
                     NPUENC_E_INVALID);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(auto_takes_the_first_driver_that_has_a_usable_device),
        cmocka_unit_test(auto_goes_on_to_the_next_device_and_says_why),
        cmocka_unit_test(auto_falls_back_and_says_why),
        cmocka_unit_test(a_named_type_never_falls_back),
        cmocka_unit_test(a_named_type_is_taken_though_a_better_one_is_usable),
        cmocka_unit_test(a_named_index_is_taken_or_not_found),
        cmocka_unit_test(the_last_resort_gives_its_own_error),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
