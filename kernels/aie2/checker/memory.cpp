// SPDX-License-Identifier: MIT
// Rules
//   memory.order      A load and a store, or two stores, of the same bytes do not come so close
//   that
//                     the later one touches memory before the earlier one has: distance at least
//                     last cycle of the first - first cycle of the second + 1. (aie2-sched.json,
//                     "memory": loads and VST in cycle 5, VST.SRS and VST.CONV in 7, stores of 8
//                     and 16 bits in 5 and 11)
//   memory.alignment  An address is a multiple of the size of the access: the core ignores the bits
//                     below. (AM020, data memory interface: 256 bits)
//   memory.region     An address that is known lies in a declared region.
// What memory.order sees: addresses are pointer + offset, and pointers are followed over the few
// bundles that matter. Two accesses that come from one value of one pointer, or from constants,
// surely overlap or surely do not. Of any other two it is known whether their pointers were made
// from addresses in the same region. Where regions are declared, two accesses that may overlap are
// reported; where none are, those that surely do.
#include <algorithm>
#include <array>
#include <set>

#include "kernels/aie2/checker/rules.hpp"

namespace npuenc::aie2 {
namespace {

constexpr int n_pointers = 8;
constexpr int stack = n_pointers;   // the base of addresses relative to SP
constexpr int absolute = stack + 1; // constants
constexpr int first_unknown = absolute + 1;

// Base + offset + an index register as it was at one time. Bases are the values of the pointers
// where we began to look.
struct Address {
    int base;
    int64_t offset = 0;
    std::string index = ""; // "djN", or none
    int index_version = 0;

    bool comparable(const Address& other) const {
        return base == other.base && index == other.index && index_version == other.index_version;
    }
    auto operator<=>(const Address&) const = default;
};

// Where the pointers point, relative to where they pointed at the first access.
class Pointers {
  public:
    Pointers(const RuleContext& context, uint32_t moment) : context_(&context) {
        for (int i = 0; i < n_pointers; ++i) {
            const auto known = context.values.before(moment, name(i)).constant;
            pointers_[static_cast<size_t>(i)] = known ? Address{absolute, *known} : Address{i};
        }
        pointers_[stack] = Address{stack};
    }

    Address address_of(uint32_t moment, const MemoryAccess& access) const {
        const auto place = index_of(access.pointer);
        if (!place)
            return Address{-1};
        Address address = pointers_[*place];
        if (!access.offset.is_register()) {
            address.offset += access.offset.value;
        } else if (const auto offset =
                       context_->values.before(moment, access.offset.name).constant) {
            address.offset += *offset;
        } else {
            address.index = access.offset.name;
            address.index_version = versions_[static_cast<size_t>(numbered(address.index).number)];
        }
        return address;
    }

    void issue(uint32_t moment) {
        const std::vector<Effects>& instructions = context_->bundle_of(moment).instructions;
        const auto old = pointers_;
        for (const Effects& effects : instructions) {
            for (size_t i = 0; i < effects.entry->n_results; ++i)
                write(moment, effects, effects.instruction->operands[i].name, old);
            if (effects.update)
                move(moment, *effects.update, old);
        }
    }

    auto operator<=>(const Pointers& other) const {
        return std::tie(pointers_, versions_) <=> std::tie(other.pointers_, other.versions_);
    }

  private:
    static std::string name(int i) { return "p" + std::to_string(i); }

    static std::optional<size_t> index_of(std::string_view pointer) {
        if (pointer == "SP")
            return stack;
        const NumberedRegister reg = numbered(pointer);
        return reg.file == "p" ? std::optional<size_t>(reg.number) : std::nullopt;
    }

    void write(uint32_t moment, const Effects& effects, std::string_view register_name,
               const std::array<Address, n_pointers + 1>& old) {
        const NumberedRegister reg = numbered(register_name);
        if (reg.file == "dj")
            ++versions_[static_cast<size_t>(reg.number)];
        if (reg.file != "p")
            return;
        Address& pointer = pointers_[static_cast<size_t>(reg.number)];
        pointer = Address{first_unknown + next_unknown_++};
        if (effects.instruction->operands.size() != 2)
            return;
        const Operand& source = effects.instruction->operands[1];
        const auto from = index_of(source.name);
        if (const auto constant = context_->values.of(moment, source).constant)
            pointer = Address{absolute, *constant};
        else if (from && effects.name() == "MOV_mv_scl")
            pointer = old[*from];
    }

    void move(uint32_t moment, const PointerUpdate& update,
              const std::array<Address, n_pointers + 1>& old) {
        const size_t place = *index_of(update.pointer);
        const auto step =
            update.step ? context_->values.of(moment, *update.step).constant : std::nullopt;
        pointers_[place] = step ? old[place] : Address{first_unknown + next_unknown_++};
        if (step)
            pointers_[place].offset += *step;
    }

    const RuleContext* context_;
    std::array<Address, n_pointers + 1> pointers_{};
    std::array<int, 8> versions_{}; // of dj0..dj7
    int next_unknown_ = 0;
};

class OrderCheck {
  public:
    OrderCheck(const RuleContext& context, uint32_t moment, const Effects& first)
        : context_(context), from_(moment), first_(first) {}

