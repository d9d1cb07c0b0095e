// SPDX-License-Identifier: MIT
// Locks count what is free or full, so a tile is a synchronous data flow graph: each channel's
// chain and each activity of the program takes and gives fixed amounts a round. If there are whole
// numbers of rounds after which every lock is where it was, and one such period can be completed
// once, it can be repeated for ever. Of activities of which one happens instead of another, each
// has to come out by itself.
#include "kernels/aie2/array/lock_balance.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

namespace npuenc::aie2 {
namespace {

struct Step {
    std::vector<LockChange> takes;
    std::vector<LockChange> gives;
};

struct Agent {
    std::string name;
    std::vector<Step> steps;

    int64_t net(int lock) const {
        int64_t sum = 0;
        for (const Step& step : steps) {
            for (const LockChange& use : step.gives)
                sum += use.lock == lock ? use.value : 0;
            for (const LockChange& use : step.takes)
                sum -= use.lock == lock ? use.value : 0;
        }
        return sum;
    }
    bool takes(int lock) const { return uses(lock, &Step::takes); }
    bool gives(int lock) const { return uses(lock, &Step::gives); }

  private:
    bool uses(int lock, std::vector<LockChange> Step::*which) const {
        for (const Step& step : steps) {
            for (const LockChange& use : step.*which) {
                if (use.lock == lock)
                    return true;
            }
        }
        return false;
    }
};

struct Fraction {
    int64_t above;
    int64_t below; // > 0

    static Fraction make(int64_t above, int64_t below) {
        const int64_t common = std::gcd(above, below) * (below < 0 ? -1 : 1);
        return {above / common, below / common};
    }
    Fraction operator+(Fraction other) const {
        return make(above * other.below + other.above * below, below * other.below);
    }
    Fraction operator*(int64_t factor) const { return make(above * factor, below); }
};

// With `alternative` in the place of the activity that it replaces, or without alternatives.
std::vector<Agent> agents_of(const Tile& tile, const Activity* alternative) {
    std::vector<Agent> agents;
    for (const Channel& channel : tile.channels) {
        Agent agent{name_of(channel.direction, channel.index), {}};
        for (int id : channel.chain) {
            for (const Descriptor& descriptor : tile.descriptors) {
                if (descriptor.id != id)
                    continue;
                Step step;
                if (descriptor.acquire)
                    step.takes.push_back(*descriptor.acquire);
                if (descriptor.release)
                    step.gives.push_back(*descriptor.release);
                agent.steps.push_back(std::move(step));
            }
        }
        agents.push_back(std::move(agent));
    }
    for (const CoreProgram& program : tile.programs) {
        for (const Activity& activity : program.activities) {
            const bool replaced =
                alternative != nullptr && activity.name == alternative->instead_of;
            if (activity.instead_of.empty() ? !replaced : &activity == alternative)
                agents.push_back(
                    {"program's " + activity.name, {{activity.takes, activity.gives}}});
        }
    }
    return agents;
}

class Balance {
  public:
    Balance(const Tile& tile, const Activity* alternative)
        : tile_(tile), agents_(agents_of(tile, alternative)), rates_(agents_.size()) {}

    std::vector<std::string> run() {
        find_one_sided();
        if (!faults_.empty())
            return faults_;
        for (size_t i = 0; i < agents_.size() && faults_.empty(); ++i) {
            if (!rates_[i]) {
                rates_[i] = Fraction{1, 1};
                spread();
            }
        }
        if (faults_.empty())
            run_one_period();
        return faults_;
    }

  private:
    void fault(const std::string& what) { faults_.push_back(name_of(tile_.id()) + ": " + what); }

    void find_one_sided() {
        for (const Lock& lock : tile_.locks) {
            bool taken = false;
            bool given = false;
            for (const Agent& agent : agents_) {
                taken = taken || agent.takes(lock.id);
                given = given || agent.gives(lock.id);
            }
            if (!taken && !given)
                fault("lock " + lock.name + " is not used");
            else if (!taken)
                fault("lock " + lock.name + " is released but never acquired");
            else if (!given)
                fault("lock " + lock.name + " is acquired but never released");
        }
    }

