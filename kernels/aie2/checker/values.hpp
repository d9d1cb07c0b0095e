// SPDX-License-Identifier: MIT
// What is known of the numbers in scalar registers and pointers at each moment: a constant, its
// remainder by 32, and which declared regions an address was made from.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/aie2/checker/control_flow.hpp"

namespace npuenc::aie2 {

struct Value {
    std::optional<int64_t> constant;
    uint32_t modulus = 1; // a power of two up to 32: the number is `remainder` modulo it
    uint32_t remainder = 0;
    uint64_t regions = 0; // bit i: made from an address in region i
    bool anywhere = true; // made from something that we do not know

    static Value of(int64_t constant, std::span<const Region> regions);
    bool operator==(const Value&) const = default;
};

class Values {
  public:
    Values(const ControlFlow& flow, std::span<const CheckedBundle> program,
           std::span<const Region> regions);

    // Before the bundle of this moment is issued. An unknown Value for other registers than r, p,
    // m, dn, dj, dc, and SP.
    Value before(uint32_t moment, std::string_view register_name) const;
    Value of(uint32_t moment, const Operand& operand) const; // an immediate is its own value

  private:
    using State = std::vector<Value>; // by slot

    static std::optional<size_t> slot_of(std::string_view register_name);
    State after(const State& state, const CheckedBundle& bundle) const;
    void apply(const State& state, const Effects& effects, State& result) const;
    Value result_of(const State& state, const Effects& effects) const;
    Value of(const State& state, const Operand& operand) const;

    std::span<const Region> regions_;
    std::vector<State> before_; // by moment; empty where the core never comes
};

} // namespace npuenc::aie2
