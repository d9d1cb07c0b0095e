// SPDX-License-Identifier: MIT
// One NPU: the thread that runs its jobs, and what the driver does when one does not end.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "command.hpp"
#include "context.hpp"

namespace virtual_npu {

class Driver;
class File;

// All but the thread's own work is called with the driver's mutex held.
class Device {
  public:
    Device(Driver& driver, unsigned index) : driver_(driver), index_(index) {}
    ~Device(); // lets the job at work end, and starts no other

    unsigned index() const { return index_; }

    void add(std::shared_ptr<Context> context, File& file);
    // Aborts what is left in the context, and forgets it. The lock is released while a job ends.
    void remove(std::unique_lock<std::mutex>& lock, const std::shared_ptr<Context>& context);

    // Makes the thread, unless it is there. Whoever has added a job notifies Driver::called.
    void start();

    size_t jobs() const;

  private:
    struct Client {
        std::shared_ptr<Context> context;
        File* file;
    };
    // How a job ends.
    struct Verdict {
        ert_cmd_state state = ERT_CMD_STATE_COMPLETED;
        uint32_t index = 0; // of the command in a chain
    };

    void work();
    Client* next();
    void run(std::unique_lock<std::mutex>& lock, const Client& client);
    Verdict run_commands(std::unique_lock<std::mutex>& lock, const Client& client, const Job& job,
                         const std::vector<Command>& commands);
    Verdict run_command(std::unique_lock<std::mutex>& lock, const Client& client, const Job& job,
                        const Command& command);
    void load(Context& context, size_t unit);
    void wait_for_hang_detection(std::unique_lock<std::mutex>& lock, const Client& client);
    // Whoever calls it notifies Driver::changed.
    void finish(const Client& client, const Job& job, const std::shared_ptr<Buffer>& first_of_chain,
                const Verdict& verdict);
    void abort_queue(const Client& client);
    void lose_array();

    Driver& driver_;
    const unsigned index_;
    std::vector<Client> clients_;
    size_t last_ = 0; // the client that was served last
    std::thread thread_;
    bool stopping_ = false;
    const Context* at_work_ = nullptr;

    // Where all contexts share the array: whose program it has.
    std::unique_ptr<Firmware> firmware_;
    uint32_t loaded_context_ = 0;
    size_t loaded_unit_ = 0;
};

} // namespace virtual_npu
