// SPDX-License-Identifier: MIT
// Modulo scheduling, greedy: instruction after instruction goes into the first cycle in which its
// sources are there, and its slot and ports are free in every iteration. Registers are found
// afterwards. As in scheduler.cpp results are taken to land at any time from their issue on.
#include "kernels/aie2/program/pipeline.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>

#include "kernels/aie2/checker/effects.hpp"
#include "kernels/aie2/isa/assembler.hpp"
#include "kernels/aie2/program/colouring.hpp"

namespace npuenc::aie2 {
namespace {

// "bml{sum}": the upper or lower half, or all, of a value.
struct Reference {
    std::string prefix, value;
};

std::optional<Reference> reference(const Operand& operand) {
    const size_t open = operand.name.find('{');
    if (open == std::string::npos)
        return {};
    return Reference{operand.name.substr(0, open),
                     operand.name.substr(open + 1, operand.name.size() - open - 2)};
}

bool is_vector(const Reference& of) {
    return of.prefix == "x" || of.prefix == "wl" || of.prefix == "wh";
}

Instruction with_registers(Instruction instruction, const std::map<std::string, int>& numbers) {
    for (Operand& operand : instruction.operands)
        if (const auto found = reference(operand))
            operand = found->prefix + std::to_string(numbers.at(found->value));
    return instruction;
}

// Any registers: they all take the same time.
Instruction with_some_registers(const Instruction& instruction) {
    std::map<std::string, int> numbers;
    for (const Operand& operand : instruction.operands)
        if (const auto found = reference(operand))
            numbers.emplace(found->value, static_cast<int>(numbers.size()));
    return with_registers(instruction, numbers);
}

int modulo(int cycle, int period) {
    return (cycle % period + period) % period;
}

} // namespace

// What becomes of the items of one loop.
class Pipeline::Scheduler {
  public:
    Scheduler(const Pipeline& of, int period) : of_(of), period_(period) {
        for (const Item& item : of.items_) {
            Node node{&item, with_some_registers(item.instruction), {}, {}, {}};
            nodes_.push_back(std::move(node));
        }
        for (Node& node : nodes_) {
            std::optional<Effects> effects = effects_of(node.concrete);
            if (!effects)
                throw AssemblyError(node.concrete.name + " cannot be scheduled");
            node.effects = std::move(*effects);
            for (size_t i = 0; i < node.concrete.operands.size(); ++i)
                if (const auto of_value = reference(node.item->instruction.operands[i]))
                    add_use(node, *of_value, units_of(node.concrete.operands[i].name));
        }
    }

    Loop run(const Free& free) {
        for (size_t i = 0; i < nodes_.size(); ++i)
            if (!nodes_[i].item->late && nodes_[i].item->pointer.empty())
                place_with_loads(i);
        if (std::ranges::any_of(nodes_,
                                [](const Node& node) { return node.item->late && !node.cycle; }))
            throw std::logic_error("a late load that nobody reads");
        Loop loop;
        for (size_t i = 0; i < nodes_.size(); ++i)
            if (!nodes_[i].item->pointer.empty())
                loop.steps_before[nodes_[i].item->pointer] = place_step(i);
        const std::map<std::string, int> numbers = registers(free);
        loop.body.resize(static_cast<size_t>(period_));
        for (const Node& node : nodes_) {
            loop.stages = std::max(loop.stages, *node.cycle / period_ + 1);
            loop.body[static_cast<size_t>(modulo(*node.cycle, period_))][node.effects.entry->slot] =
                with_registers(node.item->instruction, numbers);
        }
        return loop;
    }

  private:
    struct Use {
        Reference of;
        int first_read = 0, last_read = 0, write = 0; // cycles of the instruction, 0: none
    };
    struct Node {
        const Item* item;
        Instruction concrete;
        Effects effects;
        std::vector<Use> uses;
        std::optional<int> cycle;
    };

    static void add_use(Node& node, const Reference& of, const Units& units) {
        Use use{of, 0, 0, 0};
        for (const RegisterAccess& read : node.effects.reads)
            if ((read.units & units).any()) {
                use.first_read =
                    use.first_read == 0 ? read.cycle : std::min<int>(use.first_read, read.cycle);
                use.last_read = std::max<int>(use.last_read, read.cycle);
            }
        for (const RegisterAccess& write : node.effects.writes)
            if ((write.units & units).any())
                use.write = std::max<int>(use.write, write.cycle);
        node.uses.push_back(use);
    }

