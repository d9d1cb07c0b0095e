// SPDX-License-Identifier: MIT
#include "npu/buffer_pool.hpp"

#include <optional>

#include "device_support.hpp"

using namespace npuenc;

namespace {

Session open_session() {
    return Session(array_module(), array_bus_address);
}

void classes_waste_little() {
    for (size_t bytes = 1; bytes < size_t{1} << 32; bytes += bytes / 3 + 1) {
        const size_t size = BufferPool::size_class(bytes);
        assert_true(size >= bytes && size % npuenc_module_alignment == 0);
        assert_true(size - bytes < std::max<size_t>(npuenc_module_alignment, bytes / 8 + 1));
        assert_int_equal(BufferPool::size_class(size), size);
    }
}

void what_comes_back_is_taken_again() {
    BufferPool pool(open_session().core());
    const Counting counting;
    const void* memory;
    {
        const BufferPool::Lease lease(pool, 100000);
        memory = lease.buffer().data();
        const BufferPool::Lease other(pool, 100000);
        assert_true(other.buffer().data() != memory);
    }
    assert_int_equal(counting.buffers_made(), 2);
    {
        const BufferPool::Lease smaller(pool, 90000), same(pool, 100000);
        assert_int_equal(counting.buffers_made(), 2);
        const BufferPool::Lease far_smaller(pool, 10000), larger(pool, 200000);
        assert_int_equal(counting.buffers_made(), 4);
    }
}

void what_is_kept_is_bounded() {
    {
        BufferPool pool(open_session().core());
        std::vector<std::unique_ptr<BufferPool::Lease>> leases;
        for (size_t i = 0; i < 2 * BufferPool::most_kept_buffers; ++i)
            leases.push_back(std::make_unique<BufferPool::Lease>(pool, 1));
        assert_int_equal(module_counts().buffers, 2 * BufferPool::most_kept_buffers);
        leases.clear();
        assert_int_equal(module_counts().buffers, BufferPool::most_kept_buffers);
        {
            const BufferPool::Lease large(pool, BufferPool::most_kept_bytes - 10);
            assert_int_equal(module_counts().buffers, BufferPool::most_kept_buffers + 1);
        }
        assert_int_equal(module_counts().buffers, 1); // it took the place of all others
        { const BufferPool::Lease too_large(pool, BufferPool::most_kept_bytes + 1); }
        assert_int_equal(module_counts().buffers, 1);
    }
    assert_true(nothing_is_left());
}

// What lies idle is given up where memory is short, and what cannot be had even then is an error.
void memory_is_short() {
    BufferPool pool(open_session().core());
    { const BufferPool::Lease one(pool, 5000), another(pool, 90000); }
    assert_int_equal(module_counts().buffers, 2);
    fail_call(ModuleCall::buffer_create, 1, NPUENC_E_NOMEM);
    const DeviceBuffer made = pool.create(4096);
    assert_true(stop_failing());
    assert_int_equal(module_counts().buffers, 1);
    fail_call(ModuleCall::buffer_create, 1, NPUENC_E_DEVICE);
    assert_error(pool.create(4096), NPUENC_E_DEVICE, "was told to fail");
    stop_failing();
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(guarded<classes_waste_little>),
        cmocka_unit_test(guarded<what_comes_back_is_taken_again>),
        cmocka_unit_test(guarded<what_is_kept_is_bounded>),
        cmocka_unit_test(guarded<memory_is_short>),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
