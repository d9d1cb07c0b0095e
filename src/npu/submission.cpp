// SPDX-License-Identifier: MIT
#include "npu/submission.hpp"

#include <optional>

#include "aligned_buffer.hpp"
#include "npu/timer.hpp"

namespace npuenc {

size_t whole_pages(size_t bytes) {
    return round_up(bytes, npuenc_module_alignment);
}

Submission::Submission(Array& array, size_t input_bytes, size_t output_bytes)
    : array_(array), input_bytes_(input_bytes), output_bytes_(output_bytes),
      inputs_(array.buffers(), input_bytes), outputs_(array.buffers(), output_bytes),
      lists_(array.take_lists()) {}

Submission::~Submission() {
    array_.give_back(std::move(lists_));
}

void Submission::add(std::shared_ptr<const Program> program,
                     std::initializer_list<DevicePart> arguments) {
    npuenc_module_command command{};
    command.program = program->handle();
    for (const DevicePart& part : arguments)
        command.arguments[command.n_arguments++] = {part.buffer->handle(), part.offset, part.bytes};
    lists_.programs.push_back(std::move(program));
    lists_.commands.push_back(command);
}

void Submission::run(Written inputs, Parallel& threads, Stats& stats) {
    {
        const Timer timer(stats.sync_ns);
        inputs_.buffer().sync(inputs == Written::past_caches ? npuenc_module_streamed_to_device
                                                             : npuenc_module_to_device,
                              0, input_bytes_, threads);
        ++stats.n_syncs;
        stats.bytes_to_device += input_bytes_;
    }
    {
        std::optional<Timer> timer(stats.submit_ns);
        RunningCommands running(array_.session(), lists_.commands);
        ++stats.n_submissions;
        timer.emplace(stats.device_ns);
        running.wait();
    }
    const Timer timer(stats.sync_ns);
    outputs_.buffer().sync(npuenc_module_from_device, 0, output_bytes_, threads);
    ++stats.n_syncs;
    stats.bytes_from_device += output_bytes_;
}

} // namespace npuenc
