// SPDX-License-Identifier: MIT
// The inside of a core: registers, what is in flight, and what instructions do it with.
#pragma once

#include "tools/npusim/core.hpp"
#include "tools/npusim/decoder.hpp"

#include <cstring>

namespace npusim {

// Units of registers, as make_decode_table.py numbers them.
namespace unit {
inline constexpr uint8_t r0 = 0, p0 = 32, m0 = 40, dn0 = 48, dj0 = 56, dc0 = 64, s0 = 72;
inline constexpr uint8_t LC = 76, LS = 77, LE = 78, SP = 79, DP = 80, lr = 81, CORE_ID = 82;
inline constexpr uint8_t crVaddSign = 83, crF2FMask = 84, crF2IMask = 85, crFPMask = 86;
inline constexpr uint8_t crMCDEn = 87, crPackSign = 88, crRnd = 89, crSCDEn = 90, crSRSSign = 91;
inline constexpr uint8_t crSat = 92, crUPSSign = 93, crUnpackSign = 94;
inline constexpr uint8_t srCarry = 95, srUPS_of = 104;
inline constexpr uint8_t vector0 = 128, w0 = 128, am0 = 152, q0 = 188;
inline constexpr unsigned scalars = 128, vectors = 64, all = scalars + vectors;
inline constexpr uint8_t none = 255;

inline bool is_vector(uint8_t u) {
    return u >= vector0;
}
// p, m, dn, dj, dc, LS, LE, SP, DP and lr hold 20 bits.
inline bool is_20_bits(uint8_t u) {
    return (u >= p0 && u < s0) || (u >= LS && u <= lr);
}
} // namespace unit

// Where an instruction that touches memory or moves a pointer finds its address.
struct AddressMode {
    enum Kind : uint8_t {
        none,
        stack,
        plain,
        index_imm,
        index_reg,
        post_imm,
        post_reg,
        post_2d,
        post_3d
    };
    Kind kind = none;
    uint8_t pointer = unit::none;
    uint8_t modifier = unit::none; // unit of m or dj; number of d
    int32_t imm = 0;
    uint8_t data = 0; // operand that a plain store writes: it stands before the pointer
};

struct Op;

// What an instruction does in its first cycle.
using Issue = void (*)(CoreState&, const Op&);
struct OpOperand {
    uint8_t unit, units;
    uint8_t cycle;
    char bypass; // '-' or 0: none
    int32_t value;
};

// An instruction of a bundle, ready to run.
struct Op {
    Issue issue; // nullptr: nobody has shown what it does
    Opcode opcode;
    uint32_t pc;
    uint8_t operands;
    std::array<OpOperand, 9> operand;
    std::array<uint8_t, 4> implicit_cycle; // of the registers that the text does not name
    std::array<uint8_t, 2> memory_cycle;
    AddressMode address;
};

struct PortReservation {
    uint8_t after; // cycles after that of issue
    uint32_t mask; // bit: port
};

struct Bundle {
    uint32_t pc;
    uint8_t size;
    bool part_word_store, vmac;
    std::vector<Op> ops; // without NOPs
    std::vector<PortReservation> ports;
    std::string clash; // of two ops of this bundle, empty: none
};

// What an instruction takes along when it reads operands late or touches memory.
struct Flight {
    alignas(64) uint8_t a[128];
    alignas(64) uint8_t b[64];
    uint32_t word, word2;
    uint8_t bypassed[2]; // which units of accumulators 1 and 2 come through a bypass
};

struct LateStep {
    void (*run)(CoreState&, const Op&, const LateStep&);
    const Op* op;
    uint64_t issued;
    Flight* flight;
};

struct MemoryStep;
using MemoryRun = void (*)(CoreState&, const Op&, const MemoryStep&);
struct MemoryStep {
    MemoryRun run;
    const Op* op;
    uint64_t issued;
    Flight* flight;
    uint32_t address;
    uint8_t bytes;
    bool is_store;
};

struct CoreState {
    CoreState(std::string core_name, CoreBus& core_bus, CoreRules core_rules);

