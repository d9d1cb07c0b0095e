// SPDX-License-Identifier: MIT
// List scheduling. Results are taken to land at any time from their issue to their cycle, because
// nothing says that a core never delivers early: so what writes a register is issued in a later
// cycle than the last in which the old value is read, and than that in which it landed.
#include "kernels/aie2/program/scheduler.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string_view>

#include "kernels/aie2/checker/effects.hpp"
#include "kernels/aie2/isa/assembler.hpp"

namespace npuenc::aie2 {
namespace {

constexpr int lock_stalls = 2;  // the cycle in which a lock operation waits
constexpr int lock_resumes = 8; // the cycle in which the core goes on
constexpr int delay_slots = 5;
constexpr int first_memory_cycle = 5; // no instruction touches memory earlier

// Registers that only collect what happened. Nobody reads them between two instructions that add to
// them.
bool is_status(const Units& units) {
    return unit_names(units).starts_with("sr");
}

struct Node {
    std::vector<Effects> choices;
    Place place;
    struct Edge {
        size_t to;
        int distance;
    };
    std::vector<Edge> edges;
    int waits_for = 0;
    int earliest = 0;
    int height = 0; // cycles from here to the end along the longest way

    // The latest cycle of a write, and the earliest of a read, among the choices.
    int write_cycle(const Units& units) const {
        int cycle = 0;
        for (const Effects& effects : choices)
            for (const RegisterAccess& write : effects.writes)
                if ((write.units & units).any())
                    cycle = std::max<int>(cycle, write.cycle);
        return cycle;
    }
    int first_read(const Units& units) const {
        int cycle = 0;
        for (const Effects& effects : choices)
            for (const RegisterAccess& read : effects.reads)
                if ((read.units & units).any())
                    cycle = cycle == 0 ? read.cycle : std::min<int>(cycle, read.cycle);
        return cycle;
    }
    int last_read(const Units& units) const {
        int cycle = 0;
        for (const Effects& effects : choices)
            for (const RegisterAccess& read : effects.reads)
                if ((read.units & units).any())
                    cycle = std::max<int>(cycle, read.cycle);
        return cycle;
    }
    const std::optional<MemoryAccess>& memory() const { return choices[0].memory; }
    const std::optional<LockUse>& lock() const { return choices[0].lock; }
};

Effects effects_or_error(const Instruction& instruction) {
    entry_of(instruction);
    encode(instruction);
    std::optional<Effects> effects = effects_of(instruction);
    if (!effects)
        throw AssemblyError(instruction.name + " cannot be scheduled with these operands");
    if (effects->branch)
        throw AssemblyError(instruction.name + " ends a block and cannot be inside one");
    return *effects;
}

bool may_overlap(const Place& a, const Place& b) {
    return a.name.empty() || b.name.empty() || a.name == b.name;
}

// How far apart two memory or lock operations must be; nothing where they are independent.
std::optional<int> memory_distance(const Node& before, const Node& after) {
    if (before.lock() && after.lock())
        return 1;
    if (before.lock() && after.memory())
        return lock_resumes - after.memory()->first + 1;
    if (before.memory() && after.lock())
        return before.memory()->last - lock_stalls + 1;
    if (!before.memory() || !after.memory() || !may_overlap(before.place, after.place) ||
        (!before.memory()->stores && !after.memory()->stores))
        return {};
    return before.memory()->last - after.memory()->first + 1;
}

class Graph {
  public:
    void add(Node node) {
        nodes_.push_back(std::move(node));
        const size_t j = nodes_.size() - 1;
        std::set<size_t> seen;
        for (const Effects& effects : nodes_[j].choices) {
            for (const RegisterAccess& read : effects.reads)
                after_writers(j, read.units);
            for (const RegisterAccess& write : effects.writes)
                after_users(j, write.units);
        }
        for (size_t i : memory_users_)
            if (const auto distance = memory_distance(nodes_[i], nodes_[j]))
                connect(i, j, std::max(*distance, 0));
        if (nodes_[j].memory() || nodes_[j].lock())
            memory_users_.push_back(j);
        remember(j);
    }

