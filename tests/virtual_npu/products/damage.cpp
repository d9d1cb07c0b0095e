// SPDX-License-Identifier: MIT
// An overlay that is damaged in one place must not give the right product: the simulator stops, or
// the numbers are wrong. What is damaged is what a hand may forget: locks, descriptors, routes,
// configuration words, instructions.
#include <cstdlib>
#include <functional>
#include <string>

#include "product.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc;
using npuenc::aie2::CdoCommand;

namespace {

constexpr uint32_t column_step = 1 << 25, row_step = 1 << 20;
constexpr uint32_t memory_tile = 1 * row_step, core_tile = 2 * row_step; // of column 0

struct Damage {
    const char* what;
    uint64_t address; // of a register that the overlay writes
    std::function<uint32_t(uint32_t)> change;
    // A tile of A goes to a row of cores at once, one of B to a column: while one of them does not
    // take it, none gets it. So some damage only shows when all of them have it.
    uint32_t step = 0, tiles = 1;
};

// Changes what the overlay writes to one register last, in whichever command it stands.
bool change(npusim::Overlay& overlay, uint64_t address,
            const std::function<uint32_t(uint32_t)>& to_what) {
    for (auto at = overlay.commands.rbegin(); at != overlay.commands.rend(); ++at) {
        CdoCommand& command = *at;
        if (command.kind == CdoCommand::Kind::write && command.address == address) {
            const uint32_t before = command.value;
            command.value = to_what(before);
            if (command.value != before)
                return true;
        }
        if (command.kind != CdoCommand::Kind::dma_write || address < command.address)
            continue;
        const size_t word = (address - command.address) / 4;
        if (word < command.words.size()) {
            const uint32_t before = command.words[word];
            command.words[word] = to_what(before);
            if (command.words[word] != before)
                return true;
        }
    }
    return false;
}

bool apply(npusim::Overlay& overlay, const Damage& damage) {
    for (uint32_t tile = 0; tile < damage.tiles; ++tile)
        if (!change(overlay, damage.address + tile * damage.step, damage.change))
            return false;
    return true;
}

std::function<uint32_t(uint32_t)> to(uint32_t value) {
    return [value](uint32_t) { return value; };
}

std::function<uint32_t(uint32_t)> without(uint32_t bits) {
    return [bits](uint32_t word) { return word & ~bits; };
}

// Registers: aie-rt, xaiemlgbl_params.h. Locks of the core tile: 0 A empty, 1 A full, 2 B empty, 3
// B full, 4 OUT empty; a descriptor's last word has its lock's release value at bit 18, its
// acquire enable at bit 12, use next at bit 26, valid at bit 25.
const Damage damages[] = {
    {"A's buffers start full", core_tile | 0x1f000, to(0)},
    {"B's buffers start full", core_tile | 0x1f020, to(0)},
    {"one buffer too many for A", core_tile | 0x1f000, to(3), column_step, 4},
    {"one buffer too many for B", core_tile | 0x1f020, to(3), row_step, 4},
    {"the output buffer starts taken", core_tile | 0x1f040, to(0)},
    {"A's first descriptor does not release", core_tile | 0x1d014, without(0x7fu << 18)},
    {"A's first descriptor does not acquire", core_tile | 0x1d014, without(1u << 12), column_step,
     4},
    {"A's first descriptor is the last", core_tile | 0x1d014, without(1u << 26)},
    {"A's second descriptor is not valid", core_tile | 0x1d034, without(1u << 25)},
    {"B's first descriptor does not release", core_tile | 0x1d054, without(0x7fu << 18)},
    {"the output's descriptor does not acquire", core_tile | 0x1d094, without(1u << 12)},
    {"the output's descriptor does not release", core_tile | 0x1d094, without(0x7fu << 18)},
    {"A's first tile is a word shorter", core_tile | 0x1d000, [](uint32_t w) { return w - 1; }},
    {"B's second tile is a word longer", core_tile | 0x1d060, [](uint32_t w) { return w + 1; }},
    {"A's first buffer lies a word further", core_tile | 0x1d000,
     [](uint32_t w) { return w + (1u << 14); }},
    {"A's descriptor in the memory tile does not release", memory_tile | 0xa001c,
     without(0x7fu << 24)},
    {"A's descriptors in the memory tile do not acquire", memory_tile | 0xa001c, without(1u << 15),
     0x20, 4},
};

// Whether a product, run twice, is right. What it stopped with goes to `why`. Outputs follow each
// other so fast that cores wait for the last one to leave, and inputs pile up behind them; with an
// odd number of tiles along K no buffer gets the same tile twice in a row.
bool gives_the_product(const npusim::Overlay& overlay, uint64_t jitter, std::string& why) {
    const Operands operands = make_operands(gemm_s8_s32, 512, 768, 192, Values::any, 17);
    static const std::vector<uint8_t> expected = plain_product(gemm_s8_s32, operands, 0);
    npusim::ArrayOptions options;
    options.jitter = jitter;
    options.core_rules = npusim::CoreRules::strict;
    options.cycle_limit = 1'000'000;
    npusim::Array array(options);
    try {
        array.load(overlay);
        for (int i = 0; i < 2; ++i)
            if (run_product(array, gemm_s8_s32, operands, 0) != expected) {
                why = "the product is wrong";
                return false;
            }
    } catch (const npusim::SimulationError& error) {
        why = error.what();
        return false;
    }
    return true;
}

void damage_is_noticed(void**) {
    std::string why;
    assert_true(gives_the_product(read_overlay("gemm_s8_s32"), 1, why));
    bool all_noticed = true;
    for (const Damage& damage : damages) {
        npusim::Overlay overlay = read_overlay("gemm_s8_s32");
        if (!apply(overlay, damage)) {
            print_error("%s: nothing to change at %#llx\n", damage.what,
                        static_cast<unsigned long long>(damage.address));
            fail();
        }
        bool noticed = false;
        for (uint64_t seed = 1; seed <= 3 && !noticed; ++seed)
            noticed = !gives_the_product(overlay, seed, why);
        std::printf("%s: %s\n", damage.what, noticed ? why.substr(0, why.find('\n')).c_str() : "-");
        all_noticed = all_noticed && noticed;
    }
    assert_true(all_noticed);
}

// Each word of the first core's program in turn, with one bit of each changed: a program that
// differs must stop, or hang, or compute something else, unless the bit is read by nobody.
void damaged_programs_do_not_crash(void**) {
    const npusim::Overlay whole = read_overlay("gemm_s8_s32");
    size_t harmless = 0, tried = 0;
    for (uint32_t word = 0; word < 2500; word += 61) {
        npusim::Overlay overlay = whole;
        const Damage damage{"a bit of the program", core_tile | (0x20000 + 4 * word),
                            [word](uint32_t bits) { return bits ^ 1u << word % 32; }};
        if (!apply(overlay, damage))
            continue;
        std::string why;
        ++tried;
        harmless += gives_the_product(overlay, 1, why);
    }
    std::printf("%zu of %zu damaged programs went unnoticed\n", harmless, tried);
    assert_true(tried >= 30);
    assert_true(harmless * 4 <= tried);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(damaged_programs_do_not_crash),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
