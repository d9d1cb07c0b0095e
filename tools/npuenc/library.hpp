// SPDX-License-Identifier: MIT
// libnpuenc's handles with owners, its statuses as exceptions, its values by name.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <npuenc/npuenc.h>

#include "failure.hpp"

namespace npuenc {

// A call of libnpuenc that failed: "<detail> (<status>)".
class LibraryFailure : public Failure {
  public:
    explicit LibraryFailure(int32_t status);
    LibraryFailure(int32_t status, int exit_status);

    int32_t status() const noexcept { return status_; }

  private:
    int32_t status_;
};

// Throws LibraryFailure unless the status is NPUENC_OK.
void check(int32_t status);

// As npuenc_device_get numbers them.
std::vector<npuenc_device_info> list_devices();

template <auto free_handle>
struct Freer {
    template <typename Handle>
    void operator()(Handle* handle) const {
        free_handle(handle);
    }
};

using RunHandle = std::unique_ptr<npuenc_run, Freer<npuenc_run_free>>;
using WeightHandle = std::unique_ptr<npuenc_weight, Freer<npuenc_weight_free>>;

// An open device. Its warnings go to standard error.
class Context {
  public:
    // Failure(exit_not_found) when the device is not there or cannot be used.
    Context(int32_t device_type, uint32_t n_threads, uint32_t device_index = 0);

    npuenc_ctx* get() const { return handle_.get(); }
    npuenc_ctx_info info() const;
    npuenc_device_info device() const;
    std::string reason() const; // why this device; may be empty
    npuenc_stats stats() const; // of all calls that have ended
    RunHandle make_run() const;

  private:
    std::unique_ptr<npuenc_ctx, Freer<npuenc_close>> handle_;
};

class Model {
  public:
    Model(const Context& context, const std::string& path, int32_t precision);
    // From the bytes of a model's only file.
    Model(const Context& context, std::span<const uint8_t> file, int32_t precision);

    npuenc_model* get() const { return handle_.get(); }
    npuenc_model_info info() const;
    size_t samples_per_window() const;

  private:
    std::unique_ptr<npuenc_model, Freer<npuenc_model_free>> handle_;
};

npuenc_stats stats_of(const npuenc_run* run);

constexpr uint32_t sample_rate = 16000; // of everything that npuenc hears

const char* device_name(int32_t device_type);  // "cpu"
const char* precision_name(int32_t precision); // "f32"

// "cpu: Example 9000, avx512, 2 threads", then the lines of the reason.
std::string device_text(const Context& context);

} // namespace npuenc