    static bool overlap(const Reference& a, const Reference& b) {
        const auto parts = [](const std::string& prefix) -> unsigned {
            static const std::map<std::string_view, unsigned> known = {
                {"x", 3},    {"wl", 1},   {"wh", 2},   {"cm", 15},  {"bml", 3},
                {"bmh", 12}, {"amll", 1}, {"amlh", 2}, {"amhl", 4}, {"amhh", 8}};
            return known.at(prefix);
        };
        return a.value == b.value && parts(a.prefix) & parts(b.prefix);
    }

    // How much later than `before` this may be issued, where it comes behind it.
    static std::optional<int> distance(const Node& before, const Node& after) {
        std::optional<int> most;
        const auto need = [&](int cycles) { most = std::max(most.value_or(cycles), cycles); };
        for (const Use& a : before.uses)
            for (const Use& b : after.uses) {
                if (!overlap(a.of, b.of))
                    continue;
                if (a.write && b.first_read)
                    need(std::max(a.write - b.first_read + 1, 1));
                if (a.last_read && b.write)
                    need(a.last_read);
                if (a.write && b.write && !b.first_read && !a.last_read)
                    need(a.write);
            }
        if (before.effects.memory && after.effects.memory && !after.item->place.empty() &&
            before.item->place == after.item->place &&
            (before.effects.memory->stores || after.effects.memory->stores))
            need(std::max(before.effects.memory->last - after.effects.memory->first + 1, 1));
        return most;
    }

    bool reads_result_of(const Node& load, const Node& node) const {
        for (const Use& a : load.uses)
            for (const Use& b : node.uses)
                if (a.write && b.first_read && overlap(a.of, b.of))
                    return true;
        return false;
    }

    // Of what is placed.
    int earliest(size_t i) const {
        int cycle = 0;
        for (size_t j = 0; j < i; ++j)
            if (nodes_[j].cycle)
                if (const auto apart = distance(nodes_[j], nodes_[i]))
                    cycle = std::max(cycle, *nodes_[j].cycle + *apart);
        if (!nodes_[i].item->after.empty())
            for (const Node& node : nodes_)
                for (const Use& use : node.uses)
                    if (use.of.value == nodes_[i].item->after && use.write && node.cycle)
                        return std::max(cycle, *node.cycle);
        return cycle;
    }

    std::vector<std::string> claims(const Node& node, int cycle) const {
        std::vector<std::string> list;
        const auto add = [&](const std::string& what, int at) {
            list.push_back(what + " " + std::to_string(modulo(at, period_)));
        };
        const Slot slot = node.effects.entry->slot;
        add("slot " + std::to_string(static_cast<int>(slot)), cycle);
        for (const PortUse& use : node.effects.ports)
            for (int at = use.first; at <= use.last; ++at)
                add(std::string(use.port), cycle + at);
        return list;
    }
    bool fits(const Node& node, int cycle) const {
        return std::ranges::none_of(claims(node, cycle),
                                    [&](const auto& claim) { return taken_.contains(claim); });
    }
    void put(Node& node, int cycle) {
        node.cycle = cycle;
        for (std::string& claim : claims(node, cycle))
            taken_.insert(std::move(claim));
    }
    void take_back(Node& node) {
        for (const std::string& claim : claims(node, *node.cycle))
            taken_.erase(claim);
        node.cycle.reset();
    }

    void place_with_loads(size_t i) {
        std::vector<size_t> loads;
        for (size_t j = 0; j < i; ++j)
            if (nodes_[j].item->late && !nodes_[j].cycle && reads_result_of(nodes_[j], nodes_[i]))
                loads.push_back(j);
        for (int cycle = earliest(i), end = cycle + 3 * period_; cycle < end; ++cycle)
            if (fits(nodes_[i], cycle) && place_loads(loads, i, cycle)) {
                put(nodes_[i], cycle);
                return;
            }
        throw std::logic_error(nodes_[i].concrete.name + " finds no place");
    }

