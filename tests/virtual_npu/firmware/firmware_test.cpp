// SPDX-License-Identifier: MIT
// Functional mode against the simulated array: the same bytes in all buffers, and streams that are
// damaged end in the same way.
//
//     firmware_test [GROUP...]: products, one_core, damage, arithmetic, figures; all by default
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>

#include <time.h>

#include "cpu/cpu_device.hpp"
#include "kernels/aie2/attention_s8_64x64.hpp"
#include "kernels/aie2/container/xclbin.hpp"
#include "kernels/aie2/gelu_tile.hpp"
#include "kernels/aie2/matmul_s8_16x16.hpp"
#include "npu/gemm_packing.hpp"
#include "npu/gemm_stream.hpp"
#include "npu/shim_descriptor.hpp"
#include "tests/virtual_npu/firmware/firmware.hpp"
#include "tests/virtual_npu/firmware/gemm_arithmetic.hpp"
#include "tests/virtual_npu/products/bf16_model.hpp"
#include "tests/virtual_npu/products/gelu_model.hpp"
#include "tests/virtual_npu/products/product.hpp"
#include "tools/npusim/instruction_stream.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc;
using virtual_npu::Firmware;
using virtual_npu::Mode;

namespace {

std::vector<uint8_t> read_pdi(const std::string& overlay) {
    const char* directory = std::getenv("NPUENC_OVERLAYS");
    return aie2::parse_xclbin(
               read_file(std::string(directory ? directory : ".") + "/" + overlay + ".xclbin"))
        .images.at(0)
        .pdi;
}

// A command before it is run: the instruction stream, and what is in its buffers.
struct Command {
    std::vector<uint32_t> stream;
    std::vector<std::vector<uint8_t>> buffers;
};

enum class End { done, hang, fault };
const char* name_of(End end) {
    return end == End::done ? "done" : end == End::hang ? "hang" : "fault";
}

struct Outcome {
    End end;
    std::string why;
    std::vector<std::vector<uint8_t>> buffers;
    virtual_npu::Work work;
};

Outcome run(Firmware& firmware, const Command& command, bool stopped = false) {
    Outcome outcome{End::done, "", command.buffers, {}};
    std::vector<virtual_npu::Argument> arguments;
    for (size_t i = 0; i < outcome.buffers.size(); ++i)
        // As addresses of a process look; nothing runs from one buffer into the next.
        arguments.push_back(
            {outcome.buffers[i].empty() ? 0 : 0x7f0000001000 + (i << 32), outcome.buffers[i]});
    const std::atomic<bool> stop = stopped;
    const auto* bytes = reinterpret_cast<const uint8_t*>(command.stream.data());
    try {
        outcome.work = firmware.run({bytes, command.stream.size() * 4}, arguments, stop);
    } catch (const virtual_npu::Hang& hang) {
        outcome.end = End::hang;
        outcome.why = hang.what();
    } catch (const virtual_npu::Fault& fault) {
        outcome.end = End::fault;
        outcome.why = fault.what();
    }
    return outcome;
}

// Both modes, given the same.
struct Both {
    std::unique_ptr<Firmware> simulated = virtual_npu::make_firmware(Mode::simulated);
    std::unique_ptr<Firmware> functional = virtual_npu::make_firmware(Mode::functional);

    void load(const std::string& overlay) {
        const std::vector<uint8_t> pdi = read_pdi(overlay);
        simulated->load(pdi);
        functional->load(pdi);
    }