    void run() {
        Pointers pointers(context_, from_);
        address_ = pointers.address_of(from_, *first_.memory);
        look(from_, pointers, 0);
    }

  private:
    void look(uint32_t moment, Pointers pointers, int distance) {
        if (distance > first_.memory->last - 5 + 1 ||
            !seen_.emplace(moment, distance, pointers).second)
            return;
        for (const Effects& later : context_.bundle_of(moment).instructions)
            if (later.memory && &later != &first_)
                compare(moment, pointers, later, distance);
            else if (later.memory && distance > 0)
                compare(moment, pointers, later, distance);
        pointers.issue(moment);
        for (const uint32_t next : context_.flow.next(moment))
            look(next, pointers, distance + 1);
    }

    void compare(uint32_t moment, const Pointers& pointers, const Effects& later, int distance) {
        const MemoryAccess& a = *first_.memory;
        const MemoryAccess& b = *later.memory;
        const int needed = a.last - b.first + 1;
        if ((!a.stores && !b.stores) || distance >= needed)
            return;
        // In one bundle either order will do.
        if (distance == 0 && (b.last - a.first + 1 <= 0 || &later < &first_))
            return;
        const Address address = pointers.address_of(moment, b);
        const bool comparable = address_.comparable(address) && address.base >= 0;
        const bool overlaps = address_.offset < address.offset + b.bytes &&
                              address.offset < address_.offset + a.bytes;
        if (comparable ? !overlaps : !may_meet(moment, later))
            return;
        const Pair pair{from_, moment, first_, later, distance};
        context_.findings.add("memory.order", pair.later_bundle(context_),
                              later.name() + (comparable ? " touches" : " may touch") +
                                  " the same memory as " + before_text(context_, pair) + " where " +
                                  std::to_string(needed) + " are needed");
    }

    bool may_meet(uint32_t moment, const Effects& later) const {
        const std::vector<Region>& regions = context_.options.regions;
        const bool one_on_stack =
            (first_.memory->pointer == "SP") != (later.memory->pointer == "SP");
        if (regions.empty() || one_on_stack)
            return false;
        const Value a = context_.values.before(from_, first_.memory->pointer);
        const Value b = context_.values.before(moment, later.memory->pointer);
        if (a.anywhere || b.anywhere)
            return true;
        for (size_t i = 0; i < regions.size() && i < 64; ++i)
            if ((a.regions & b.regions) >> i & 1 && !regions[i].in_order)
                return true;
        return false;
    }

    const RuleContext& context_;
    const uint32_t from_;
    const Effects& first_;
    Address address_{-1};
    std::set<std::tuple<uint32_t, int, Pointers>> seen_;
};

Value address_of(const RuleContext& context, uint32_t moment, const MemoryAccess& access) {
    const Value pointer = context.values.before(moment, access.pointer);
    const Value offset = context.values.of(moment, access.offset);
    Value sum;
    if (pointer.constant && offset.constant)
        sum.constant = *pointer.constant + *offset.constant;
    sum.modulus = std::min(pointer.modulus, offset.modulus);
    sum.remainder = (pointer.remainder + offset.remainder) % sum.modulus;
    return sum;
}

void check_alignment(const RuleContext& context, uint32_t moment, const Effects& effects,
                     const Value& address) {
    const uint32_t unit = std::min(effects.memory->bytes, address.modulus);
    if (effects.memory->aligned && address.remainder % unit != 0)
        context.findings.add("memory.alignment", context.flow.moments()[moment].bundle,
                             effects.name() + " accesses " + std::to_string(effects.memory->bytes) +
                                 " bytes at an address that is " +
                                 std::to_string(address.remainder % unit) + " modulo " +
                                 std::to_string(unit));
}

void check_region(const RuleContext& context, uint32_t moment, const Effects& effects,
                  const Value& address) {
    if (context.options.regions.empty() || !address.constant || effects.memory->pointer == "SP")
        return;
    const bool inside = std::ranges::any_of(context.options.regions, [&](const Region& region) {
        return *address.constant >= region.address &&
               *address.constant + effects.memory->bytes <= region.address + region.bytes;
    });
    if (!inside)
        context.findings.add("memory.region", context.flow.moments()[moment].bundle,
                             effects.name() + " accesses " +
                                 hex(static_cast<uint64_t>(*address.constant)) +
                                 ", which is in no declared region");
}

} // namespace

void check_memory_order(const RuleContext& context) {
    for (uint32_t moment = 0; moment < context.flow.moments().size(); ++moment)
        for (const Effects& effects : context.bundle_of(moment).instructions)
            if (effects.memory)
                OrderCheck(context, moment, effects).run();
}

void check_addresses(const RuleContext& context) {
    for (uint32_t moment = 0; moment < context.flow.moments().size(); ++moment)
        for (const Effects& effects : context.bundle_of(moment).instructions)
            if (effects.memory && !effects.memory->pointer.empty()) {
                const Value address = address_of(context, moment, *effects.memory);
                check_alignment(context, moment, effects, address);
                check_region(context, moment, effects, address);
            }
}

} // namespace npuenc::aie2
