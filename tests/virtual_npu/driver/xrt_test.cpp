// SPDX-License-Identifier: MIT
// Products through unmodified XRT, from the host's matrices to the host's matrices.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include <cmocka.h>
}
#undef fail

#include <xrt/experimental/xrt_ini.h>
#include <xrt/experimental/xrt_kernel.h>
#include <xrt/experimental/xrt_system.h>
#include <xrt/experimental/xrt_xclbin.h>
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/cpu_device.hpp"
#include "npu/gemm_packing.hpp"
#include "npu/gemm_stream.hpp"
#include "tests/virtual_npu/products/product.hpp"
#include "virtual_npu.h"

using namespace npuenc;
using namespace std::chrono_literals;

namespace {

// 1: the device has a copy of all memory, and plain bo.sync is an ioctl.
bool not_coherent() {
    const char* value = std::getenv("VIRTUAL_NPU_COHERENT");
    return value && std::string(value) == "0";
}

xrt::xclbin read_xclbin(const char* name) {
    const std::vector<uint8_t> file =
        read_file(std::string(std::getenv("NPUENC_OVERLAYS")) + "/" + name + ".xclbin");
    return xrt::xclbin(std::vector<char>(file.begin(), file.end()));
}

// An overlay with a hardware context.
struct Loaded {
    Loaded(xrt::device& on, const char* name)
        : device(on), xclbin(read_xclbin(name)), context(device, device.register_xclbin(xclbin)),
          kernel(context, xclbin.get_kernels().at(0).get_name()) {}

    xrt::bo buffer(size_t bytes, int argument) {
        return {device, bytes, XRT_BO_FLAGS_HOST_ONLY,
                static_cast<xrt::memory_group>(kernel.group_id(argument))};
    }

    xrt::device& device;
    xrt::xclbin xclbin;
    xrt::hw_context context;
    xrt::kernel kernel;
};

// What a test may leave out.
enum class Forgotten { nothing, instructions, a, b, c };

class Gemm {
  public:
    Gemm(Loaded& loaded, const GemmOverlay& of, size_t m, size_t n, size_t k)
        : loaded_(loaded), tiling_(of, m, n, k),
          operands_(make_operands(of, m, n, k, Values::any, 11)), stream_(gemm_stream(tiling_)),
          instructions_(loaded.device, stream_.bytes(), XCL_BO_FLAGS_CACHEABLE,
                        static_cast<xrt::memory_group>(loaded.kernel.group_id(1))),
          a_(loaded.buffer(tiling_.a_bytes(), 3)), b_(loaded.buffer(tiling_.b_bytes(), 4)),
          c_(loaded.buffer(tiling_.c_bytes(), 5)), shift_(shifts(of) ? 9 : 0) {
        std::memcpy(instructions_.map<void*>(), stream_.words().data(), stream_.bytes());
        pack_a(tiling_, operands_.a.data(), k, a_.map<void*>(), thread_);
        pack_b(tiling_, operands_.b.data(), n, BLayout::k_by_n, shift_, b_.map<void*>(), thread_);
    }

    void sync_inputs(Forgotten forgotten = Forgotten::nothing) {
        if (forgotten != Forgotten::instructions)
            instructions_.sync(XCL_BO_SYNC_BO_TO_DEVICE);
        if (forgotten != Forgotten::a)
            a_.sync(XCL_BO_SYNC_BO_TO_DEVICE);
        if (forgotten != Forgotten::b)
            b_.sync(XCL_BO_SYNC_BO_TO_DEVICE);
    }

    xrt::run make_run() {
        xrt::run run(loaded_.kernel);
        run.set_arg(0, uint64_t(3));
        run.set_arg(1, instructions_);
        run.set_arg(2, static_cast<uint32_t>(stream_.words().size()));
        run.set_arg(3, a_);
        run.set_arg(4, b_);
        run.set_arg(5, c_);
        return run;
    }

    ert_cmd_state run() {
        xrt::run once = make_run();
        once.start();
        return once.wait();
    }