    bool place_loads(const std::vector<size_t>& loads, size_t reader, int cycle) {
        std::vector<size_t> placed;
        for (const size_t j : loads) {
            const int least = earliest(j), most = cycle - *distance(nodes_[j], nodes_[reader]);
            int at = most;
            while (at >= least && at > most - period_ && !fits(nodes_[j], at))
                --at;
            if (at < least || at <= most - period_) {
                for (const size_t other : placed)
                    take_back(nodes_[other]);
                return false;
            }
            put(nodes_[j], at);
            placed.push_back(j);
        }
        return true;
    }

    // Behind all that uses the pointer, and before the next iteration does.
    int place_step(size_t i) {
        const std::string& pointer = nodes_[i].item->pointer;
        const Units units = units_of(pointer);
        const int written = cycle_of(nodes_[i].effects.writes, units);
        std::optional<int> least, most;
        for (const Node& node : nodes_)
            if (node.cycle && node.effects.memory && node.effects.memory->pointer == pointer) {
                const int read = cycle_of(node.effects.reads, units);
                const int in_time = *node.cycle + period_ - std::max(written - read + 1, 1);
                least = std::max(least.value_or(0), *node.cycle + read);
                most = std::min(most.value_or(in_time), in_time);
            }
        if (!least)
            throw std::logic_error(pointer + " moves, but nobody uses it");
        for (int cycle = *least; cycle <= *most; ++cycle)
            if (fits(nodes_[i], cycle)) {
                put(nodes_[i], cycle);
                return cycle / period_;
            }
        throw std::logic_error(pointer + " is used for too long");
    }

    static int cycle_of(const std::vector<RegisterAccess>& accesses, const Units& units) {
        int cycle = 0;
        for (const RegisterAccess& access : accesses)
            if ((access.units & units).any())
                cycle = std::max<int>(cycle, access.cycle);
        return cycle;
    }

    // All that the value's instructions are about.
    Life life_of(const std::string& value) const {
        Life life{1 << 20, 0};
        for (const Node& node : nodes_)
            for (const Use& use : node.uses)
                if (use.of.value == value) {
                    life.first = std::min(life.first, *node.cycle);
                    life.last = std::max(life.last, *node.cycle + std::max(use.last_read, 1) - 1);
                }
        if (life.last - life.first >= period_)
            throw std::logic_error(value + " lives too long");
        return life;
    }

    std::map<std::string, int> registers(const Free& free) const {
        std::map<std::string, int> numbers = of_.pins_;
        for (const bool vectors : {true, false}) {
            std::vector<std::string> values;
            std::vector<Life> lives;
            for (const Node& node : nodes_)
                for (const Use& use : node.uses)
                    if (is_vector(use.of) == vectors &&
                        std::ranges::find(values, use.of.value) == values.end()) {
                        const Life life = life_of(use.of.value);
                        if (of_.pins_.contains(use.of.value))
                            continue;
                        values.push_back(use.of.value);
                        lives.push_back(life);
                    }
            const std::vector<int>& there = vectors ? free.vectors : free.accumulators;
            const std::vector<int> found = colour(lives, period_, static_cast<int>(there.size()));
            for (size_t i = 0; i < values.size(); ++i)
                numbers[values[i]] = there[static_cast<size_t>(found[i])];
        }
        return numbers;
    }

    const Pipeline& of_;
    const int period_;
    std::vector<Node> nodes_;
    std::set<std::string> taken_;
};

void Pipeline::add(Instruction instruction, std::string place) {
    items_.push_back({std::move(instruction), std::move(place), "", "", false});
}

void Pipeline::add_after(const std::string& value, Instruction instruction) {
    items_.push_back({std::move(instruction), "", value, "", false});
}

void Pipeline::add_late(Instruction load, std::string place) {
    items_.push_back({std::move(load), std::move(place), "", "", true});
}

void Pipeline::step(const std::string& pointer, Instruction instruction) {
    items_.push_back({std::move(instruction), "", "", pointer, false});
}

void Pipeline::pin(const std::string& value, int number) {
    pins_[value] = number;
}

Pipeline::Loop Pipeline::schedule(int period, const Free& free) const {
    return Scheduler(*this, period).run(free);
}

Pipeline::Loop Pipeline::shortest(int least, int most, const Free& free) const {
    for (int period = least;; ++period) {
        try {
            return schedule(period, free);
        } catch (const std::logic_error&) {
            if (period == most)
                throw;
        }
    }
}

} // namespace npuenc::aie2