    // What both did, the same.
    Outcome run(const Command& command, const char* what) {
        const Outcome exact = ::run(*simulated, command), fast = ::run(*functional, command);
        if (exact.end != fast.end) {
            print_error("%s: simulated %s %s, functional %s %s\n", what, name_of(exact.end),
                        exact.why.c_str(), name_of(fast.end), fast.why.c_str());
            fail_msg("the modes differ");
        }
        if (exact.end == End::done) {
            if (exact.buffers != fast.buffers) {
                print_error("%s\n", what);
                fail_msg("the results differ");
            }
            assert_int_equal(exact.work.pushes, fast.work.pushes);
            assert_int_equal(exact.work.operations, fast.work.operations);
            assert_int_equal(fast.work.cycles, 0);
        }
        return fast;
    }
};

Command product_command(const GemmTiling& tiling, const Operands& operands, unsigned shift) {
    Serial thread;
    const InstructionStream stream = gemm_stream(tiling);
    Command command{{stream.words().begin(), stream.words().end()},
                    {std::vector<uint8_t>(tiling.a_bytes()), std::vector<uint8_t>(tiling.b_bytes()),
                     std::vector<uint8_t>(tiling.c_bytes(), 0xa5)}};
    pack_a(tiling, operands.a.data(), operands.k, command.buffers[0].data(), thread);
    pack_b(tiling, operands.b.data(), operands.n, BLayout::k_by_n, shift, command.buffers[1].data(),
           thread);
    return command;
}

std::vector<uint8_t> unpacked(const GemmTiling& tiling, const std::vector<uint8_t>& c) {
    Serial thread;
    const size_t element = result_bytes(tiling.overlay());
    std::vector<uint8_t> result(tiling.m() * tiling.n() * element);
    unpack_c(select_kernels(nullptr).unpack, tiling, c.data(), result.data(), tiling.n(), thread);
    return result;
}

void check_product(Both& both, const GemmOverlay& overlay, size_t m, size_t n, size_t k,
                   Values values, unsigned shift) {
    shift = shifts(overlay) ? shift : 0;
    const GemmTiling tiling(overlay, m, n, k);
    const Operands operands = make_operands(overlay, m, n, k, values, 7);
    const std::string what = title_of(overlay) + " " + std::to_string(m) + " x " +
                             std::to_string(n) + " x " + std::to_string(k);
    const Outcome outcome = both.run(product_command(tiling, operands, shift), what.c_str());
    assert_int_equal(outcome.end, End::done);
    assert_true(unpacked(tiling, outcome.buffers[2]) == plain_product(overlay, operands, shift));
}

Command gelu_command(const GemmTiling& tiling, const GeluOperands& operands) {
    const InstructionStream stream = gemm_stream(tiling);
    Packed inputs = packed(tiling, operands);
    return {
        {stream.words().begin(), stream.words().end()},
        {std::move(inputs.a), std::move(inputs.b), std::vector<uint8_t>(tiling.c_bytes(), 0xa5)}};
}

void check_gelu(Both& both, size_t m, size_t n, size_t k) {
    const GemmTiling tiling(gemm_bf16_gelu, m, n, k);
    const GeluOperands operands = make_gelu_operands(m, n, k, 7);
    const std::string what = title_of(gemm_bf16_gelu) + " " + std::to_string(m) + " x " +
                             std::to_string(n) + " x " + std::to_string(k);
    const Outcome outcome = both.run(gelu_command(tiling, operands), what.c_str());
    assert_int_equal(outcome.end, End::done);
    assert_true(unpacked_gelu(tiling, outcome.buffers[2]) == plain_gelu(operands));
}

// One tile of K and many, odd sizes, groups both ways: strips of A replayed, and of B.
constexpr size_t shapes[][3] = {{1, 1, 1},       {64, 64, 64},   {65, 63, 65},  {3, 257, 130},
                                {255, 511, 129}, {513, 257, 31}, {70, 300, 515}};

void products_are_the_same(void**) {
    for (const GemmOverlay* overlay : gemm_overlays) {
        Both both;
        both.load(overlay->name);
        unsigned shift = 0;
        for (const auto& [m, n, k] : shapes) // without a load between them
            check_product(both, *overlay, m, n, k, Values::any, shift += 3);
        check_product(both, *overlay, 64, 64, 300, Values::largest, 31);
    }
}

void gelu_is_the_same(void**) {
    Both both;
    both.load(gemm_bf16_gelu.name);
    for (const auto& [m, n, k] : shapes) // without a load between them
        check_gelu(both, m, n, k);
}

// In odd numbers of results, so that those of f32 begin in either half of the core's OUT.
void forms_of_results_take_turns(void**) {
    Both both;
    both.load(gemm_bf16_f32.name);
    for (const size_t k : {20, 100})
        for (const size_t groups : {1, 3, 2})
            for (const GemmOverlay* overlay : {&gemm_bf16_s16, &gemm_bf16_f32})
                check_product(both, *overlay, 70, groups * output_group, k, Values::any, 0);
}

void gelu_takes_turns(void**) {
    Both both;
    both.load(gemm_bf16_gelu.name);
    for (const size_t k : {20, 100})
        for (const size_t groups : {1, 3, 2})
            for (const GemmOverlay* overlay : {&gemm_bf16_f32, &gemm_bf16_s16}) {
                check_gelu(both, 70, groups * output_group - 9, k);
                check_product(both, *overlay, 70, groups * output_group, k, Values::any, 0);
            }
}

void overlays_take_turns(void**) {
    Both both;
    for (int i = 0; i < 2; ++i)
        for (const GemmOverlay* overlay : gemm_overlays) {
            both.load(overlay->name);
            check_product(both, *overlay, 40, 40, 100, Values::any, 8);
            check_product(both, *overlay, 40, 40, 100, Values::any, 8);
        }
}

std::vector<uint8_t> random_bytes(size_t n, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(0, 32);
    std::vector<uint8_t> bytes(n);
    for (uint8_t& byte : bytes)
        byte = static_cast<uint8_t>(
            static_cast<int8_t>(std::clamp(std::nearbyint(normal(random)), -128.0, 127.0)));
    return bytes;
}

// The stream of `count` messages behind writes of parameters into the core's data memory.
Command one_core_command(const OneToOneOverlay& overlay, size_t count, uint32_t address,
                         std::span<const uint8_t> parameters, uint32_t seed) {
    constexpr uint32_t core_row = 2;
    InstructionStream head;
    for (size_t i = 0; i < parameters.size(); i += 4) {
        uint32_t word = 0;
        std::memcpy(&word, &parameters[i], sizeof word);
        head.write(tile_address(0, core_row, address + static_cast<uint32_t>(i)), word);
    }
    const InstructionStream tail = one_to_one_stream(overlay, count);
    Command command{{head.words().begin(), head.words().end()},
                    {random_bytes(count * overlay.input_bytes, seed),
                     std::vector<uint8_t>(count * overlay.output_bytes, 0xa5)}};
    const auto operations = tail.words().subspan(InstructionStream::header_words);
    command.stream.insert(command.stream.end(), operations.begin(), operations.end());
    command.stream[2] += tail.words()[2];
    command.stream[3] = static_cast<uint32_t>(command.stream.size() * 4);
    return command;
}

void one_core_is_the_same(void**) {
    Both both;
    both.load("attention_s8_64x64");
    const auto attention = [&](size_t count, std::span<const uint8_t> parameters) {
        return both.run(one_core_command(attention_s8_64x64, count,
                                         aie2::AttentionS8::parameters_address, parameters, 3),
                        "attention");
    };
    const Outcome first = attention(3, {});
    assert_int_equal(first.end, End::done);
    const std::vector<uint8_t> parameters = aie2::attention_parameters(1e-3, 15).bytes();
    const Outcome other = attention(3, parameters);
    assert_int_equal(other.end, End::done);
    assert_true(other.buffers != first.buffers);
    assert_true(attention(3, {}).buffers == other.buffers); // parameters stay
    both.load("attention_s8_64x64");
    assert_true(attention(3, {}).buffers == first.buffers);

    both.load("matmul_s8_16x16");
    std::vector<std::vector<uint8_t>> before;
    for (const uint8_t shift : {0, 5, 9, 31}) {
        const uint8_t word[4] = {shift};
        const Outcome matmul = both.run(
            one_core_command(matmul_s8_16x16, 9, aie2::MatmulS8::shift_address, word, 5), "matmul");
        assert_int_equal(matmul.end, End::done);
        assert_true(matmul.buffers != before);
        before = matmul.buffers;
    }
}

// Where in a stream its operations are.
std::vector<npusim::Operation> operations_of(const Command& command) {
    return npusim::InstructionStream::parse(
               {reinterpret_cast<const uint8_t*>(command.stream.data()), command.stream.size() * 4})
        .operations;
}

// The words of the first operation like this.
std::span<uint32_t> find(Command& command,
                         const std::function<bool(const npusim::Operation&)>& wanted) {
    for (const npusim::Operation& operation : operations_of(command))
        if (wanted(operation))
            return std::span(command.stream).subspan(operation.at / 4);
    fail_msg("the stream has no such operation");
    return {};
}

using Kind = npusim::Operation::Kind;

auto push_of(DmaDirection direction, uint32_t channel, uint32_t column) {
    return [=](const npusim::Operation& operation) {
        return operation.kind == Kind::write &&
               operation.address == shim_queue(column, direction, channel);
    };
}

auto patch_of(uint32_t argument) {
    return [=](const npusim::Operation& operation) {
        return operation.kind == Kind::patch && operation.argument == argument;
    };
}

auto kind(Kind wanted) {
    return [=](const npusim::Operation& operation) { return operation.kind == wanted; };
}

// Words of operations, by encoding 0.1.
constexpr size_t write_address = 2, write_value = 4, block_data = 4, patch_argument = 8,
                 patch_plus = 10;

// Descriptors of a column, in one block write: C, C, the operand streamed as a whole, the other.
uint32_t& descriptor_word(Command& command, size_t descriptor, size_t word) {
    return find(command, kind(Kind::block_write))[block_data + descriptor * 8 + word];
}

struct Damage {
    const char* what;
    std::function<void(Command&)> apply;
    End end;
};

const Damage damages[] = {
    {"nothing", [](Command&) {}, End::done},
    {"a task tells nobody",
     [](Command& c) { find(c, push_of(DmaDirection::s2mm, 1, 2))[write_value] &= 0x7fffffff; },
     End::hang},
    {"a task is not pushed",
     [](Command& c) {
         find(c, push_of(DmaDirection::s2mm, 0, 1))[write_address] = shim_descriptor_address(1, 15);
     },
     End::hang},
    {"no A for the last row",
     [](Command& c) {
         find(c, push_of(DmaDirection::mm2s, 0, 3))[write_address] = shim_descriptor_address(3, 15);
     },
     End::hang},
    {"waits for the wrong direction", [](Command& c) { find(c, kind(Kind::sync))[2] |= 1; },
     End::hang},
    {"waits for a channel that is not there",
     [](Command& c) { find(c, kind(Kind::sync))[3] |= 2u << 24; }, End::hang},
    {"waits for a column too many", [](Command& c) { find(c, kind(Kind::sync))[3] += 1u << 16; },
     End::hang},
    {"does not wait",
     [](Command& c) {
         c.stream.resize(c.stream.size() - 2 * 4);
         c.stream[2] -= 2;
         c.stream[3] -= 2 * 16;
     },
     End::done},
    {"an argument that was not given", [](Command& c) { find(c, patch_of(1))[patch_argument] = 4; },
     End::fault},
    {"an argument without memory", [](Command& c) { c.buffers[0].clear(); }, End::fault},
    {"B of another product",
     [](Command& c) {
         c.buffers.push_back(c.buffers[1]);
         // Columns are mixed up, places along K are not.
         auto& b = c.buffers[3];
         std::rotate(b.begin(), b.begin() + static_cast<ptrdiff_t>(b.size() / 4), b.end());
         find(c, patch_of(1))[patch_argument] = 3;
     },
     End::done},
    {"C is behind its end", [](Command& c) { find(c, patch_of(2))[patch_plus] += 1u << 24; },
     End::fault},
    {"an address that is not a word's", [](Command& c) { find(c, patch_of(0))[patch_plus] += 2; },
     End::fault},
    {"a patch of another register", [](Command& c) { find(c, patch_of(0))[6] += 4; }, End::fault},
    {"C is a word longer", [](Command& c) { ++descriptor_word(c, 0, 0); }, End::hang},
    {"C is a word shorter", [](Command& c) { --descriptor_word(c, 0, 0); }, End::done},
    {"an operand is a word shorter", [](Command& c) { --descriptor_word(c, 2, 0); }, End::hang},
    {"a length of nothing", [](Command& c) { descriptor_word(c, 2, 0) = 0; }, End::fault},
    {"a descriptor is not valid", [](Command& c) { descriptor_word(c, 3, 7) &= ~(1u << 25); },
     End::fault},
    {"an iteration that is not there", [](Command& c) { descriptor_word(c, 0, 6) |= 1u << 26; },
     End::fault},
    {"an iteration less", [](Command& c) { descriptor_word(c, 3, 6) -= 1u << 20; }, End::done},
    {"a push of unknown bits",
     [](Command& c) { find(c, push_of(DmaDirection::s2mm, 0, 0))[write_value] |= 1u << 30; },
     End::fault},
    {"a write to nowhere",
     [](Command& c) { find(c, push_of(DmaDirection::s2mm, 0, 0))[write_address] = 5u << 25; },
     End::fault},
    {"a stream of another generation", [](Command& c) { c.stream[0] = 0x06040100; }, End::fault},
    {"a stream that is cut off", [](Command& c) { c.stream.pop_back(); }, End::fault},
    {"an operation of another size", [](Command& c) { find(c, kind(Kind::sync))[1] = 12; },
     End::fault},
};

// Both modes end in the same way, and afterwards, loaded again, give the right product.
void damage_ends_the_same(void**) {
    const GemmTiling tiling(gemm_s8_s32, 300, 600, 130);
    const Operands operands = make_operands(gemm_s8_s32, 300, 600, 130, Values::any, 11);
    const Command good = product_command(tiling, operands, 0);
    const std::vector<uint8_t> expected = plain_product(gemm_s8_s32, operands, 0);
    Both both;
    bool as_expected = true;
    for (const Damage& damage : damages) {
        both.load("gemm_s8_s32");
        Command command = good;
        damage.apply(command);
        const Outcome outcome = both.run(command, damage.what);
        if (outcome.end != damage.end) {
            print_error("%s: %s %s\n", damage.what, name_of(outcome.end), outcome.why.c_str());
            as_expected = false;
        }
        if (outcome.end != End::done)
            assert_int_equal(both.run(good, "after an error").end, End::fault);
    }
    assert_true(as_expected);
    both.load("gemm_s8_s32");
    assert_true(unpacked(tiling, both.run(good, "the end").buffers[2]) == expected);
}

// No transfer of results, and the end is that of the inputs.
void leave_results(Command& command) {
    for (uint32_t column = 0; column < array_cores; ++column)
        for (uint32_t channel = 0; channel < 2; ++channel) {
            find(command, push_of(DmaDirection::s2mm, channel, column))[write_address] =
                shim_descriptor_address(column, 15);
            find(command, push_of(DmaDirection::mm2s, channel, column))[write_value] |= 1u << 31;
        }
    for (const npusim::Operation& operation : operations_of(command))
        if (operation.kind == Kind::sync)
            command.stream[operation.at / 4 + 2] |= 1;
}

// Results that nobody takes: the array goes on until it has no room for them and for its inputs, 6
// tiles before a core. There are 6 pieces of results on their way, two of them in the core: a
// result is two, and one in int16 of bf16, and no result is begun that has no room as a whole.
void room_is_the_same(void**) {
    const struct {
        const GemmOverlay& overlay;
        std::vector<bool> int16; // again and again
        size_t results;
    } cases[] = {
        {gemm_s8_s32, {false}, 3},
        {gemm_bf16_f32, {false}, 3},
        {gemm_bf16_f32, {true}, 6},
        {gemm_bf16_f32, {true, false}, 4},
        {gemm_bf16_f32, {true, false, false, false}, 3},
        {gemm_bf16_f32, {false, true, true, false, true}, 4},
    };
    for (const auto& [overlay, int16, results] : cases)
        for (const size_t too_many : {0, 1}) {
            const size_t groups = results + 6 + too_many;
            const size_t m = 64, n = groups * output_group, k = overlay.k_tile;
            const GemmTiling tiling(overlay, m, n, k);
            Command command =
                product_command(tiling, make_operands(overlay, m, n, k, Values::any, 23), 0);
            for (size_t group = 0; group < groups; ++group)
                for (size_t column = 0; column < array_cores; ++column)
                    if (int16[group % int16.size()])
                        command.buffers[1][tiling.b_offset(column, group)] |= 4;
            leave_results(command);
            Both both;
            both.load(overlay.name);
            assert_int_equal(both.run(command, "no results").end,
                             too_many == 0 ? End::done : End::hang);
        }
}

// The same of GELU: there is room for 6 results, of two tiles each. The first tile of the next one
// is multiplied, and with the 6 before a core that makes 19.
void room_for_gelu_is_the_same(void**) {
    for (const size_t groups : {9, 10}) {
        const size_t m = 64, n = groups * output_group, k = gemm_bf16_gelu.k_tile;
        const GemmTiling tiling(gemm_bf16_gelu, m, n, k);
        Command command = gelu_command(tiling, make_gelu_operands(m, n, k, 23));
        leave_results(command);
        Both both;
        both.load(gemm_bf16_gelu.name);
        assert_int_equal(both.run(command, "no results of GELU").end,
                         groups == 9 ? End::done : End::hang);
    }
}

// Tiles that a product does not need stay in the array when their buffers are gone, and the next
// products begin with them.
void leftovers_are_kept(void**) {
    constexpr size_t too_many = 5;
    const GemmTiling tiling(gemm_s8_s32, 64, 64, 64);
    const auto operands = [](uint32_t seed) {
        return make_operands(gemm_s8_s32, 64, 64, 64, Values::any, seed);
    };
    const Operands first = operands(13), second = operands(14);
    const Command good = product_command(tiling, second, 0);
    Command command = product_command(tiling, first, 0);
    for (size_t operand : {0, 1}) {
        auto& buffer = command.buffers[operand];
        const std::vector<uint8_t> once = buffer;
        for (size_t i = 0; i < too_many; ++i)
            buffer.insert(buffer.end(), once.begin(), once.end());
    }
    // Each copy has the tiles of all rows, or columns, of cores: a transfer takes one of each.
    for (const npusim::Operation& operation : operations_of(command))
        if (operation.kind == Kind::block_write)
            for (size_t descriptor : {2, 3}) {
                uint32_t* words = &command.stream[operation.at / 4 + block_data + descriptor * 8];
                const uint32_t length = words[0], half = length / 2;
                words[0] *= 1 + too_many;
                words[3] = half << 20;                            // words of half a tile,
                words[4] = 2u << 30 | 2u << 20 | (half - 1);      // both halves,
                words[5] = 2u << 24 | (array_cores * length - 1); // all copies
            }
    Both both;
    both.load("gemm_s8_s32");
    assert_int_equal(both.run(command, "tiles too many").end, End::done);
    command = {};
    const std::vector<uint8_t> of_first = plain_product(gemm_s8_s32, first, 0);
    for (size_t i = 0; i < too_many; ++i)
        assert_true(unpacked(tiling, both.run(good, "tiles of before").buffers[2]) == of_first);
    assert_true(unpacked(tiling, both.run(good, "its own tiles").buffers[2]) ==
                plain_product(gemm_s8_s32, second, 0));
}

void stops_when_told(void**) {
    const GemmTiling tiling(gemm_bf16_f32, 300, 300, 300);
    const Operands operands = make_operands(gemm_bf16_f32, 300, 300, 300, Values::any, 17);
    Both both;
    both.load(gemm_bf16_f32.name);
    for (Firmware* firmware : {both.simulated.get(), both.functional.get()})
        assert_int_equal(run(*firmware, product_command(tiling, operands, 0), true).end, End::hang);
}

void unknown_overlays_are_refused(void**) {
    std::vector<uint8_t> pdi = read_pdi("gemm_s8_s32");
    const auto functional = virtual_npu::make_firmware(Mode::functional);
    const auto simulated = virtual_npu::make_firmware(Mode::simulated);
    const auto refuses = [](Firmware& firmware, std::span<const uint8_t> what) {
        try {
            firmware.load(what);
            return false;
        } catch (const virtual_npu::Fault&) {
            return true;
        }
    };
    assert_false(refuses(*functional, pdi));
    assert_false(refuses(*simulated, pdi));
    for (Firmware* firmware : {functional.get(), simulated.get()}) {
        assert_true(refuses(*firmware, std::span(pdi).first(pdi.size() / 2)));
        assert_int_equal(run(*firmware, {}).end, End::fault); // nothing is loaded now
    }
    pdi[pdi.size() / 2] ^= 1;
    assert_true(refuses(*functional, pdi));
}

// bf16 bits with exponents about `exponent`, some of them zero.
uint16_t any_bf16(std::mt19937& random, int exponent, int spread) {
    const auto bits = static_cast<uint32_t>(random());
    if (bits % 16 == 0)
        return static_cast<uint16_t>(bits >> 16 & 0x8000);
    const int more = static_cast<int>(random() % static_cast<uint32_t>(2 * spread + 1)) - spread;
    return static_cast<uint16_t>((bits >> 16 & 0x807f) |
                                 static_cast<uint32_t>(127 + exponent + more) << 7);
}

// expected += A B by the model.
void add_by_model(const std::vector<uint16_t>& a, const std::vector<uint16_t>& b,
                  std::vector<uint32_t>& expected) {
    constexpr size_t n = virtual_npu::core_tile, depth = 32;
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j)
            for (size_t step = 0; step < depth; step += 8) {
                uint16_t x[8], y[8];
                for (size_t s = 0; s < 8; ++s) {
                    const size_t k = step + s;
                    x[s] = a[i / 8 * 256 + k / 8 * 64 + i % 8 * 8 + k % 8];
                    y[s] =
                        b[(j / 16 * depth + k / 8 * 8) * 16 + j % 16 / 4 * 32 + k % 8 * 4 + j % 4];
                }
                expected[i * n + j] = bf16_mac(expected[i * n + j], x, y);
            }
}

