// SPDX-License-Identifier: MIT
// One compute core of the simulated array: registers, pipeline, program memory.
#include "tools/npusim/core_state.hpp"

#include <algorithm>
#include <cstdio>

namespace npusim {

namespace {

constexpr uint32_t program_bytes = 16384;

std::string_view register_at(uint8_t u) {
    for (const RegisterName& name : decode_table().register_names)
        if (name.unit == u && name.units == 1)
            return name.name;
    return "?";
}

const RegisterName& find_register(std::string_view name) {
    for (const RegisterName& known : decode_table().register_names)
        if (known.name == name && known.units != 0)
            return known;
    throw std::runtime_error("no register " + std::string(name));
}

std::string_view port_name(uint32_t mask) {
    return decode_table().port_names[static_cast<size_t>(__builtin_ctz(mask))];
}

} // namespace

std::string hex(uint32_t value) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%x", value);
    return text;
}

CoreState::CoreState(std::string core_name, CoreBus& core_bus, CoreRules core_rules)
    : name(std::move(core_name)), bus(core_bus), rules(core_rules) {
    reset();
}

void CoreState::fail(uint32_t at, const std::string& why) {
    std::string shown;
    try {
        shown = text(decode_bundle(std::span(program_).subspan(at & (program_bytes - 1), 16)));
    } catch (const std::runtime_error&) {
        shown = "undecodable";
    }
    throw SimulationError(name + ", cycle " + std::to_string(counters.cycles) + ", " + hex(at) +
                          ": " + why + "; bundle: " + shown);
}

void CoreState::fail(const Op& op, const std::string& why) {
    fail(op.pc, std::string(info(op.opcode).name) + ": " + why);
}

void CoreState::refuse_read(const Op& op, uint8_t u, uint64_t when) {
    if (landed_[u] == never) {
        if (rules == CoreRules::exact && unit::is_vector(u))
            return;
        fail(op, "reads " + std::string(register_at(u)) + ", which was never written");
    }
    if (rules == CoreRules::strict)
        fail(op, "reads " + std::string(register_at(u)) + " " + std::to_string(landed_[u] - when) +
                     " cycles before a write to it, which is in flight, has landed");
}

// Compilers use the bypasses: a result may be read one cycle before it lands, where writer and
// reader name the same one.
bool CoreState::reaches_early(uint8_t u, char letter, uint64_t at) const {
    return rules == CoreRules::exact && letter != '-' && letter != 0 && bypass_[u] == letter &&
           landed_[u] == at + 1;
}

// The unit as it will be in the next cycle.
const uint8_t* CoreState::next_value(uint8_t u) const {
    const Landings& next = landings_[(now + 1) % ring];
    for (uint32_t n = next.vectors; n-- > 0;) {
        const VectorLanding& landing = next.vector[n];
        if (landing.unit <= u && u < landing.unit + landing.units)
            return landing.bytes + 32 * (u - landing.unit);
    }
    return vector_[u - unit::vector0];
}

const uint8_t* CoreState::early_vector(const Op& op, unsigned i) {
    const OpOperand& o = op.operand[i];
    uint8_t* joined = early_[next_early_++ % early_.size()].a;
    for (unsigned k = 0; k < o.units; k++) {
        uint8_t u = static_cast<uint8_t>(o.unit + k);
        const uint8_t* from = vector_[u - unit::vector0];
        if (reaches_early(u, o.bypass, now))
            from = next_value(u);
        else if (landed_[u] > now)
            refuse_read(op, u, now);
        std::memcpy(joined + 32 * k, from, 32);
    }
    return joined;
}

uint8_t CoreState::expect_accumulator(const Op& op, unsigned i) {
    const OpOperand& o = op.operand[i];
    uint64_t when = now + o.cycle - 1;
    uint8_t bypassed = 0;
    for (unsigned k = 0; k < o.units; k++) {
        uint8_t u = static_cast<uint8_t>(o.unit + k);
        if (reaches_early(u, o.bypass, when))
            bypassed |= static_cast<uint8_t>(1 << k);
        else if (landed_[u] > when)
            refuse_read(op, u, when);
    }
    return bypassed;
}