    // For the semantics. `op`, `i`: operand i of the instruction.
    uint32_t read(const Op& op, unsigned i) { return read_unit(op, op.operand[i].unit); }
    uint64_t read64(const Op& op, unsigned i) {
        return read_unit(op, op.operand[i].unit) |
               uint64_t{read_unit(op, static_cast<uint8_t>(op.operand[i].unit + 1))} << 32;
    }
    uint32_t read_unit(const Op& op, uint8_t u) {
        if (landed_[u] > now)
            refuse_read(op, u, now);
        return scalar_[u];
    }
    // Vector and accumulator registers lie as their parts do, lowest first.
    const uint8_t* vector(const Op& op, unsigned i) {
        const OpOperand& o = op.operand[i];
        for (unsigned k = 0; k < o.units; k++)
            if (landed_[o.unit + k] > now)
                return early_vector(op, i);
        return vector_[o.unit - unit::vector0];
    }
    // The same without looking whether it may be read: for moves, which keep what is undefined.
    const uint8_t* vector_unchecked(uint8_t u) const { return vector_[u - unit::vector0]; }
    // For operands of which a part may be unused: undefined parts count as garbage.
    const uint8_t* vector_or_undefined(const Op& op, unsigned i) {
        const OpOperand& o = op.operand[i];
        for (unsigned k = 0; k < o.units; k++)
            if (landed_[o.unit + k] > now && !undefined(static_cast<uint8_t>(o.unit + k)))
                return early_vector(op, i);
        return vector_[o.unit - unit::vector0];
    }
    bool undefined(uint8_t u) const { return landed_[u] == never; }

    // An accumulator operand is read in cycle 3: `expect_accumulator` looks at the issue of the
    // instruction, before its own result is in flight, whether it will be there.
    uint8_t expect_accumulator(const Op& op, unsigned i);
    const uint8_t* accumulator(const Op& op, unsigned i, uint8_t bypassed);
    // Operands that are read in a later cycle than 3; the instruction's own result may be in
    // flight.
    const uint8_t* late_vector(const Op& op, unsigned i, const LateStep& step);

    // An operand of which a part is undefined or in flight: an error unless the rules allow it.
    const uint8_t* early_vector(const Op& op, unsigned i);

    // A result of operand i, of an instruction issued in this cycle.
    void write(const Op& op, unsigned i, uint32_t value) {
        write_unit(op, op.operand[i].unit, value, now + op.operand[i].cycle);
    }
    void write_unit(const Op& op, uint8_t u, uint32_t value, uint64_t lands) {
        reserve(op, u, 1, lands);
        deliver(u, value, lands);
    }
    void write_undefined(const Op& op, uint8_t u, unsigned units, uint64_t lands);
    void write_vector(const Op& op, unsigned i, const void* bytes) {
        const OpOperand& o = op.operand[i];
        reserve(op, i);
        deliver_vector(o.unit, o.units, bytes, now + o.cycle);
    }
    // A register whose value comes later: from its issue on it is in flight.
    void reserve(const Op& op, unsigned i) {
        const OpOperand& o = op.operand[i];
        reserve(op, o.unit, o.units, now + o.cycle, o.bypass);
    }
    void reserve(const Op& op, uint8_t u, unsigned units, uint64_t lands, char bypass = '-');
    void deliver(uint8_t u, uint32_t value, uint64_t lands);
    void deliver_vector(uint8_t u, unsigned units, const void* bytes, uint64_t lands);

    Flight& take_flight() { return flights_[next_flight_++ % flights_.size()]; }
    void later(unsigned cycle, void (*run)(CoreState&, const Op&, const LateStep&), const Op& op,
               Flight* flight, uint64_t issued);
    // An access of the instruction issued in this cycle.
    void touch(const Op& op, unsigned cycle, MemoryRun run, uint32_t address, uint8_t bytes,
               bool is_store, Flight* flight);

    // The address of this cycle's access; moves the pointer of a post-modifying instruction.
    uint32_t address(const Op& op);
    // The same for an access of so many bytes: aligned and in one of the four memories.
    uint32_t access_address(const Op& op, unsigned bytes);

    void branch(const Op& op, uint32_t target);
    uint32_t return_address(const Op& op);

    [[noreturn]] void fail(const Op& op, const std::string& why);
    [[noreturn]] void fail(uint32_t pc, const std::string& why);
    [[noreturn]] void refuse_write(const Op& op, uint8_t u, uint64_t lands);
    void refuse_read(const Op& op, uint8_t u, uint64_t when); // unless the rules allow it