void bf16_arithmetic_is_the_models(void**) {
    constexpr size_t n = virtual_npu::core_tile, depth = 32;
    const struct {
        int of_a, of_b, spread;
        bool cancel; // every other value of B along K is the negative of the one before
    } cases[] = {
        {0, 0, 0, false},      {0, 0, 3, false},    {0, 0, 3, true},      {0, 0, 8, false},
        {0, 0, 20, true},      {0, 0, 60, false},   {-60, -63, 3, false}, {-60, -63, 3, true},
        {-70, -90, 30, false}, {-30, -70, 4, true}, {60, 55, 3, false},
    };
    std::mt19937 random(1);
    for (const auto& arithmetic : virtual_npu::gemm_arithmetic())
        for (const auto& [of_a, of_b, spread, cancel] : cases) {
            std::vector<uint16_t> a(n * depth), b(depth * n);
            for (uint16_t& value : a)
                value = any_bf16(random, of_a, spread);
            for (size_t i = 0; i < b.size(); ++i) // four columns are beside each other
                b[i] = cancel && i % 8 >= 4 ? static_cast<uint16_t>(b[i - 4] ^ 0x8000)
                                            : any_bf16(random, of_b, spread);
            std::vector<uint32_t> sums(n * n), expected(n * n);
            for (int tile = 0; tile < 2; ++tile) {
                add_by_model(a, b, expected);
                assert_true(arithmetic.multiply_bf16(a.data(), b.data(), sums.data()));
                if (sums != expected) {
                    print_error("%s, exponents about %d and %d\n", arithmetic.name, of_a, of_b);
                    fail_msg("differs from the model");
                }
            }
        }
}

