// SPDX-License-Identifier: MIT
// Rules
//   lock.early_release  Memory that a lock protects is touched at the latest two cycles after the
//                       release was issued: a load or store is far enough before the REL.
//   lock.late_acquire   ... and far enough behind the ACQ.
//                       (llvm-aie, AIE2Schedule.td and its LockDelays: the core stalls in cycle 2
//                       of a lock operation and resumes in cycle 8; schedule/acqrel-load-store.mir)
//   lock.balance        Whatever way the core takes, what it acquires of a pair of locks it
//   releases
//                       as often: a bundle is always reached with the same number of buffers in
//                       hand, never with fewer than none, and with none at the end. Two branches on
//                       one register that was not written between them go the same way.
//   lock.unknown        Lock and count are constants, and the lock is one that was declared.
// Accesses to the stack and to regions that only the core touches are not protected by locks.
#include <algorithm>
#include <array>
#include <deque>
#include <map>

#include "kernels/aie2/checker/rules.hpp"

namespace npuenc::aie2 {
namespace {

constexpr int stalls_in = 2;
constexpr int resumes_in = 8;

bool is_protected(const RuleContext& context, uint32_t moment, const MemoryAccess& access) {
    if (access.pointer == "SP")
        return false;
    const Value pointer =
        access.pointer.empty() ? Value{} : context.values.before(moment, access.pointer);
    if (pointer.anywhere || pointer.regions == 0)
        return true;
    for (size_t i = 0; i < context.options.regions.size() && i < 64; ++i)
        if ((pointer.regions >> i & 1) != 0 && !context.options.regions[i].core_only)
            return true;
    return false;
}

// How many of each pair the core has in hand.
using Balance = std::vector<int>;

// What is known of the registers that branches look at: zero, or not zero.
struct Facts {
    uint32_t zero = 0, not_zero = 0; // bit i: ri
    auto operator<=>(const Facts&) const = default;
};

class BalanceCheck {
  public:
    explicit BalanceCheck(const RuleContext& context) : context_(context) {
        for (const CheckedBundle& bundle : context.program)
            if (const BranchUse* branch = bundle.branch(); branch && !branch->condition.empty())
                watched_ |= bit_of(branch->condition);
    }

    void run() {
        if (context_.flow.moments().empty())
            return;
        reach(0, {}, Balance(context_.options.locks.size()));
        while (!todo_.empty()) {
            const Key key = todo_.front();
            todo_.pop_front();
            go_on(key);
        }
    }

  private:
    using Key = std::pair<uint32_t, Facts>;

    static uint32_t bit_of(std::string_view register_name) {
        const NumberedRegister reg = numbered(register_name);
        return reg.file == "r" ? uint32_t{1} << reg.number : 0;
    }

    void reach(uint32_t moment, const Facts& facts, const Balance& balance) {
        const auto [known, is_new] = reached_.emplace(Key{moment, facts}, balance);
        if (is_new) {
            todo_.push_back({moment, facts});
            return;
        }
        for (size_t i = 0; i < balance.size(); ++i)
            if (known->second[i] != balance[i])
                report(moment, "reached with " + std::to_string(known->second[i]) + " and with " +
                                   std::to_string(balance[i]) + " buffers of '" +
                                   context_.options.locks[i].name +
                                   "' in hand: some way does not release what it acquires");
    }

    void report(uint32_t moment, std::string message) {
        context_.findings.add("lock.balance", context_.flow.moments()[moment].bundle,
                              std::move(message));
    }

    void go_on(const Key& key) {
        const auto [moment, facts] = key;
        Balance balance = reached_.at(key);
        for (const Effects& effects : context_.bundle_of(moment).instructions)
            if (effects.lock)
                take(moment, *effects.lock, balance);
        const auto next = context_.flow.next(moment);
        if (next.empty())
            for (size_t i = 0; i < balance.size(); ++i)
                if (balance[i] != 0)
                    report(moment, "the program ends with " + std::to_string(balance[i]) +
                                       " buffers of '" + context_.options.locks[i].name +
                                       "' in hand");
        for (const uint32_t to : next)
            if (const auto after = facts_after(moment, facts, to))
                reach(to, *after, balance);
    }

