// SPDX-License-Identifier: MIT
#include "kernels/aie2/array/check_programs.hpp"

#include <algorithm>
#include <vector>

#include "kernels/aie2/checker/checker.hpp"

namespace npuenc::aie2 {
namespace {

// A core sees its own tile's locks and memory behind those of its neighbours.
constexpr int first_own_lock = 48;
constexpr uint32_t own_memory = 0x70000;

bool is_moved(const Tile& tile, const Buffer& buffer) {
    return std::any_of(tile.descriptors.begin(), tile.descriptors.end(),
                       [&](const Descriptor& descriptor) {
                           return descriptor.address < buffer.address + buffer.bytes &&
                                  end_of(descriptor) > buffer.address;
                       });
}

CheckOptions options_for(const Tile& tile, const CoreProgram& program) {
    CheckOptions options;
    // What an activity takes first it gives back first.
    for (const Activity& activity : program.activities) {
        const size_t n = std::min(activity.takes.size(), activity.gives.size());
        for (size_t i = 0; i < n; ++i)
            options.locks.push_back({activity.name, first_own_lock + activity.takes[i].lock,
                                     first_own_lock + activity.gives[i].lock});
    }
    for (const Buffer& buffer : tile.buffers)
        options.regions.push_back(
            {buffer.name, own_memory + buffer.address, buffer.bytes, !is_moved(tile, buffer)});
    return options;
}

} // namespace

std::vector<std::string> check_programs(const FloorPlan& plan) {
    std::vector<std::string> findings;
    std::vector<const CoreProgram*> checked;
    for (const Tile* tile : plan.tiles()) {
        for (const CoreProgram& program : tile->programs) {
            if (std::any_of(checked.begin(), checked.end(), [&](const CoreProgram* other) {
                    return other->bytes == program.bytes;
                }))
                continue;
            checked.push_back(&program);
            for (const Finding& finding :
                 check(place(program.program.bundles()), options_for(*tile, program)))
                findings.push_back(program.name + ": " + to_text(finding));
        }
    }
    return findings;
}

} // namespace npuenc::aie2