void not_finite_is_noticed(void**) {
    constexpr size_t n = virtual_npu::core_tile, depth = 32;
    for (const auto& arithmetic : virtual_npu::gemm_arithmetic()) {
        std::vector<uint16_t> a(n * depth, 0x3f80), b(depth * n, 0x3f80);
        std::vector<uint32_t> sums(n * n);
        assert_true(arithmetic.multiply_bf16(a.data(), b.data(), sums.data()));
        sums[77] = 0x7f800000;
        assert_false(arithmetic.multiply_bf16(a.data(), b.data(), sums.data()));
        std::ranges::fill(sums, 0);
        a[99] = 0x7f80;
        assert_false(arithmetic.multiply_bf16(a.data(), b.data(), sums.data()));
        // Infinite after the first step, and used in the next.
        std::ranges::fill(sums, 0);
        std::ranges::fill(a, 0x5f80);
        std::ranges::fill(b, 0x5f80);
        assert_false(arithmetic.multiply_bf16(a.data(), b.data(), sums.data()));
    }
}

void s8_arithmetic_is_exact(void**) {
    constexpr size_t n = virtual_npu::core_tile;
    for (const auto& arithmetic : virtual_npu::gemm_arithmetic()) {
        std::mt19937 random(2);
        std::vector<int8_t> a(n * n), b(n * n);
        for (int8_t& value : a)
            value = static_cast<int8_t>(random() % 8 ? random() : 128);
        for (int8_t& value : b)
            value = static_cast<int8_t>(random() % 8 ? random() : 128);
        std::vector<uint32_t> sums(n * n, 0xfffffff0), expected = sums;
        arithmetic.multiply_s8(a.data(), b.data(), sums.data());
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j < n; ++j)
                for (size_t k = 0; k < n; ++k)
                    expected[i * n + j] += static_cast<uint32_t>(
                        a[i / 8 * 512 + k / 8 * 64 + i % 8 * 8 + k % 8] *
                        b[(j / 16 * n + k / 8 * 8) * 16 + j % 16 / 8 * 64 + k % 8 * 8 + j % 8]);
        assert_true(sums == expected);
    }
}

