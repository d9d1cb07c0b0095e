// SPDX-License-Identifier: MIT
#include "tools/npusim/configuration.hpp"

#include <algorithm>

#include "kernels/aie2/container/pdi.hpp"
#include "kernels/aie2/container/xclbin.hpp"
#include "tools/npusim/device.hpp"
#include "tools/npusim/error.hpp"
#include "tools/npusim/registers.hpp"

namespace npusim {

namespace aie2 = npuenc::aie2;

namespace {

std::vector<aie2::CdoCommand> commands_of(std::span<const uint8_t> pdi) {
    std::vector<aie2::CdoCommand> commands;
    for (const aie2::Bytes cdo : aie2::parse_pdi(pdi))
        for (aie2::CdoCommand& command : aie2::parse_cdo(cdo))
            commands.push_back(std::move(command));
    return commands;
}

const aie2::ArrayImage& image_of(const aie2::Xclbin& xclbin, std::optional<std::string_view> name) {
    if (!name) {
        if (xclbin.images.size() != 1)
            throw SimulationError("the xclbin has " + std::to_string(xclbin.images.size()) +
                                  " images: name one of its kernels");
        return xclbin.images[0];
    }
    const auto kernel =
        std::find_if(xclbin.kernels.begin(), xclbin.kernels.end(),
                     [&](const aie2::Kernel& known) { return known.name == *name; });
    if (kernel == xclbin.kernels.end())
        throw SimulationError("the xclbin has no kernel " + std::string(*name));
    const auto image = std::find_if(
        xclbin.images.begin(), xclbin.images.end(), [&](const aie2::ArrayImage& candidate) {
            return std::find(candidate.kernels.begin(), candidate.kernels.end(), kernel->id) !=
                   candidate.kernels.end();
        });
    if (image == xclbin.images.end())
        throw SimulationError("the xclbin has no image for its kernel " + std::string(*name));
    return *image;
}

} // namespace

Overlay read_xclbin(std::span<const uint8_t> file, std::optional<std::string_view> kernel) {
    const aie2::Xclbin xclbin = aie2::parse_xclbin(file);
    return {.columns = xclbin.columns, .commands = commands_of(image_of(xclbin, kernel).pdi)};
}

Overlay read_pdi(std::span<const uint8_t> file) {
    Overlay overlay{.columns = 1, .commands = commands_of(file)};
    for (const aie2::CdoCommand& command : overlay.commands)
        overlay.columns =
            std::max(overlay.columns, static_cast<uint32_t>(std::min<uint64_t>(
                                          command.address >> column_shift, max_columns)) +
                                          1);
    return overlay;
}

} // namespace npusim