const uint8_t* CoreState::accumulator(const Op& op, unsigned i, uint8_t bypassed) {
    const OpOperand& o = op.operand[i];
    if (bypassed == 0)
        return vector_[o.unit - unit::vector0];
    uint8_t* joined = early_[next_early_++ % early_.size()].a;
    for (unsigned k = 0; k < o.units; k++) {
        uint8_t u = static_cast<uint8_t>(o.unit + k);
        std::memcpy(joined + 32 * k, bypassed >> k & 1 ? next_value(u) : vector_[u - unit::vector0],
                    32);
    }
    return joined;
}

const uint8_t* CoreState::late_vector(const Op& op, unsigned i, const LateStep& step) {
    const OpOperand& o = op.operand[i];
    for (unsigned k = 0; k < o.units; k++) {
        uint8_t u = static_cast<uint8_t>(o.unit + k);
        bool own = issued_[u] == step.issued && writer_[u] == step.op;
        if (landed_[u] > now && !own)
            refuse_read(op, u, now);
    }
    return vector_[o.unit - unit::vector0];
}

void CoreState::refuse_write(const Op& op, uint8_t u, uint64_t lands) {
    fail(op, "a write to " + std::string(register_at(u)) +
                 (landed_[u] == lands ? " lands together with" : " overtakes") + " an earlier one");
}

void CoreState::reserve(const Op& op, uint8_t u, unsigned units, uint64_t lands, char bypass) {
    for (unsigned i = u; i < u + units; i++) {
        if (landed_[i] > now && landed_[i] != never &&
            (landed_[i] == lands || (landed_[i] > lands && rules == CoreRules::strict)))
            refuse_write(op, static_cast<uint8_t>(i), lands);
        landed_[i] = lands;
        bypass_[i] = bypass;
        issued_[i] = now;
        writer_[i] = &op;
    }
}

void CoreState::deliver(uint8_t u, uint32_t value, uint64_t lands) {
    Landings& slot = landings_[lands % ring];
    slot.scalar[slot.scalars++] = {u, unit::is_20_bits(u) ? value & 0xfffff : value};
}

void CoreState::deliver_vector(uint8_t u, unsigned units, const void* bytes, uint64_t lands) {
    Landings& slot = landings_[lands % ring];
    VectorLanding& landing = slot.vector[slot.vectors++];
    landing.unit = u;
    landing.units = static_cast<uint8_t>(units);
    for (unsigned k = 0; k < units; k++)
        std::memcpy(landing.bytes + 32 * k, static_cast<const uint8_t*>(bytes) + 32 * k, 32);
}

void CoreState::write_undefined(const Op& op, uint8_t u, unsigned units, uint64_t lands) {
    reserve(op, u, units, lands);
    for (unsigned i = u; i < u + units; i++)
        landed_[i] = never;
}

void CoreState::later(unsigned cycle, void (*run)(CoreState&, const Op&, const LateStep&),
                      const Op& op, Flight* flight, uint64_t issued) {
    LateSteps& slot = late_[(issued + cycle - 1) % ring];
    slot.step[slot.count++] = {run, &op, issued, flight};
}

void CoreState::touch(const Op& op, unsigned cycle, MemoryRun run, uint32_t at, uint8_t bytes,
                      bool is_store, Flight* flight) {
    MemorySteps& slot = memory_[(now + cycle - 1) % ring];
    Access& access = slot.access[slot.count];
    access.address = at;
    access.bytes = bytes;
    access.is_store = is_store;
    MemoryStep& step = slot.step[slot.count++];
    step.run = run;
    step.op = &op;
    step.issued = now;
    step.flight = flight;
    step.address = at;
    step.bytes = bytes;
    step.is_store = is_store;
    if (is_store)
        stores_.push_back({now, now + cycle - 1, at, bytes, &op});
}

void CoreState::branch(const Op& op, uint32_t to) {
    if (branched)
        fail(op, "two branches in a bundle");
    branched = true;
    target = to;
}

// A call returns behind its five delay slots.
uint32_t CoreState::return_address(const Op& op) {
    uint32_t at = op.pc;
    for (int i = 0; i < 6; i++)
        at += bundle(at).size;
    return at;
}

