// SPDX-License-Identifier: MIT
// The core is the first above column 0's memory tile; the messages pass the memory tile's switch,
// not its memory.
#include "kernels/aie2/overlay_single_core.hpp"

#include <utility>

namespace npuenc::aie2 {
namespace {

void add_messages(Tile& core, const std::string& name, const MessageBuffers& messages,
                  Direction direction, const Lock& take, const Lock& give) {
    std::vector<Transfer> transfers;
    for (size_t i = 0; i < messages.addresses.size(); ++i) {
        const Buffer& buffer =
            core.buffer(name + " " + std::to_string(i), messages.addresses[i], messages.bytes);
        transfers.push_back({buffer.all(), one(take), one(give), messages.pattern});
    }
    core.loop(direction, 0, transfers);
}

} // namespace

FloorPlan lay_out_single_core(SingleCoreKernel kernel) {
    FloorPlan plan(kernel.name, 1);
    Tile& core = plan.core(0, 0);

    const auto n_inputs = static_cast<int>(kernel.input.addresses.size());
    const auto n_outputs = static_cast<int>(kernel.output.addresses.size());
    const Lock& in_empty = core.lock("input empty", 0, n_inputs);
    const Lock& in_full = core.lock("input full", 1, 0);
    const Lock& out_empty = core.lock("output empty", 4, n_outputs);
    const Lock& out_full = core.lock("output full", 5, 0);
    add_messages(core, "input", kernel.input, Direction::into_memory, in_empty, in_full);
    add_messages(core, "output", kernel.output, Direction::out_of_memory, out_full, out_empty);
    for (WorkBuffer& work : kernel.work) {
        const Buffer& buffer = core.buffer(work.name, work.address, work.bytes);
        if (!work.contents.empty())
            core.fill(buffer, std::move(work.contents));
    }
    core.run(kernel.name, std::move(kernel.program),
             {{"message", {one(in_full), one(out_empty)}, {one(in_empty), one(out_full)}}});

    const TileId shim = plan.shim(0).id();
    plan.route("input", {shim, 0}, {{core.id(), 0}});
    plan.route("output", {core.id(), 0}, {{shim, 0}});
    plan.send_tokens(0);
    return plan;
}

} // namespace npuenc::aie2