    std::vector<Node> take() {
        for (Node& node : nodes_)
            for (const Node::Edge& edge : node.edges)
                ++nodes_[edge.to].waits_for;
        for (size_t i = nodes_.size(); i-- > 0;)
            for (const Node::Edge& edge : nodes_[i].edges)
                nodes_[i].height =
                    std::max(nodes_[i].height, edge.distance + nodes_[edge.to].height);
        return std::move(nodes_);
    }

  private:
    struct Users {
        std::optional<size_t> writer;
        std::vector<size_t> readers; // since then
    };

    static std::vector<size_t> bits(const Units& units) {
        std::vector<size_t> list;
        for (size_t unit = 0; unit < units.size(); ++unit)
            if (units.test(unit))
                list.push_back(unit);
        return list;
    }

    void connect(size_t i, size_t j, int distance) {
        if (i != j)
            nodes_[i].edges.push_back({j, distance});
    }

    void after_writers(size_t j, const Units& units) {
        for (size_t unit : bits(units))
            if (const auto writer = users_[unit].writer) {
                Units one;
                one.set(unit);
                // What is issued together takes what was there before.
                connect(
                    *writer, j,
                    std::max(nodes_[*writer].write_cycle(one) - nodes_[j].first_read(one) + 1, 1));
            }
    }

    void after_users(size_t j, const Units& units) {
        const bool status = is_status(units);
        for (size_t unit : bits(units)) {
            Units one;
            one.set(unit);
            for (size_t reader : users_[unit].readers)
                connect(reader, j, nodes_[reader].last_read(one));
            // An instruction that reads what it overwrites lands after what it has read.
            const auto writer = users_[unit].writer;
            if (writer && !status && nodes_[j].first_read(one) == 0)
                connect(*writer, j, nodes_[*writer].write_cycle(one));
        }
    }

    void remember(size_t j) {
        for (const Effects& effects : nodes_[j].choices)
            for (const RegisterAccess& write : effects.writes)
                for (size_t unit : bits(write.units)) {
                    users_[unit].writer = j;
                    users_[unit].readers.clear();
                }
        for (const Effects& effects : nodes_[j].choices)
            for (const RegisterAccess& read : effects.reads)
                for (size_t unit : bits(read.units))
                    if (users_[unit].writer != j)
                        users_[unit].readers.push_back(j);
    }

    std::vector<Node> nodes_;
    std::vector<size_t> memory_users_;
    std::map<size_t, Users> users_;
};

// Bundles and the ports that are taken, cycle by cycle.
class Table {
  public:
    bool fits(const Effects& effects, const Place& place, int cycle) const {
        const Slot slot = effects.entry->slot;
        if (taken(slot, cycle) ||
            (slot == Slot::lng && (taken(Slot::alu, cycle) || taken(Slot::mv, cycle))) ||
            ((slot == Slot::alu || slot == Slot::mv) && taken(Slot::lng, cycle)))
            return false;
        return std::ranges::none_of(uses(effects, place, cycle),
                                    [&](const auto& use) { return ports_.contains(use); });
    }

    void put(const Effects& effects, const Place& place, int cycle) {
        if (bundles_.size() <= static_cast<size_t>(cycle))
            bundles_.resize(cycle + 1);
        bundles_[cycle][effects.entry->slot] = *effects.instruction;
        for (auto& use : uses(effects, place, cycle))
            ports_.insert(std::move(use));
        length_ = std::max(length_, cycle + busy_cycles(effects));
    }

    std::vector<Bundle> take() {
        bundles_.resize(length_);
        return std::move(bundles_);
    }

  private:
    using PortInCycle = std::pair<std::string, int>;

    bool taken(Slot slot, int cycle) const {
        return static_cast<size_t>(cycle) < bundles_.size() && !bundles_[cycle][slot].name.empty();
    }

    static std::vector<PortInCycle> uses(const Effects& effects, const Place& place, int cycle) {
        std::vector<PortInCycle> list;
        for (const PortUse& use : effects.ports)
            for (int at = use.first; at <= use.last; ++at)
                list.emplace_back(use.port, cycle + at);
        if (effects.memory && !place.bank.empty())
            for (int at : {effects.memory->first, effects.memory->last})
                list.emplace_back("bank " + place.bank, cycle + at);
        return list;
    }