constexpr size_t gelu_elements = virtual_npu::core_tile * virtual_npu::core_tile;

// What follows the header of a tile of GELU.
std::vector<uint8_t> gelu_operands(const float* bias) {
    std::vector<char> message(gemm_bf16_gelu.b_message);
    gelu_tile::write(bias, core_tile, message.data());
    return {message.begin() + gemm_bf16_gelu.b_header, message.end()};
}

template <class T>
void fill(std::vector<uint8_t>& operands, size_t at, size_t lanes, T value) {
    for (size_t i = 0; i < lanes; ++i)
        std::memcpy(&operands[at + i * sizeof value], &value, sizeof value);
}

// Where a result lies: as A of another product.
size_t gelu_place(size_t i, size_t j) {
    return j / 32 * 2048 + i / 8 * 256 + j % 32 / 8 * 64 + i % 8 * 8 + j % 8;
}

void assert_gelu_is_the_models(const std::vector<uint32_t>& sums,
                               const std::vector<uint8_t>& operands, const char* what) {
    constexpr size_t n = virtual_npu::core_tile;
    std::vector<uint16_t> expected(gelu_elements), found(gelu_elements);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j)
            expected[gelu_place(i, j)] = gelu_model(sums[i * n + j], i, j, operands.data());
    for (const auto& arithmetic : virtual_npu::gemm_arithmetic()) {
        std::ranges::fill(found, 0xa5a5);
        assert_true(arithmetic.gelu(sums.data(), operands.data(),
                                    reinterpret_cast<uint8_t*>(found.data())));
        if (found != expected) {
            print_error("%s, %s\n", arithmetic.name, what);
            fail_msg("differs from the model");
        }
    }
}