    // From the rates that are known to those that follow.
    void spread() {
        for (bool found = true; found && faults_.empty();) {
            found = false;
            for (const Lock& lock : tile_.locks)
                found = spread(lock) || found;
        }
    }

    bool spread(const Lock& lock) {
        Fraction sum{0, 1};
        std::optional<size_t> unknown;
        bool any_known = false;
        for (size_t i = 0; i < agents_.size(); ++i) {
            const int64_t net = agents_[i].net(lock.id);
            if (net == 0)
                continue;
            if (rates_[i]) {
                sum = sum + *rates_[i] * net;
                any_known = true;
            } else if (unknown) {
                return false; // two unknown rates: other locks may tell
            } else {
                unknown = i;
            }
        }
        if (!any_known)
            return false;
        if (!unknown) {
            if (sum.above != 0)
                fault("lock " + lock.name + " is not released as often as it is acquired");
            return false;
        }
        const Fraction rate =
            Fraction::make(-sum.above, sum.below * agents_[*unknown].net(lock.id));
        if (rate.above <= 0) {
            fault("lock " + lock.name + " is not released as often as it is acquired");
            return false;
        }
        rates_[*unknown] = rate;
        return true;
    }

    void run_one_period() {
        int64_t common = 1;
        for (const auto& rate : rates_)
            common = std::lcm(common, rate->below);

        std::map<int, int64_t> values;
        for (const Lock& lock : tile_.locks)
            values[lock.id] = lock.initial;
        std::vector<int64_t> left; // steps of the period
        std::vector<size_t> next(agents_.size(), 0);
        for (size_t i = 0; i < agents_.size(); ++i)
            left.push_back(static_cast<int64_t>(agents_[i].steps.size()) *
                           (*rates_[i] * common).above);

        for (bool moved = true; moved;) {
            moved = false;
            for (size_t i = 0; i < agents_.size(); ++i) {
                if (left[i] == 0)
                    continue;
                const Step& step = agents_[i].steps[next[i]];
                if (!can_take(step, values))
                    continue;
                for (const LockChange& use : step.takes)
                    values[use.lock] -= use.value;
                for (const LockChange& use : step.gives)
                    values[use.lock] += use.value;
                next[i] = (next[i] + 1) % agents_[i].steps.size();
                --left[i];
                moved = true;
            }
        }
        for (size_t i = 0; i < agents_.size(); ++i) {
            if (left[i] > 0)
                fault(agents_[i].name +
                      " waits for ever: " + missing(agents_[i].steps[next[i]], values));
        }
    }

    static bool can_take(const Step& step, const std::map<int, int64_t>& values) {
        for (const LockChange& use : step.takes) {
            const auto value = values.find(use.lock);
            if (value == values.end() || value->second < use.value)
                return false;
        }
        return true;
    }

    std::string missing(const Step& step, const std::map<int, int64_t>& values) const {
        for (const LockChange& use : step.takes) {
            for (const Lock& lock : tile_.locks) {
                if (lock.id == use.lock && values.at(use.lock) < use.value)
                    return "lock " + lock.name + " stays at " + std::to_string(values.at(use.lock));
            }
        }
        return "for nothing";
    }

    const Tile& tile_;
    std::vector<Agent> agents_;
    std::vector<std::optional<Fraction>> rates_; // rounds in a period, up to a common factor
    std::vector<std::string> faults_;
};

} // namespace

std::vector<std::string> find_lock_faults(const Tile& tile) {
    std::vector<std::string> faults = Balance(tile, nullptr).run();
    for (const CoreProgram& program : tile.programs) {
        for (const Activity& activity : program.activities) {
            if (activity.instead_of.empty())
                continue;
            for (std::string& fault : Balance(tile, &activity).run()) {
                if (std::find(faults.begin(), faults.end(), fault) == faults.end())
                    faults.push_back(std::move(fault));
            }
        }
    }
    return faults;
}

} // namespace npuenc::aie2