void CoreState::reset() {
    counters = {};
    counters.first_vmac = counters.last_vmac = never;
    now = ring;
    pc = 0;
    done = finishing = branched = false;
    delay = 0;
    lock = {};
    landed_.fill(never);
    // Modes come up as zero: rounding is floor, saturation off.
    for (uint8_t u = unit::crVaddSign; u <= unit::crUnpackSign; u++) {
        landed_[u] = 0;
        scalar_[u] = 0;
    }
    for (auto& slot : landings_)
        slot.scalars = slot.vectors = 0;
    for (auto& slot : memory_)
        slot.count = 0;
    for (auto& slot : late_)
        slot.count = 0;
    ports_.fill(0);
    stores_.clear();
    retired_.clear();
}

void CoreState::write_program(uint32_t at, std::span<const uint8_t> bytes) {
    if (at > program_bytes || bytes.size() > program_bytes - at)
        throw SimulationError(name + ": " + std::to_string(bytes.size()) + " bytes of program at " +
                              hex(at) + " do not fit");
    std::ranges::copy(bytes, program_.begin() + at);
    std::fill_n(written_.begin() + at, bytes.size(), true);
    for (auto& decoded : bundles_)
        if (decoded)
            retired_.push_back(std::move(decoded));
}

const Bundle& CoreState::bundle(uint32_t at) {
    if (at >= program_bytes || at % 2)
        fail(at, "the program counter left the program memory");
    auto& slot = bundles_[at / 2];
    if (!slot)
        slot = decode(at);
    return *slot;
}

std::unique_ptr<Bundle> CoreState::decode(uint32_t at) {
    DecodedBundle decoded;
    try {
        decoded = decode_bundle(std::span(program_).subspan(at, 16));
    } catch (const std::runtime_error& error) {
        fail(at, error.what());
    }
    for (unsigned i = 0; i < decoded.size; i++)
        if (at + i >= program_bytes || !written_[at + i])
            fail(at, "runs into program memory that nobody wrote");

    auto bundle = std::make_unique<Bundle>();
    bundle->pc = at;
    bundle->size = static_cast<uint8_t>(decoded.size);
    bundle->part_word_store = bundle->vmac = false;
    std::array<uint32_t, 16> ports{};
    for (const Instruction& instruction : decoded.instructions) {
        const InstructionInfo& known = info(instruction.opcode);
        if (known.name.starts_with("NOP"))
            continue;
        Op op{};
        op.issue = issue_of(instruction.opcode);
        op.opcode = instruction.opcode;
        op.pc = at;
        op.address = address_mode(instruction);
        op.operands = static_cast<uint8_t>(instruction.operands.size());
        const Timing& timing = timing_of(instruction);
        for (unsigned i = 0; i < instruction.operands.size(); i++) {
            const Operand& operand = instruction.operands[i];
            char bypass = i < timing.bypass.size() ? timing.bypass[i] : '-';
            op.operand[i] = {operand.unit, operand.units, timing.cycles[i], bypass, operand.value};
        }
        for (unsigned i = 0; i < op.implicit_cycle.size(); i++)
            op.implicit_cycle[i] = timing.cycles[std::min<size_t>(op.operands + i, 11)];
        op.memory_cycle = timing.memory;

        for (const PortUse& use : ports_of(instruction, timing))
            for (unsigned cycle = use.first; cycle <= use.last; cycle++) {
                uint32_t mask = uint32_t{1} << use.port;
                if (ports[cycle] & mask)
                    bundle->clash = std::string(port_name(mask));
                ports[cycle] |= mask;
            }
        bundle->part_word_store |= timing.memory[1] != 0;
        bundle->vmac |= known.slot == Slot::vec && known.name.find("M") != std::string_view::npos &&
                        (known.name.find("MAC") != std::string_view::npos ||
                         known.name.find("MSC") != std::string_view::npos ||
                         known.name.find("MUL") != std::string_view::npos);
        bundle->ops.push_back(op);
    }
    for (unsigned cycle = 1; cycle < ports.size(); cycle++)
        if (ports[cycle])
            bundle->ports.push_back({static_cast<uint8_t>(cycle - 1), ports[cycle]});
    return bundle;
}