// f32 bits with exponents about `exponent`, some of them zero.
uint32_t any_f32(std::mt19937& random, int exponent, int spread) {
    return static_cast<uint32_t>(any_bf16(random, exponent, spread)) << 16 |
           (static_cast<uint32_t>(random()) & 0xffff);
}

void gelu_arithmetic_is_the_models(void**) {
    const struct {
        int of_sums, of_biases, spread;
    } cases[] = {{0, 0, 3},      {2, 1, 2},       {0, -20, 8},  {-4, 2, 2},
                 {-60, -60, 60}, {-126, -126, 0}, {-120, 3, 4}, {3, -120, 4},
                 {60, 60, 60},   {120, 3, 4},     {3, 20, 20}};
    std::mt19937 random(3);
    std::vector<uint32_t> sums(gelu_elements);
    for (int turn = 0; turn < 4; ++turn)
        for (const auto& [of_sums, of_biases, spread] : cases) {
            std::vector<float> bias(core_tile);
            for (uint32_t& sum : sums)
                sum = any_f32(random, of_sums, spread);
            for (float& value : bias)
                value = std::bit_cast<float>(any_f32(random, of_biases, spread));
            const std::string what = "sums about 2^" + std::to_string(of_sums) + ", biases 2^" +
                                     std::to_string(of_biases);
            assert_gelu_is_the_models(sums, gelu_operands(bias.data()), what.c_str());
            // A sum that its bias cancels but for a few of its last places.
            for (size_t i = 0; i < sums.size(); ++i)
                sums[i] = std::bit_cast<uint32_t>(-bias[i % core_tile]) ^
                          (static_cast<uint32_t>(random()) & 3);
            assert_gelu_is_the_models(sums, gelu_operands(bias.data()), "cancelled");
        }
}

