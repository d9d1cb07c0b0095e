// SPDX-License-Identifier: MIT
#include "kernels/aie2/program/colouring.hpp"

#include <algorithm>
#include <stdexcept>

namespace npuenc::aie2 {
namespace {

// Gives registers to lives one after the other from cycle `cut` of the period on, each the register
// that is free for the shortest time; and takes them back where the end of the period, at which
// the first lives are met again, leaves none.
class Colouring {
  public:
    Colouring(const std::vector<Life>& lives, int period, int n_registers, int cut)
        : period_(period), registers_(n_registers), result_(lives.size()) {
        for (size_t i = 0; i < lives.size(); ++i) {
            const int first = ((lives[i].first - cut) % period + period) % period;
            lives_.push_back({i, first, first + lives[i].last - lives[i].first});
        }
        std::ranges::sort(lives_, {}, &Placed::first);
    }

    bool found() { return found(0); }
    const std::vector<int>& result() const { return result_; }

  private:
    struct Placed {
        size_t index;
        int first, last;
    };
    struct Register {
        int first = never, last = never; // in use
    };
    static constexpr int never = -1;

    bool found(size_t n) {
        if (n == lives_.size())
            return true;
        if (++tried_ > patience)
            return false;
        const Placed& life = lives_[n];
        std::vector<size_t> free;
        bool fresh = false; // unused registers are all the same
        for (size_t i = 0; i < registers_.size(); ++i) {
            const Register& known = registers_[i];
            if (known.first == never ? !fresh
                                     : known.last < life.first && life.last < known.first + period_)
                free.push_back(i);
            fresh = fresh || known.first == never;
        }
        std::ranges::stable_sort(
            free, [&](size_t a, size_t b) { return registers_[a].last > registers_[b].last; });
        for (const size_t i : free) {
            const Register before = registers_[i];
            registers_[i] = {before.first == never ? life.first : before.first, life.last};
            result_[life.index] = static_cast<int>(i);
            if (found(n + 1))
                return true;
            registers_[i] = before;
        }
        return false;
    }

    static constexpr int patience = 1000; // there are other cuts
    int tried_ = 0;
    int period_;
    std::vector<Placed> lives_;
    std::vector<Register> registers_;
    std::vector<int> result_;
};

} // namespace

std::vector<int> colour(const std::vector<Life>& lives, int period, int n_registers) {
    for (int cut = 0; cut < period; ++cut) {
        Colouring colouring(lives, period, n_registers, cut);
        if (colouring.found())
            return colouring.result();
    }
    throw std::logic_error("too few registers");
}

} // namespace npuenc::aie2