    static int busy_cycles(const Effects& effects) {
        int last = 1;
        for (const RegisterAccess& write : effects.writes)
            last = std::max<int>(last, write.cycle);
        for (const RegisterAccess& read : effects.reads)
            last = std::max<int>(last, read.cycle);
        for (const PortUse& use : effects.ports)
            last = std::max<int>(last, use.last);
        if (effects.memory)
            last = std::max<int>(last, effects.memory->last - first_memory_cycle + 1);
        if (effects.lock)
            last = std::max(last, lock_resumes - first_memory_cycle + 1);
        return last;
    }

    std::vector<Bundle> bundles_;
    std::set<PortInCycle> ports_;
    int length_ = 0;
};

std::vector<Bundle> pack(std::vector<Node> nodes) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < nodes.size(); ++i)
        if (nodes[i].waits_for == 0)
            ready.push_back(i);
    Table table;
    size_t placed = 0;
    for (int cycle = 0; placed < nodes.size(); ++cycle) {
        // What becomes ready in this very cycle may still join it.
        for (bool joined = true; joined;) {
            joined = false;
            std::ranges::sort(ready, [&](size_t a, size_t b) {
                return nodes[a].height != nodes[b].height ? nodes[a].height > nodes[b].height
                                                          : a < b;
            });
            for (size_t k = 0; k < ready.size();) {
                Node& node = nodes[ready[k]];
                const auto fitting = std::ranges::find_if(node.choices, [&](const Effects& choice) {
                    return node.earliest <= cycle && table.fits(choice, node.place, cycle);
                });
                if (fitting == node.choices.end()) {
                    ++k;
                    continue;
                }
                table.put(*fitting, node.place, cycle);
                ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(k));
                ++placed;
                joined = true;
                for (const Node::Edge& edge : node.edges) {
                    Node& next = nodes[edge.to];
                    next.earliest = std::max(next.earliest, cycle + edge.distance);
                    if (--next.waits_for == 0)
                        ready.push_back(edge.to);
                }
            }
        }
    }
    return table.take();
}

bool writes(std::span<const Bundle> bundles, std::string_view register_name) {
    for (const Bundle& bundle : bundles)
        for (const Instruction& instruction : bundle.slots)
            if (!instruction.name.empty() &&
                effects_or_error(instruction).writes_register(register_name))
                return true;
    return false;
}

} // namespace

void Block::add(Instruction instruction, Place place) {
    add(std::vector<Instruction>{std::move(instruction)}, std::move(place));
}

void Block::add(std::vector<Instruction> choices, Place place) {
    items_.push_back({std::move(choices), std::move(place)});
}

std::vector<Bundle> Block::schedule() const {
    Graph graph;
    for (const Item& item : items_) {
        Node node;
        for (const Instruction& instruction : item.choices)
            node.choices.push_back(effects_or_error(instruction));
        node.place = item.place;
        graph.add(std::move(node));
    }
    return pack(graph.take());
}

void Block::emit(Program& program, std::optional<Branch> branch) const {
    std::vector<Bundle> bundles = schedule();
    const auto instructions_of = [](const Bundle& bundle) {
        std::vector<Instruction> list;
        for (const Instruction& instruction : bundle.slots)
            if (!instruction.name.empty())
                list.push_back(instruction);
        return list;
    };
    size_t at = bundles.size(); // the branch's bundle
    if (branch) {
        const auto has_room = [](const Bundle& bundle) {
            return bundle[Slot::alu].name.empty() && bundle[Slot::mv].name.empty() &&
                   bundle[Slot::lng].name.empty();
        };
        while (bundles.size() <= delay_slots ||
               !has_room(bundles[bundles.size() - 1 - delay_slots]) ||
               writes(std::span(bundles).last(delay_slots + 1), branch->unless_zero))
            bundles.emplace_back();
        at = bundles.size() - 1 - delay_slots;
    }
    for (size_t i = 0; i < bundles.size(); ++i) {
        std::vector<Instruction> list = instructions_of(bundles[i]);
        if (i != at) {
            program.emit(std::move(list));
            continue;
        }
        Instruction jump = branch->unless_zero.empty() ? Instruction{"J_jump_imm", {}}
                                                       : Instruction{"JNZ", {branch->unless_zero}};
        list.insert(list.begin(), std::move(jump));
        program.emit_to(branch->target, std::move(list));
    }
}

} // namespace npuenc::aie2
