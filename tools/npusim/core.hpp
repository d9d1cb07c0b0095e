// SPDX-License-Identifier: MIT
// One compute core of the simulated array: registers, pipeline, program memory.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/npusim/error.hpp"

namespace npusim {

// A memory access that is due in this cycle. Addresses are the core's (own memory 0x70000).
struct Access {
    uint32_t address;
    uint32_t bytes; // 1 to 32; never crosses a 256-bit word
    bool is_store;
};

struct CoreState;

// What a core sees of its tile and neighbours; the array implements it.
class CoreBus {
  public:
    virtual ~CoreBus() = default;
    // Data memory, in the cycle in which the instruction touches it.
    virtual void load(uint32_t address, std::span<uint8_t> bytes) = 0;
    virtual void store(uint32_t address, std::span<const uint8_t> bytes) = 0;
    // Locks by the core's number (own tile 48..63). False: would block, nothing was changed.
    // `value` < 0 waits for at least -value and subtracts it; >= 0 waits for exactly value.
    virtual bool acquire(uint32_t lock, int32_t value) = 0;
    virtual void release(uint32_t lock, int32_t value) = 0;
    // Stream ports of the core. False: would block.
    virtual bool stream_read(uint32_t port, uint32_t& word, bool& last) = 0;
    virtual bool stream_write(uint32_t port, uint32_t word, bool last) = 0;
    // Cascade, 384 bits. False: would block.
    virtual bool cascade_read(std::array<uint8_t, 64>& value) = 0;
    virtual bool cascade_write(const std::array<uint8_t, 64>& value) = 0;
};

// What a program may rely on. `strict` is for programs of our own: nobody has shown that a result
// cannot land early, so reading a register while a write to it is in flight is an error, as are
// writes that overtake one another, bypasses, and a lock released before a store has landed.
// `exact` is for those of compilers, whose schedules rely on the documented cycle of everything,
// and which spill and shuffle registers that were never written.
enum class CoreRules : uint8_t { strict, exact };

// What a cycle was spent on.
enum class CoreCycle : uint8_t { issue, lock, bank, stream, cascade, stopped };

class Core {
  public:
    // `name` is how messages call the tile. `bus` outlives the core.
    Core(std::string name, CoreBus& bus, CoreRules rules = CoreRules::strict);
    ~Core();

    // 16 KB; decoded when first executed. A write forgets what was decoded there.
    void write_program(uint32_t address, std::span<const uint8_t> bytes);
    void reset();
    void enable(bool on);
    bool enabled() const;
    bool done() const; // executed DONE

    // The accesses that the next cycle would make, for the array's bank arbiter: at most two loads
    // and the stores. Empty while the core does not run.
    std::span<const Access> pending() const;
    // One cycle. `granted` false: a bank was taken, the whole core stands still for this cycle.
    // Throws SimulationError.
    CoreCycle cycle(bool granted);

    struct Counters {
        uint64_t cycles;                      // enabled, not done
        uint64_t bundles;                     // issued
        uint64_t vmacs;                       // bundles that issued a VMAC, VMUL, VADDMAC (and .F)
        uint64_t lock, bank, stream, cascade; // stalled cycles by cause
        uint64_t first_vmac, last_vmac;       // cycle of the core's own clock, ~0 if none
    };
    const Counters& counters() const;

    // A register by its name (r0, p1, x2, cm3, crRnd), for tests and for looking at a core that
    // stopped: little-endian bytes, as they would be read in the next cycle.
    std::vector<uint8_t> get_register(std::string_view register_name) const;
    void set_register(std::string_view register_name, std::span<const uint8_t> bytes);
    uint32_t program_counter() const;

  private:
    std::unique_ptr<CoreState> state_;
};

} // namespace npusim