std::span<const Access> CoreState::pending() const {
    if (!enabled || done || lock.blocked)
        return {};
    const MemorySteps& slot = memory_[now % ring];
    return std::span(slot.access).first(slot.count);
}

void CoreState::land() {
    Landings& slot = landings_[now % ring];
    for (uint32_t i = 0; i < slot.scalars; i++)
        scalar_[slot.scalar[i].unit] = slot.scalar[i].value;
    for (uint32_t i = 0; i < slot.vectors; i++) {
        const VectorLanding& landing = slot.vector[i];
        for (unsigned k = 0; k < landing.units; k++)
            std::memcpy(vector_[landing.unit - unit::vector0 + k], landing.bytes + 32 * k, 32);
    }
    slot.scalars = slot.vectors = 0;
}

// Memory does not look at addresses: what overtakes an earlier store is wrong, silently.
void CoreState::check_overlap(const MemoryStep& step) {
    for (const StoreInFlight& store : stores_) {
        if (store.op == step.op && store.issued == step.issued)
            continue;
        bool earlier =
            store.issued < step.issued || (store.issued == step.issued && !step.is_store);
        if (earlier && store.lands >= now && store.address < step.address + step.bytes &&
            step.address < store.address + store.bytes)
            fail(*step.op, std::string(step.is_store ? "overtakes" : "reads before") +
                               " the store at " + hex(store.op->pc) + " to address " +
                               hex(store.address) + " has landed");
    }
}

void CoreState::run_memory() {
    MemorySteps& slot = memory_[now % ring];
    if (slot.count == 0)
        return;
    if (!stores_.empty())
        for (uint32_t i = 0; i < slot.count; i++)
            check_overlap(slot.step[i]);
    bool stored = false;
    for (bool stores : {false, true})
        for (uint32_t i = 0; i < slot.count; i++) {
            const MemoryStep& step = slot.step[i];
            if (step.is_store == stores)
                step.run(*this, *step.op, step);
            stored |= step.is_store;
        }
    slot.count = 0;
    if (stored)
        std::erase_if(stores_, [&](const StoreInFlight& store) { return store.lands <= now; });
}

// Lock instructions meet the lock in their second cycle; the core stands still until an acquire is
// granted, and goes on in the cycle after if it had to wait.
bool CoreState::take_lock() {
    const Op& op = *lock.op;
    if (lock.is_acquire) {
        if (!bus.acquire(lock.lock, lock.value)) {
            lock.blocked = true;
            return false;
        }
    } else {
        for (const StoreInFlight& store : stores_)
            if (store.issued + 1 < now && rules == CoreRules::strict)
                fail(op, "the store at " + hex(store.op->pc) + " to address " + hex(store.address) +
                             " has not landed when the lock is released");
        bus.release(lock.lock, lock.value);
    }
    lock.op = nullptr;
    bool waited = lock.blocked;
    lock.blocked = false;
    return !waited;
}

CoreCycle CoreState::cycle(bool granted) {
    if (!enabled || done)
        return CoreCycle::stopped;
    counters.cycles++;
    if (!granted) {
        counters.bank++;
        return CoreCycle::bank;
    }
    if (lock.op && !take_lock()) {
        counters.lock++;
        return CoreCycle::lock;
    }
    ports_[(now - 1) % ring] = 0;
    land();
    run_memory();
    LateSteps& late = late_[now % ring];
    for (uint32_t i = 0; i < late.count; i++)
        late.step[i].run(*this, *late.step[i].op, late.step[i]);
    late.count = 0;
    if (!finishing)
        issue();
    else if (++finish == ring)
        done = true;
    now++;
    return CoreCycle::issue;
}

