// SPDX-License-Identifier: MIT
#include "device.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "driver.hpp"
#include "file.hpp"
#include "inside.hpp"

namespace virtual_npu {
namespace {

using namespace std::chrono_literals;

// The command buffers of a job: itself, or those in its chain.
std::vector<std::shared_ptr<Buffer>> command_buffers(const Job& job, const Memory& memory) {
    const std::span<const uint8_t> packet = job.packet->host();
    if (opcode_of(packet) != ERT_CMD_CHAIN)
        return {job.packet};
    std::vector<std::shared_ptr<Buffer>> buffers;
    for (const uint32_t handle : read_chain(packet)) {
        buffers.push_back(memory.find(handle));
        if (!buffers.back() || buffers.back()->type != BufferType::share)
            throw std::invalid_argument("a chain with buffer " + std::to_string(handle) +
                                        ", which is no command");
    }
    return buffers;
}

// The array's transfers go to memory and leave nothing in the caches of the host's cores, as the
// thread that stands for the array does.
void leave_caches([[maybe_unused]] std::span<const uint8_t> bytes) {
#if defined(__x86_64__)
    constexpr size_t cache_line = 64;
    for (size_t i = 0; i < bytes.size(); i += cache_line)
        _mm_clflush(bytes.data() + i);
#endif
}

} // namespace

Device::~Device() {
    if (!thread_.joinable())
        return;
    {
        std::lock_guard lock(driver_.mutex);
        stopping_ = true;
        for (const Client& client : clients_)
            client.context->stop = true;
    }
    driver_.changed.notify_all();
    driver_.called.notify_all();
    thread_.join();
}

void Device::add(std::shared_ptr<Context> context, File& file) {
    clients_.push_back({std::move(context), &file});
}

// aie2_ctx.c, aie2_hwctx_fini: two seconds for what is queued, then the rest is cancelled.
void Device::remove(std::unique_lock<std::mutex>& lock, const std::shared_ptr<Context>& context) {
    context->destroyed = true;
    driver_.changed.wait_for(lock, 2s, [&] { return context->jobs.empty() || context->stop; });
    context->stop = true;
    driver_.changed.notify_all();
    driver_.called.notify_all();
    driver_.changed.wait(lock, [&] { return at_work_ != context.get(); });
    const auto client = std::find_if(clients_.begin(), clients_.end(),
                                     [&](const Client& entry) { return entry.context == context; });
    if (client == clients_.end())
        return;
    abort_queue(*client);
    driver_.changed.notify_all();
    clients_.erase(client);
    driver_.changed.wait(lock, [&] { return context->blocked == 0; });
}

void Device::start() {
    if (thread_.joinable())
        return;
    // The program's signals are for the program's threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { work(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

size_t Device::jobs() const {
    size_t n = 0;
    for (const Client& client : clients_)
        n += client.context->jobs.size();
    return n;
}

// Contexts are served in turn.
Device::Client* Device::next() {
    for (size_t i = 1; i <= clients_.size(); ++i) {
        const size_t at = (last_ + i) % clients_.size();
        Context& context = *clients_[at].context;
        if (!context.jobs.empty() && !context.stop) {
            last_ = at;
            return &clients_[at];
        }
    }
    return nullptr;
}

void Device::work() {
    const Inside guard;
    std::unique_lock lock(driver_.mutex);
    while (!stopping_) {
        if (const Client* client = next()) {
            at_work_ = client->context.get();
            run(lock, Client(*client)); // a copy that is gone before others may go on
            at_work_ = nullptr;
            lock.unlock();
            driver_.changed.notify_all();
            lock.lock();
        } else {
            driver_.called.wait(lock);
        }
    }
}

// aie2_ctx.c, aie2_sched_job_run and the handlers of its responses.
void Device::run(std::unique_lock<std::mutex>& lock, const Client& client) {
    const Job job = client.context->jobs.front();
    set_state(job.packet->host(), ERT_CMD_STATE_NEW);

    std::vector<std::shared_ptr<Buffer>> buffers;
    std::vector<Command> commands;
    try {
        buffers = command_buffers(job, client.file->memory());
        for (const std::shared_ptr<Buffer>& buffer : buffers) {
            commands.push_back(read_start_cu(buffer->host()));
            if (client.context->units.empty())
                throw std::invalid_argument("a command before CONFIG_CU");
        }
    } catch (const std::invalid_argument& refusal) {
        // The job ends, with an error that only its fence has: the packet's state stays NEW.
        driver_.log(std::string("refused: ") + refusal.what());
        finish(client, job, nullptr, {ERT_CMD_STATE_NEW, 0});
        return;
    }

    Verdict verdict;
    if (!client.file->is_gone())
        verdict = run_commands(lock, client, job, commands);
    if (client.file->is_gone())
        verdict.state = ERT_CMD_STATE_ABORT;
    const bool is_chain = opcode_of(job.packet->host()) == ERT_CMD_CHAIN;
    finish(client, job, is_chain && !buffers.empty() ? buffers.front() : nullptr, verdict);
    // The context is made anew: what else it was given is lost (aie2_ctx.c,
    // aie2_sched_job_timedout, aie2_hwctx_stop).
    if (verdict.state == ERT_CMD_STATE_TIMEOUT || verdict.state == ERT_CMD_STATE_ABORT) {
        abort_queue(client);
        client.context->firmware.reset();
        if (loaded_context_ == client.context->id)
            lose_array();
    }
}

Device::Verdict Device::run_commands(std::unique_lock<std::mutex>& lock, const Client& client,
                                     const Job& job, const std::vector<Command>& commands) {
    for (uint32_t i = 0; i < commands.size(); ++i) {
        Verdict verdict;
        try {
            verdict = run_command(lock, client, job, commands[i]);
        } catch (const Hang& hang) {
            driver_.log(std::string("hang: ") + hang.what());
            wait_for_hang_detection(lock, client);
            verdict.state = client.context->stop ? ERT_CMD_STATE_ABORT : ERT_CMD_STATE_TIMEOUT;
        } catch (const std::exception& fault) {
            driver_.log(std::string("error: ") + fault.what());
            verdict.state = ERT_CMD_STATE_ERROR;
            client.context->firmware.reset(); // an array that threw is to be loaded again
            lose_array();
        }
        if (verdict.state != ERT_CMD_STATE_COMPLETED) {
            verdict.index = i;
            return verdict;
        }
        ++driver_.counters.commands;
    }
    return {};
}

Device::Verdict Device::run_command(std::unique_lock<std::mutex>& lock, const Client& client,
                                    const Job& job, const Command& command) {
    Context& context = *client.context;
    if (driver_.fault_occurs(FaultPoint::error))
        throw Fault("as VIRTUAL_NPU_FAULT says");
    if (driver_.fault_occurs(FaultPoint::timeout))
        throw Hang("as VIRTUAL_NPU_FAULT says");
    if (driver_.fault_occurs(FaultPoint::reset)) {
        driver_.log("reset: as VIRTUAL_NPU_FAULT says");
        for (const Client& other : clients_)
            if (other.context != client.context) {
                abort_queue(other);
                other.context->firmware.reset();
            }
        lose_array();
        return {ERT_CMD_STATE_ABORT, 0};
    }
    if (command.unit >= context.units.size())
        throw Fault("compute unit " + std::to_string(command.unit) + " is not configured");

    const Memory& memory = client.file->memory();
    const std::span<uint8_t> stream = memory.resolve(command.instructions, job.pinned);
    if (stream.size() < command.instruction_bytes)
        throw Fault("the instructions are in no buffer of the command");
    std::vector<Argument> arguments;
    for (const uint64_t address : command.arguments) {
        const std::span<uint8_t> bytes = memory.resolve(address, job.pinned);
        if (address != 0 && bytes.empty())
            throw Fault("argument " + std::to_string(arguments.size()) +
                        " is in no mapped buffer of the command");
        arguments.push_back({address, bytes});
    }

    lock.unlock();
    Work done{};
    try {
        load(context, command.unit);
        Firmware& firmware = context.firmware ? *context.firmware : *firmware_;
        done = firmware.run(stream.first(command.instruction_bytes), arguments, context.stop);
        for (const Argument& argument : arguments)
            leave_caches(argument.memory);
    } catch (...) {
        lock.lock();
        throw;
    }
    lock.lock();
    driver_.counters.cycles += done.cycles;
    if (driver_.fault_occurs(FaultPoint::wrong_data) && !arguments.empty())
        arguments.back().memory[0] ^= 1;
    return {};
}

// The array gets a program when it has lost the last one, or when that was another's; its memory
// then holds nothing of before.
void Device::load(Context& context, size_t unit) {
    std::unique_ptr<Firmware>& firmware =
        driver_.options.reload == Reload::never ? context.firmware : firmware_;
    size_t& loaded_unit =
        driver_.options.reload == Reload::never ? context.loaded_unit : loaded_unit_;
    const bool is_own = driver_.options.reload == Reload::never || loaded_context_ == context.id;
    if (firmware && is_own && loaded_unit == unit &&
        driver_.options.reload != Reload::before_command)
        return;
    firmware = make_firmware(driver_.options.mode);
    loaded_context_ = context.id;
    loaded_unit = unit;
    // An image says how long it is; that is what was asked for.
    const Buffer& pdi = *context.units[unit];
    firmware->load(pdi.device().first(pdi.asked));
    std::lock_guard lock(driver_.mutex);
    ++driver_.counters.loads;
}

// Nothing else runs on the array meanwhile, so that after this time nothing has moved
// (aie2_ctx.c, aie2_tdr_detect).
void Device::wait_for_hang_detection(std::unique_lock<std::mutex>& lock, const Client& client) {
    const auto end = std::chrono::steady_clock::now() + driver_.options.hang_timeout;
    while (std::chrono::steady_clock::now() < end && !stopping_ && !client.context->stop &&
           !client.file->is_gone()) // which another process may do
        driver_.called.wait_until(lock, std::min(end, std::chrono::steady_clock::now() + 50ms));
}

void Device::finish(const Client& client, const Job& job,
                    const std::shared_ptr<Buffer>& first_of_chain, const Verdict& verdict) {
    const std::span<uint8_t> packet = job.packet->host();
    if (verdict.state == ERT_CMD_STATE_COMPLETED)
        set_state(packet, verdict.state);
    else if (verdict.state != ERT_CMD_STATE_NEW && first_of_chain)
        set_chain_failed(packet, first_of_chain->host(), verdict.state, verdict.index);
    else if (verdict.state != ERT_CMD_STATE_NEW)
        set_failed(packet, verdict.state);
    client.context->jobs.pop_front();
    ++client.context->timeline->signalled;
}

void Device::abort_queue(const Client& client) {
    std::deque<Job>& jobs = client.context->jobs;
    while (!jobs.empty()) {
        const Job job = jobs.front();
        std::shared_ptr<Buffer> first;
        try {
            if (opcode_of(job.packet->host()) == ERT_CMD_CHAIN)
                first = command_buffers(job, client.file->memory()).front();
        } catch (const std::invalid_argument&) {
            // Not a chain that could be run either.
        }
        finish(client, job, first, {ERT_CMD_STATE_ABORT, 0});
    }
}

void Device::lose_array() {
    firmware_.reset();
    loaded_context_ = 0;
}

} // namespace virtual_npu