    // For Core.
    void reset();
    void write_program(uint32_t address, std::span<const uint8_t> bytes);
    CoreCycle cycle(bool granted);
    std::span<const Access> pending() const;
    const Bundle& bundle(uint32_t pc);

    static constexpr uint64_t never = ~uint64_t{0};
    static constexpr unsigned ring = 16;

    std::string name;
    CoreBus& bus;
    CoreRules rules;
    Core::Counters counters{};
    uint64_t now = 16; // cycles in which the core did not stand still
    uint32_t pc = 0;
    bool enabled = false, done = false, finishing = false;
    unsigned finish = 0;

    // Lock instruction issued in the cycle before.
    struct LockRequest {
        const Op* op = nullptr;
        bool is_acquire = false, blocked = false;
        uint32_t lock = 0;
        int32_t value = 0;
    } lock;
    unsigned delay = 0; // delay slots left
    bool branched = false;
    uint32_t target = 0, target_after_delay = 0;
    uint64_t loop_set = 0; // cycle that last wrote LC, LS or LE

    std::array<uint64_t, unit::all> landed_{}; // cycle from which the last write may be read
    std::array<char, unit::all> bypass_{};     // letter of that write
    std::array<uint64_t, unit::all> issued_{}; // and the cycle in which it was issued
    std::array<const Op*, unit::all> writer_{};
    std::array<uint32_t, unit::scalars> scalar_{};
    alignas(128) uint8_t vector_[unit::vectors][32]{};

  private:
    struct ScalarLanding {
        uint8_t unit;
        uint32_t value;
    };
    struct VectorLanding {
        alignas(32) uint8_t bytes[128];
        uint8_t unit, units;
    };
    struct Landings {
        uint32_t scalars = 0, vectors = 0;
        std::array<ScalarLanding, 24> scalar;
        std::array<VectorLanding, 8> vector;
    };
    struct MemorySteps {
        uint32_t count = 0;
        std::array<MemoryStep, 8> step;
        std::array<Access, 8> access;
    };
    struct LateSteps {
        uint32_t count = 0;
        std::array<LateStep, 8> step;
    };
    struct StoreInFlight {
        uint64_t issued, lands;
        uint32_t address, bytes;
        const Op* op;
    };

    bool take_lock();
    void land();
    void run_memory();
    void check_overlap(const MemoryStep& step);
    void issue();
    void end_of_loop(const Bundle& b, uint32_t& next);
    std::unique_ptr<Bundle> decode(uint32_t at);

    std::array<Landings, ring> landings_;
    std::array<MemorySteps, ring> memory_;
    std::array<LateSteps, ring> late_;
    std::array<uint32_t, ring> ports_{};
    std::array<Flight, 64> flights_;
    bool reaches_early(uint8_t u, char letter, uint64_t at) const;
    const uint8_t* next_value(uint8_t u) const;

    std::array<Flight, 4> early_; // operands that came through a bypass
    size_t next_early_ = 0;
    size_t next_flight_ = 0;
    std::vector<StoreInFlight> stores_;

    std::array<uint8_t, 16384 + 16> program_{};
    std::array<bool, 16384> written_{};
    std::array<std::unique_ptr<Bundle>, 8192> bundles_;
    std::vector<std::unique_ptr<Bundle>> retired_; // overwritten, perhaps still in flight
};

// What the instruction does, by family; nullptr where the family does not know it.
Issue scalar_issue(Opcode opcode);
Issue memory_issue(Opcode opcode);
Issue multiply_issue(Opcode opcode);
Issue vector_move_issue(Opcode opcode);
Issue vector_arithmetic_issue(Opcode opcode);
Issue convert_issue(Opcode opcode);
inline Issue issue_of(Opcode opcode) {
    for (auto family : {scalar_issue, memory_issue, multiply_issue, vector_move_issue,
                        vector_arithmetic_issue, convert_issue})
        if (Issue found = family(opcode))
            return found;
    return nullptr;
}

std::string hex(uint32_t value);

AddressMode address_mode(const Instruction& instruction);
// Times and ports, by the registers that the instruction names.
const Timing& timing_of(const Instruction& instruction);
std::vector<PortUse> ports_of(const Instruction& instruction, const Timing& timing);

} // namespace npusim