// It is the message that says what is computed: with other factors and coefficients, whose sums
// wrap, and with results about the least normal value.
void gelu_arithmetic_takes_any_operands(void**) {
    namespace tile = gelu_tile;
    std::mt19937 random(4);
    std::vector<uint32_t> sums(gelu_elements);
    std::vector<float> bias(core_tile);
    for (int turn = 0; turn < 60; ++turn) {
        const bool tiny = turn % 3 == 2;
        const int exponent = tiny ? -63 : 0;
        for (uint32_t& sum : sums)
            sum = any_f32(random, exponent, 6);
        for (float& value : bias)
            value = std::bit_cast<float>(any_f32(random, exponent, 6));
        std::vector<uint8_t> operands = gelu_operands(bias.data());
        const auto int16 = [&] { return static_cast<int16_t>(random()); };
        const auto int32 = [&] { return static_cast<uint32_t>(random()); };
        const auto positive = [&](int about) {
            return static_cast<uint16_t>(any_bf16(random, about, 3) & 0x7fff);
        };
        fill(operands, tile::largest, 32, positive(2));
        fill(operands, tile::scale, 16, any_bf16(random, 13, 3));
        fill(operands, tile::c3, 32, int16());
        fill(operands, tile::c2, 32, int32());
        fill(operands, tile::c1, 32, int32());
        fill(operands, tile::c0, 32, int32());
        if (turn % 3 > 0) {
            fill(operands, tile::magnitude, 32, static_cast<uint16_t>(random() & 0x7fff));
            for (const size_t half : {0, 32}) {
                fill(operands, tile::least + half, 16, any_bf16(random, exponent, 3));
                fill(operands, tile::signs + half, 16, any_bf16(random, exponent, 3));
            }
            fill(operands, tile::units, 32, static_cast<int16_t>(tiny ? 0 : int16() % 1000));
            fill(operands, tile::integers, 16, any_f32(random, 23, 2));
            fill(operands, tile::results, 32, any_f32(random, 2 * exponent, tiny ? 0 : 2));
        }
        assert_gelu_is_the_models(sums, operands, "any operands");
    }
}

void gelu_of_all_bf16_is_near_float64(void**) {
    const std::vector<uint8_t> operands = gelu_operands(nullptr);
    std::vector<uint32_t> all;
    for (uint32_t bits = 0; bits < 0x10000; ++bits)
        if ((bits & 0x7f80) != 0x7f80)
            all.push_back(bits << 16);
    all.resize((all.size() + gelu_elements - 1) / gelu_elements * gelu_elements);
    const auto value_of = [](uint32_t f32) {
        return static_cast<double>(std::bit_cast<float>(f32));
    };
    double farthest = 0;
    for (size_t first = 0; first < all.size(); first += gelu_elements) {
        const std::vector<uint32_t> sums(all.begin() + static_cast<ptrdiff_t>(first),
                                         all.begin() +
                                             static_cast<ptrdiff_t>(first + gelu_elements));
        assert_gelu_is_the_models(sums, operands, "all bf16");
        std::vector<uint16_t> found(gelu_elements);
        assert_true(virtual_npu::gemm_arithmetic().back().gelu(
            sums.data(), operands.data(), reinterpret_cast<uint8_t*>(found.data())));
        for (size_t i = 0; i < gelu_elements; ++i) {
            const double h = value_of(sums[i]), exact = exact_gelu(h);
            const double y = value_of(
                static_cast<uint32_t>(found[gelu_place(i / core_tile, i % core_tile)]) << 16);
            const double beside_rounding = std::fabs(y - exact) - 0x1p-8 * std::fabs(y);
            farthest = std::max(farthest, beside_rounding);
            if (!(beside_rounding <= 2.2e-4)) {
                print_error("%.9g: %.9g, exact %.9g\n", h, y, exact);
                fail();
            }
        }
    }
    std::printf("GELU is within %.3g of float64, beside rounding to bf16\n", farthest);
}