    void take(uint32_t moment, const LockUse& lock, Balance& balance) {
        const auto id = context_.values.of(moment, lock.id).constant;
        const auto count = context_.values.of(moment, lock.count).constant;
        const size_t bundle = context_.flow.moments()[moment].bundle;
        if (!id || !count || lock.conditional) {
            context_.findings.add(
                "lock.unknown", bundle,
                "a lock operation whose lock, count or condition is not a constant");
            return;
        }
        const auto pair =
            std::ranges::find_if(context_.options.locks, [&](const LockPair& declared) {
                return (lock.acquires ? declared.acquired : declared.released) == *id;
            });
        if (pair == context_.options.locks.end()) {
            context_.findings.add("lock.unknown", bundle,
                                  "lock " + std::to_string(*id) + " is not declared as one to " +
                                      (lock.acquires ? "acquire" : "release"));
            return;
        }
        int& in_hand = balance[static_cast<size_t>(pair - context_.options.locks.begin())];
        if (lock.acquires ? *count >= 0 : *count <= 0)
            context_.findings.add("lock.unknown", bundle,
                                  lock.acquires ? "an acquire that does not wait for a number (its "
                                                  "count is not negative)"
                                                : "a release of nothing");
        in_hand -= static_cast<int>(*count);
        if (in_hand < 0) {
            report(moment, "a release of '" + pair->name + "' that was not acquired");
            in_hand = 0;
        }
    }

    // Nothing where the core cannot go from `moment` to `to` with these facts.
    std::optional<Facts> facts_after(uint32_t moment, Facts facts, uint32_t to) const {
        const Moment& here = context_.flow.moments()[moment];
        uint32_t written = 0;
        for (const Effects& effects : context_.bundle_of(moment).instructions)
            written |= written_by(effects);
        facts.zero &= ~written;
        facts.not_zero &= ~written;
        add_constants(moment, facts);
        if (here.branch < 0 || here.slots_left != 1)
            return facts;
        const auto origin = static_cast<size_t>(here.branch);
        const BranchUse& branch = *context_.program[origin].branch();
        const uint32_t bit = bit_of(branch.condition);
        if (bit == 0 || rewritten_since(origin, here.bundle, bit) || !branch.target)
            return facts;
        const CheckedBundle& last = context_.program[here.bundle];
        const uint32_t behind = last.address + last.bytes;
        if (*branch.target == behind)
            return facts; // both ways lead there
        const bool taken = context_.bundle_of(to).address != behind;
        const bool zero = taken == branch.if_zero;
        if (((zero ? facts.not_zero : facts.zero) & bit) != 0)
            return std::nullopt;
        (zero ? facts.zero : facts.not_zero) |= bit;
        return facts;
    }

    uint32_t written_by(const Effects& effects) const {
        uint32_t bits = 0;
        for (int i = 0; i < 32; ++i)
            if ((watched_ >> i & 1) != 0 && effects.writes_register("r" + std::to_string(i)))
                bits |= uint32_t{1} << i;
        return bits;
    }

    void add_constants(uint32_t moment, Facts& facts) const {
        for (const Effects& effects : context_.bundle_of(moment).instructions) {
            const std::vector<Operand>& operands = effects.instruction->operands;
            if (operands.size() != 2 || operands[1].is_register() || effects.entry->n_results != 1)
                continue;
            const uint32_t bit = bit_of(operands[0].name) & watched_;
            (operands[1].value == 0 ? facts.zero : facts.not_zero) |= bit;
        }
    }

    bool rewritten_since(size_t branch, size_t last_slot, uint32_t bit) const {
        for (size_t i = branch; i <= last_slot; ++i)
            for (const Effects& effects : context_.program[i].instructions)
                if ((written_by(effects) & bit) != 0)
                    return true;
        return false;
    }

    const RuleContext& context_;
    uint32_t watched_ = 0;
    std::map<Key, Balance> reached_;
    std::deque<Key> todo_;
};

} // namespace

void check_lock_distances(const RuleContext& context) {
    const auto reach = [](const Effects& effects) {
        if (effects.lock && effects.lock->acquires)
            return resumes_in;
        return effects.memory ? effects.memory->last - stalls_in : -1;
    };
    for_each_pair(context, reach, [&](const Pair& pair) {
        if (pair.earlier.memory && pair.later.lock && !pair.later.lock->acquires) {
            const int needed = pair.earlier.memory->last - stalls_in + 1;
            if (pair.distance < needed &&
                is_protected(context, pair.earlier_moment, *pair.earlier.memory))
                context.findings.add("lock.early_release", pair.later_bundle(context),
                                     "released too early after " + before_text(context, pair) +
                                         " where " + std::to_string(needed) + " are needed");
        }
        if (pair.earlier.lock && pair.earlier.lock->acquires && pair.later.memory) {
            const int needed = resumes_in - pair.later.memory->first + 1;
            if (pair.distance < needed &&
                is_protected(context, pair.later_moment, *pair.later.memory))
                context.findings.add("lock.late_acquire", pair.later_bundle(context),
                                     pair.later.name() + " may come before " +
                                         before_text(context, pair) + " where " +
                                         std::to_string(needed) + " are needed");
        }
    });
}

void check_lock_balance(const RuleContext& context) {
    if (!context.options.locks.empty())
        BalanceCheck(context).run();
}

} // namespace npuenc::aie2
