// SPDX-License-Identifier: MIT
#include "simulated_array.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "tools/npusim/array.hpp"

namespace npuenc {
namespace {

ArrayCost simulate(const ArrayWork& work, const OverlayCatalog& overlays) {
    npusim::Array array;
    array.load(npusim::read_xclbin(overlays.get(work.overlay.c_str()).xclbin));
    std::vector<std::vector<uint8_t>> memory = work.buffers;
    npusim::HostBuffers buffers;
    for (size_t i = 0; i < memory.size(); ++i)
        buffers.bind(i, memory[i]);
    const auto* bytes = reinterpret_cast<const uint8_t*>(work.instructions.data());
    const npusim::RunReport report =
        array.run(npusim::InstructionStream::parse(
                      {bytes, work.instructions.size() * sizeof work.instructions[0]}),
                  buffers);
    return {report.cycles, report.pushes};
}

} // namespace

std::optional<std::vector<ArrayCost>> simulate(const std::vector<ArrayWork>& works,
                                               const OverlayCatalog& overlays) {
    std::vector<ArrayCost> costs(works.size());
    std::atomic<size_t> next{0};
    std::exception_ptr failure;
    std::mutex mutex;
    const auto serve = [&] {
        for (size_t i = next++; i < works.size(); i = next++)
            try {
                costs[i] = simulate(works[i], overlays);
            } catch (...) {
                const std::lock_guard lock(mutex);
                failure = std::current_exception();
            }
    };
    {
        std::vector<std::jthread> threads(
            std::min<size_t>(works.size(), std::max(1u, std::thread::hardware_concurrency())));
        for (std::jthread& thread : threads)
            thread = std::jthread(serve);
    }
    if (failure)
        std::rethrow_exception(failure);
    return costs;
}

} // namespace npuenc