void gelu_of_what_is_not_finite_is_noticed(void**) {
    const std::vector<uint8_t> good = gelu_operands(nullptr);
    const std::vector<uint32_t> zeros(gelu_elements);
    std::vector<uint16_t> result(gelu_elements);
    for (const auto& arithmetic : virtual_npu::gemm_arithmetic()) {
        const auto computes = [&](const std::vector<uint32_t>& sums,
                                  const std::vector<uint8_t>& operands) {
            return arithmetic.gelu(sums.data(), operands.data(),
                                   reinterpret_cast<uint8_t*>(result.data()));
        };
        assert_true(computes(zeros, good));
        // Infinite, NaN, and infinite in bf16. Minus infinity there is not used.
        for (const uint32_t sum : {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f7fffffu}) {
            std::vector<uint32_t> sums = zeros;
            sums[77] = sum;
            assert_false(computes(sums, good));
        }
        std::vector<uint32_t> sums = zeros;
        sums[77] = 0xff7fffff;
        assert_true(computes(sums, good));
        assert_int_equal(result[gelu_place(1, 13)], 0);

        std::vector<uint8_t> operands = good;
        fill(operands, gelu_tile::biases + 99 * 2, 1, uint16_t{0x7f80});
        assert_false(computes(zeros, operands));
        for (const size_t operand :
             {gelu_tile::magnitude, gelu_tile::largest, gelu_tile::least, gelu_tile::scale,
              gelu_tile::signs, gelu_tile::c3, gelu_tile::units, gelu_tile::c2, gelu_tile::c1,
              gelu_tile::c0, gelu_tile::integers, gelu_tile::results}) {
            operands = good; // one lane is another
            operands[operand + 3 * 4] ^= 1;
            assert_false(computes(zeros, operands));
        }
    }
}

double seconds(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// How fast functional mode is, for a product of the base model's MLP.
void figures(void**) {
    for (const GemmOverlay* overlay : gemm_overlays) {
        const size_t m = 1500, n = 2048, k = 512;
        const GemmTiling tiling(*overlay, m, n, k);
        const Operands operands = make_operands(*overlay, m, n, k, Values::any, 19);
        const Command command = product_command(tiling, operands, 0);
        const auto firmware = virtual_npu::make_firmware(Mode::functional);
        firmware->load(read_pdi(overlay->name));
        double elapsed = 1e9, busy = 1e9;
        for (int i = 0; i < 3; ++i) {
            const double start = seconds(CLOCK_MONOTONIC);
            const double start_busy = seconds(CLOCK_PROCESS_CPUTIME_ID);
            assert_int_equal(run(*firmware, command).end, End::done);
            elapsed = std::min(elapsed, seconds(CLOCK_MONOTONIC) - start);
            busy = std::min(busy, seconds(CLOCK_PROCESS_CPUTIME_ID) - start_busy);
        }
        const double giga = static_cast<double>(m * n * k) * 1e-9;
        std::printf("%s, %s: %.1f ms, %.1f G multiply-adds a second; %.1f G a second of CPU time\n",
                    title_of(*overlay).c_str(), virtual_npu::gemm_arithmetic().back().name,
                    elapsed * 1e3, giga / elapsed, giga / busy);
    }
}

bool runs(int argc, char** argv, const char* group) {
    return argc == 1 || std::any_of(argv + 1, argv + argc, [&](const char* asked) {
               return std::strcmp(asked, group) == 0;
           });
}

} // namespace

int main(int argc, char** argv) {
    const struct {
        const char* group;
        CMUnitTest test;
    } all[] = {
        {"products", cmocka_unit_test(products_are_the_same)},
        {"products", cmocka_unit_test(forms_of_results_take_turns)},
        {"products", cmocka_unit_test(gelu_is_the_same)},
        {"products", cmocka_unit_test(gelu_takes_turns)},
        {"products", cmocka_unit_test(overlays_take_turns)},
        {"one_core", cmocka_unit_test(one_core_is_the_same)},
        {"damage", cmocka_unit_test(damage_ends_the_same)},
        {"damage", cmocka_unit_test(room_is_the_same)},
        {"damage", cmocka_unit_test(room_for_gelu_is_the_same)},
        {"damage", cmocka_unit_test(leftovers_are_kept)},
        {"damage", cmocka_unit_test(stops_when_told)},
        {"damage", cmocka_unit_test(unknown_overlays_are_refused)},
        {"arithmetic", cmocka_unit_test(bf16_arithmetic_is_the_models)},
        {"arithmetic", cmocka_unit_test(not_finite_is_noticed)},
        {"arithmetic", cmocka_unit_test(s8_arithmetic_is_exact)},
        {"arithmetic", cmocka_unit_test(gelu_arithmetic_is_the_models)},
        {"arithmetic", cmocka_unit_test(gelu_arithmetic_takes_any_operands)},
        {"arithmetic", cmocka_unit_test(gelu_of_all_bf16_is_near_float64)},
        {"arithmetic", cmocka_unit_test(gelu_of_what_is_not_finite_is_noticed)},
        {"figures", cmocka_unit_test(figures)},
    };
    int failed = 0;
    for (const auto& [group, test] : all)
        if (runs(argc, argv, group)) {
            const CMUnitTest tests[] = {test};
            failed += cmocka_run_group_tests_name(test.name, tests, nullptr, nullptr);
        }
    return failed;
}