void CoreState::issue() {
    const Bundle& current = bundle(pc);
    if (!current.clash.empty())
        fail(pc, "two instructions of the bundle use port " + current.clash);
    for (const PortReservation& use : current.ports) {
        uint32_t& held = ports_[(now + use.after) % ring];
        if (held & use.mask)
            fail(pc, "port " + std::string(port_name(held & use.mask)) + " is taken in cycle " +
                         std::to_string(use.after + 1) +
                         " of the bundle by an earlier instruction");
        held |= use.mask;
    }
    branched = false;
    for (const Op& op : current.ops) {
        if (!op.issue)
            fail(op, "not executable: its semantics are not known for certain");
        op.issue(*this, op);
    }
    counters.bundles++;
    if (current.vmac) {
        counters.vmacs++;
        counters.last_vmac = counters.cycles - 1;
        if (counters.first_vmac == never)
            counters.first_vmac = counters.last_vmac;
    }

    uint32_t next = pc + current.size;
    if (scalar_[unit::LE] == pc && landed_[unit::LE] <= now)
        end_of_loop(current, next);
    if (delay != 0) {
        if (branched)
            fail(pc, "branch in a delay slot");
        if (--delay == 0)
            next = target_after_delay;
    } else if (branched) {
        delay = 5;
        target_after_delay = target;
    }
    pc = next;
}

// The bundle at LE closes the loop: LC counts the passes left, this one included.
void CoreState::end_of_loop(const Bundle& current, uint32_t& next) {
    if (landed_[unit::LC] == never || landed_[unit::LS] == never)
        fail(pc, "end of a loop, but LC or LS was never written");
    if (scalar_[unit::LC] == 0 && now - loop_set >= 7)
        return;
    if (now - loop_set < 7)
        fail(pc, "LC, LS or LE was set " + std::to_string(now - loop_set) +
                     " bundles before the end of the loop, 7 are needed");
    uint32_t start = scalar_[unit::LS];
    if (start % 16 || pc % 16)
        fail(pc, "LS " + hex(start) + " and LE " + hex(pc) + " must be multiples of 16");
    if (current.size != 16)
        fail(pc, "the last bundle of a loop must take 16 bytes");
    if (current.part_word_store)
        fail(pc, "store of 8 or 16 bits in the last bundle of a loop");
    if (branched || delay != 0)
        fail(pc, "branch at the end of a loop");
    if (--scalar_[unit::LC] != 0)
        next = start;
}

Core::Core(std::string name, CoreBus& bus, CoreRules rules)
    : state_(std::make_unique<CoreState>(std::move(name), bus, rules)) {}
Core::~Core() = default;

void Core::write_program(uint32_t address, std::span<const uint8_t> bytes) {
    state_->write_program(address, bytes);
}
void Core::reset() {
    state_->reset();
}
void Core::enable(bool on) {
    state_->enabled = on;
}
bool Core::enabled() const {
    return state_->enabled;
}
bool Core::done() const {
    return state_->done;
}
std::span<const Access> Core::pending() const {
    return state_->pending();
}
CoreCycle Core::cycle(bool granted) {
    return state_->cycle(granted);
}
const Core::Counters& Core::counters() const {
    return state_->counters;
}
uint32_t Core::program_counter() const {
    return state_->pc;
}

std::vector<uint8_t> Core::get_register(std::string_view register_name) const {
    const RegisterName& reg = find_register(register_name);
    bool is_vector = unit::is_vector(reg.unit);
    std::vector<uint8_t> bytes((is_vector ? 32u : 4u) * reg.units);
    const void* from = is_vector
                           ? static_cast<const void*>(state_->vector_[reg.unit - unit::vector0])
                           : static_cast<const void*>(&state_->scalar_[reg.unit]);
    std::memcpy(bytes.data(), from, bytes.size());
    return bytes;
}

void Core::set_register(std::string_view register_name, std::span<const uint8_t> bytes) {
    const RegisterName& reg = find_register(register_name);
    bool is_vector = unit::is_vector(reg.unit);
    if (bytes.size() != (is_vector ? 32u : 4u) * reg.units)
        throw std::runtime_error("wrong size for register " + std::string(register_name));
    void* to = is_vector ? static_cast<void*>(state_->vector_[reg.unit - unit::vector0])
                         : static_cast<void*>(&state_->scalar_[reg.unit]);
    std::memcpy(to, bytes.data(), bytes.size());
    for (unsigned i = 0; i < reg.units; i++)
        state_->landed_[reg.unit + i] = 0;
}

} // namespace npusim
