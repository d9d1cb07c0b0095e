// SPDX-License-Identifier: MIT
#include "npu/npu_device.hpp"

#include "error.hpp"

namespace npuenc {
namespace {

npuenc_kernels kernels_of(const Device& host) {
    npuenc_kernels kernels;
    if (npuenc_kernels_init(&kernels, host.isa()) != NPUENC_KERNELS_OK)
        fail(NPUENC_E_INTERNAL, "no kernels for the host's %s", host.isa());
    return kernels;
}

} // namespace

NpuDevice::NpuDevice(Session session, OverlayCatalog overlays, std::unique_ptr<Device> host,
                     std::string name, size_t most_bytes)
    : host_(std::move(host)), kernels_(kernels_of(*host_)), name_(std::move(name)),
      array_(std::move(session), std::move(overlays), most_bytes) {}

} // namespace npuenc