    void forget_result() { std::memset(c_.map<void*>(), 0x5a, tiling_.c_bytes()); }

    bool is_right(Forgotten forgotten = Forgotten::nothing) {
        if (forgotten != Forgotten::c)
            c_.sync(XCL_BO_SYNC_BO_FROM_DEVICE);
        const size_t element = result_bytes(tiling_.overlay());
        std::vector<uint8_t> result(tiling_.m() * tiling_.n() * element);
        unpack_c(select_kernels(nullptr).unpack, tiling_, c_.map<void*>(), result.data(),
                 tiling_.n(), thread_);
        return result == plain_product(tiling_.overlay(), operands_, shift_);
    }

  private:
    Serial thread_;
    Loaded& loaded_;
    GemmTiling tiling_;
    Operands operands_;
    InstructionStream stream_;
    xrt::bo instructions_, a_, b_, c_;
    unsigned shift_;
};

virtual_npu_counters counters() {
    virtual_npu_counters now;
    virtual_npu_read_counters(&now);
    return now;
}

void the_device_is_a_phoenix(void**) {
    assert_int_equal(xrt::system::enumerate_devices(), 1);
    xrt::device device(0u);
    assert_string_equal(device.get_info<xrt::info::device::name>().c_str(), "NPU Phoenix");
    assert_string_equal(device.get_info<xrt::info::device::bdf>().c_str(), "0000:c5:00.1");
}

void products_are_right(void**) {
    xrt::device device(0u);
    for (const GemmOverlay* known : gemm_overlays) {
        const GemmOverlay& overlay = *known;
        Loaded loaded(device, overlay.name);
        Gemm gemm(loaded, overlay, 70, 40, 130);
        gemm.sync_inputs();
        assert_int_equal(gemm.run(), ERT_CMD_STATE_COMPLETED);
        assert_true(gemm.is_right());
    }
}

void a_run_list_is_one_submission(void**) {
    xrt::device device(0u);
    Loaded loaded(device, gemm_s8_s32.name);
    Gemm first(loaded, gemm_s8_s32, 20, 30, 70), second(loaded, gemm_s8_s32, 90, 10, 64);
    first.sync_inputs();
    second.sync_inputs();
    xrt::runlist list(loaded.context);
    list.add(first.make_run());
    list.add(second.make_run());
    const virtual_npu_counters before = counters();
    list.execute();
    list.wait();
    assert_int_equal(counters().submissions - before.submissions, 1);
    assert_int_equal(counters().commands - before.commands, 2);
    assert_true(first.is_right());
    assert_true(second.is_right());
}

// Whatever the array keeps between two commands.
void overlays_take_turns(void**) {
    xrt::device device(0u);
    Loaded wide(device, gemm_s8_s32.name), narrow(device, gemm_s8_s8.name);
    Gemm first(wide, gemm_s8_s32, 20, 30, 70), second(narrow, gemm_s8_s8, 20, 30, 70);
    first.sync_inputs();
    second.sync_inputs();
    const virtual_npu_counters before = counters();
    for (Gemm* gemm : {&first, &first, &second, &first}) {
        gemm->forget_result();
        assert_int_equal(gemm->run(), ERT_CMD_STATE_COMPLETED);
        assert_true(gemm->is_right());
    }
    const char* reload = std::getenv("VIRTUAL_NPU_RELOAD");
    const std::string policy = reload ? reload : "switch";
    assert_int_equal(counters().loads - before.loads, policy == "never"    ? 2
                                                      : policy == "switch" ? 3
                                                                           : 4);
}

void a_hang_ends(void**) {
    xrt::device device(0u);
    Loaded loaded(device, gemm_s8_s32.name);
    Gemm gemm(loaded, gemm_s8_s32, 20, 30, 70);
    gemm.sync_inputs();
    virtual_npu_set_faults("timeout:1");
    assert_int_equal(gemm.run(), ERT_CMD_STATE_TIMEOUT);
    virtual_npu_set_faults("error:1");
    assert_int_equal(gemm.run(), ERT_CMD_STATE_ERROR);
    virtual_npu_set_faults("reset:1");
    assert_int_equal(gemm.run(), ERT_CMD_STATE_ABORT);
    virtual_npu_set_faults("");
    gemm.forget_result();
    assert_int_equal(gemm.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(gemm.is_right());
}

void there_are_six_contexts(void**) {
    xrt::device device(0u);
    const xrt::xclbin xclbin = read_xclbin(gemm_s8_s32.name);
    const xrt::uuid uuid = device.register_xclbin(xclbin);
    std::vector<xrt::hw_context> contexts;
    for (int i = 0; i < 6; ++i)
        contexts.emplace_back(device, uuid);
    assert_int_equal(counters().contexts_created - counters().contexts_destroyed, 6);
    bool refused = false;
    try {
        contexts.emplace_back(device, uuid);
    } catch (const std::exception&) {
        refused = true;
    }
    assert_true(refused);
    contexts.pop_back();
    contexts.emplace_back(device, uuid);
}

// The sync ioctls are XRT's own, asked for with Debug.force_driver_sync.
void a_product_has_so_many_synchronisations(void**) {
    xrt::device device(0u);
    Loaded loaded(device, gemm_s8_s32.name);
    Gemm gemm(loaded, gemm_s8_s32, 20, 30, 70);
    const virtual_npu_counters before = counters();
    gemm.sync_inputs();
    assert_int_equal(gemm.run(), ERT_CMD_STATE_COMPLETED);
    assert_true(gemm.is_right());
    const virtual_npu_counters after = counters();
    assert_int_equal(after.syncs_to_device - before.syncs_to_device, 3);
    assert_int_equal(after.syncs_from_device - before.syncs_from_device, 1);
    assert_int_equal(after.submissions - before.submissions, 1);
}

void a_forgotten_synchronisation_is_seen(void**) {
    xrt::device device(0u);
    Loaded loaded(device, gemm_s8_s32.name);
    for (Forgotten forgotten : {Forgotten::a, Forgotten::b, Forgotten::c}) {
        Gemm gemm(loaded, gemm_s8_s32, 20, 30, 70);
        gemm.sync_inputs(forgotten);
        // B also says where along K it is: the cores may wait for what does not come.
        assert_true(gemm.run() != ERT_CMD_STATE_COMPLETED || !gemm.is_right(forgotten));
        gemm.sync_inputs();
        assert_int_equal(gemm.run(), ERT_CMD_STATE_COMPLETED);
        assert_true(gemm.is_right());
    }
    // The heap may hold instructions of before, of another product.
    Gemm other(loaded, gemm_s8_s32, 300, 30, 70);
    other.sync_inputs(Forgotten::instructions);
    assert_true(other.run() != ERT_CMD_STATE_COMPLETED || !other.is_right());
}

void nothing_is_left(void**) {
    virtual_npu_alive now;
    virtual_npu_read_alive(&now);
    assert_int_equal(now.files, 0);
    assert_int_equal(now.contexts_of_all, 0);
    assert_int_equal(counters().buffers_created, counters().buffers_destroyed);
}

} // namespace

int main() {
    if (!virtual_npu_set_faults)
        return 77;
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_device_is_a_phoenix),
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(a_run_list_is_one_submission),
        cmocka_unit_test(overlays_take_turns),
        cmocka_unit_test(a_hang_ends),
        cmocka_unit_test(there_are_six_contexts),
        cmocka_unit_test(nothing_is_left),
    };
    const CMUnitTest synchronised[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(a_run_list_is_one_submission),
        cmocka_unit_test(overlays_take_turns),
        cmocka_unit_test(a_product_has_so_many_synchronisations),
        cmocka_unit_test(a_forgotten_synchronisation_is_seen),
        cmocka_unit_test(nothing_is_left),
    };
    if (!not_coherent())
        return cmocka_run_group_tests(tests, nullptr, nullptr);
    xrt::ini::set("Debug.force_driver_sync", "true");
    return cmocka_run_group_tests(synchronised, nullptr, nullptr);
}
