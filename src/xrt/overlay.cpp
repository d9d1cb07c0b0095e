// SPDX-License-Identifier: MIT
#include "xrt/overlay.hpp"

#include <cstring>
#include <vector>

#include <xrt/detail/xclbin.h>

#include "xrt/device.hpp"

namespace npuenc::module {
namespace {

// Without either of these XRT 2.25 reads through a null pointer when it is asked for an argument's
// memory (kernel::group_id).
void require_connectivity(const void* xclbin, size_t bytes) {
    axlf header;
    if (bytes >= sizeof header) {
        std::memcpy(&header, xclbin, sizeof header);
        const size_t n = header.m_header.m_numSections;
        const size_t table = offsetof(axlf, m_sections);
        for (size_t i = 0; i < n && (i + 1) * sizeof(axlf_section_header) <= bytes - table; ++i) {
            axlf_section_header section;
            std::memcpy(&section,
                        static_cast<const char*>(xclbin) + table + i * sizeof(axlf_section_header),
                        sizeof section);
            if (section.m_sectionKind == CONNECTIVITY ||
                section.m_sectionKind == ASK_GROUP_CONNECTIVITY)
                return;
        }
    }
    fail(NPUENC_E_UNSUPPORTED, "the overlay has no connectivity section");
}

} // namespace

Overlay::Overlay(std::shared_ptr<Device> device, const void* xclbin, size_t bytes)
    : device_(std::move(device)) {
    device_->require();
    require_connectivity(xclbin, bytes);
    device_->call("registering an overlay", NPUENC_E_UNSUPPORTED, [&] {
        const auto* first = static_cast<const char*>(xclbin);
        const ::xrt::xclbin parsed(std::vector<char>(first, first + bytes));
        const std::vector<::xrt::xclbin::kernel> kernels = parsed.get_kernels();
        if (kernels.size() != 1)
            fail(NPUENC_E_UNSUPPORTED, "the overlay has %zu kernels instead of one",
                 kernels.size());
        kernel_name_ = kernels[0].get_name();
        const size_t n_arguments = kernels[0].get_num_args();
        if (n_arguments <= first_buffer_argument)
            fail(NPUENC_E_UNSUPPORTED, "the overlay's kernel takes no buffers");
        n_buffers_ = n_arguments - first_buffer_argument;
        uuid_ = ::xrt::device(device_->xrt()).register_xclbin(parsed);
    });
}

Overlay::~Overlay() {
    device_->contexts().forget(*this);
}

} // namespace npuenc::module
