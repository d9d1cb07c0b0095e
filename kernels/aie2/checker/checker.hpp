// SPDX-License-Identifier: MIT
// The static checker: rejects what a core would get silently wrong. A core has no interlocks, so a
// program that is one bundle too short computes garbage and says nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/aie2/isa/instruction.hpp"

namespace npuenc::aie2 {

struct PlacedBundle {
    uint32_t address;
    uint32_t bytes; // 2 to 16
    Bundle bundle;
};

// The bundles of our own programs: 16 bytes each, from address 0 on.
std::vector<PlacedBundle> place(const std::vector<Bundle>& bundles);

struct Finding {
    std::string rule;
    uint32_t address; // of the bundle
    size_t bundle;
    std::string message;
};

std::string to_text(const Finding& finding);

// Locks that belong together: what is acquired from one is to be released to the other. Ids as the
// core sees them, 48 and more for its own tile's.
struct LockPair {
    std::string name;
    int acquired;
    int released;
};

// A buffer in data memory, by addresses as the core sees them. Pointers that were made from an
// address in a region are taken to stay in it.
struct Region {
    std::string name;
    uint32_t address;
    uint32_t bytes;
    bool core_only = false; // no DMA touches it, so that no lock protects it
    bool in_order = false;  // the kernel promises that accesses a few cycles apart never overlap
};

struct CheckOptions {
    uint32_t entry = 0;              // where the core starts
    std::vector<std::string> inputs; // registers that hold something then
    std::vector<LockPair> locks;     // none: the balance of locks is not checked
    std::vector<Region> regions;     // none: only accesses that surely overlap are reported
    // The program is a compiler's, which relies on more than ours do: results land in their cycle
    // and never before it, and the bypasses work. Halves of vectors may be garbage, and registers
    // are saved whatever is in them.
    bool compiled = false;
};

// Everything that is wrong, by address; nothing is thrown. An empty list is a program that may be
// shipped.
std::vector<Finding> check(std::span<const PlacedBundle> program, const CheckOptions& options = {});

// How many registers of a file hold values that are still wanted, at the fullest bundle.
struct RegisterPressure {
    size_t vectors = 0, accumulators = 0, scalars = 0, pointers = 0; // of 12, 9, 32 and 8
};

RegisterPressure register_pressure(std::span<const PlacedBundle> program,
                                   const CheckOptions& options = {});

} // namespace npuenc::aie2
