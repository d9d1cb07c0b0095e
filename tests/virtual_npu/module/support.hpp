// SPDX-License-Identifier: MIT
// The module as a test uses it: through its table, on the virtual NPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "npu/gemm_tiling.hpp"
#include "npu/module_interface.h"
#include "tests/virtual_npu/driver/virtual_npu.h"

// cmocka's header wants these before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}
#undef fail

namespace npuenc {

// Ends a test; cmocka's macro for it, `fail`, is npuenc's name.
[[noreturn]] void fail_test(const std::string& why);

// A test whose exceptions fail it.
template <void (*test)()>
void guarded(void**) {
    std::string thrown;
    try {
        test();
    } catch (const std::exception& error) {
        thrown = error.what();
    }
    if (!thrown.empty())
        fail_test(thrown);
}

// The table of the module that NPUENC_MODULE names. Exits where it cannot be loaded.
const npuenc_module& module();

// From now on XRT synchronises by calls of the driver, which counts them and can fail them, and not
// by flushing caches itself. Before XRT is used.
void synchronise_through_driver();

// A call that had to succeed, and what came of it.
struct Unexpected : std::runtime_error {
    using std::runtime_error::runtime_error;
};
void require(int32_t status, const npuenc_module_failure& failure, const char* call);

// The first NPU's address.
std::string address();

struct Free {
    void operator()(npuenc_module_session* session) const { module().session_close(session); }
    void operator()(npuenc_module_overlay* overlay) const { module().overlay_free(overlay); }
    void operator()(npuenc_module_program* program) const { module().program_free(program); }
    void operator()(npuenc_module_buffer* buffer) const { module().buffer_free(buffer); }
};
using Session = std::unique_ptr<npuenc_module_session, Free>;
using Overlay = std::unique_ptr<npuenc_module_overlay, Free>;
using Program = std::unique_ptr<npuenc_module_program, Free>;

struct Buffer {
    Buffer() = default;
    Buffer(npuenc_module_session* session, size_t bytes);
    void sync(npuenc_module_direction direction) const;

    std::unique_ptr<npuenc_module_buffer, Free> handle;
    char* memory = nullptr;
    size_t bytes = 0;
};

Session open_session(const std::string& at = address());

// The bytes of an overlay of NPUENC_OVERLAYS. Those of a variant have another uuid, and do the
// same.
std::vector<uint8_t> read_overlay(const char* name, unsigned variant = 0);
Overlay make_overlay(npuenc_module_session* session, const std::vector<uint8_t>& xclbin);

// Throws Unexpected where a call fails.
npuenc_module_submission* submit(npuenc_module_session* session,
                                 const std::vector<npuenc_module_command>& commands);
void run(npuenc_module_session* session, const std::vector<npuenc_module_command>& commands);

// An int8 product with its program, its operands in one buffer and its result in another.
class Product {
  public:
    Product(npuenc_module_session* session, npuenc_module_overlay* overlay, size_t m, size_t n,
            size_t k, uint32_t seed);

    npuenc_module_command command() const;
    const Buffer& inputs() const { return inputs_; }
    const Buffer& outputs() const { return outputs_; }

    // Both synchronisations and the run; throws Unexpected where a call fails.
    void run() const;
    void clear() const;
    bool is_right() const;

  private:
    npuenc_module_session* const session_;
    const GemmTiling tiling_;
    std::vector<int8_t> a_, b_;
    Program program_;
    Buffer inputs_, outputs_;
    size_t b_offset_;
};

// What is written to standard output and standard error while it lives.
class Output {
  public:
    Output();
    ~Output();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    std::string text() const;

  private:
    int file_, output_, error_;
};

// That nothing of this process is left in the driver.
void assert_nothing_left();

} // namespace npuenc
