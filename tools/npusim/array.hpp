// SPDX-License-Identifier: MIT
// A clocked XDNA1 array: configure it, give it buffers, run an instruction stream.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/npusim/configuration.hpp"
#include "tools/npusim/host_buffers.hpp"
#include "tools/npusim/instruction_stream.hpp"
#include "tools/npusim/registers.hpp"
#include "tools/npusim/tile.hpp"

namespace npusim {

struct ArrayOptions {
    // Seed for everything that is not architectural: when cores and transfers start, delays of
    // locks, memory and streams, who is served first, what memory holds. None: always the same.
    std::optional<uint64_t> jitter{};
    uint64_t cycle_limit = 20'000'000; // of one run
    uint32_t ddr_latency = 200;        // cycles
    CoreRules core_rules = CoreRules::exact;
};

// What one run did; cycles count from its start.
struct RunReport {
    struct Core {
        uint32_t column, row;
        npusim::Core::Counters counters; // of this run; the VMAC cycles are the array's, ~0 if none
    };
    struct Channel {
        uint32_t column, row;
        Direction direction;
        uint32_t index;
        DmaChannel::Counters counters;
    };

    uint64_t cycles = 0;      // until the stream was done
    uint64_t last_output = 0; // until the last word was written to a buffer
    std::vector<Core> cores;
    std::vector<Channel> channels;
    uint64_t operations = 0;
    uint64_t pushes = 0;
    uint64_t synchronisations = 0;
    uint64_t queue_full = 0;  // cycles that the controller stood before a full queue
    uint64_t waited = 0;      // cycles that it waited for tokens or polled
    uint64_t tokens_left = 0; // that nobody waited for

    // Shares of the cycles in which the cores that multiply could have issued a VMAC.
    double steady() const; // from the first VMAC to the last
    double whole() const;  // from the start to the last word of output
};

class Array {
  public:
    explicit Array(ArrayOptions options = {});
    ~Array();
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    // Takes the place of what was there; data memory keeps its contents.
    void load(const Overlay& overlay);
    // Without a load before it: on top of what is there.
    void configure(std::span<const npuenc::aie2::CdoCommand> commands);
    // May be called again without a load. Throws Deadlock too, also soon after `stop` was set.
    RunReport run(const InstructionStream& stream, HostBuffers& buffers,
                  const std::atomic<bool>* stop = nullptr);
    // Cycles without a controller.
    void step(uint64_t cycles);

    // The registers as the controller sees them. False: a queue is full, nothing was changed.
    bool write(uint32_t address, uint32_t value);
    bool mask_write(uint32_t address, uint32_t value, uint32_t mask);
    uint32_t read(uint32_t address) const;
    // The lock request register: acquires or releases as its address says.
    bool request_lock(uint32_t address);

    uint32_t columns() const { return columns_; }
    const Tile& tile(uint32_t column, uint32_t row) const { return *tiles_[column * rows + row]; }
    Tile& tile(uint32_t column, uint32_t row) { return *tiles_[column * rows + row]; }

  private:
    class Bus;
    class Controller;

    void build();
    void connect(Tile& tile);
    void connect_shim(Tile& tile);
    StreamLink& new_link(uint32_t capacity, uint32_t latency);
    Tile* neighbour(const Tile& tile, int columns, int rows);

    Tile& tile_at(const Address& address);
    const Tile& tile_at(const Address& address) const;
    bool write_register(Tile& tile, const Address& address, const Register& at, uint32_t value,
                        bool configuring);
    uint32_t register_value(const Tile& tile, const Address& address, const Register& at) const;
    void write_words(const Address& address, std::span<const uint32_t> words, bool configuring);
    void set_core_control(Tile& tile, uint32_t value);

    void cycle();
    void cycle_parts();
    void request_banks();
    void grant_banks();
    void run_cores();
    void run_channels();
    [[noreturn]] void deadlock(const std::string& controller) const;

    ArrayOptions options_;
    Clock clock_;
    uint32_t columns_ = 0;                     // until an overlay is loaded
    std::vector<std::unique_ptr<Tile>> tiles_; // column by column
    std::vector<Tile*> core_tiles_;
    std::vector<std::unique_ptr<StreamLink>> links_;
    std::vector<Token> tokens_;
    HostBuffers* host_ = nullptr; // of the present run
    bool fresh_ = false;          // loaded, not yet run
};

} // namespace npusim
