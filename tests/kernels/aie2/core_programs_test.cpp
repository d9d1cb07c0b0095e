// SPDX-License-Identifier: MIT
// Attention 64x64 and the 16x16 product on a simulated core: every bit as the model says, with
// memory that was never written before, and with banks that are taken at random.
#include "kernels/aie2/attention_s8_64x64.hpp" // before cmocka, which has a macro fail()
#include "kernels/aie2/matmul_s8_16x16.hpp"
#include "tools/npusim/core.hpp"

#include "attention_model.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

using namespace npuenc::aie2;

namespace {

constexpr uint32_t own_memory = 0x70000;
constexpr uint64_t patience = 100000; // cycles

// The memory and the locks of the core's own tile.
class Tile : public npusim::CoreBus {
  public:
    explicit Tile(std::mt19937& random) : memory(64 * 1024) {
        std::ranges::generate(memory, [&] { return static_cast<uint8_t>(random()); });
    }
    void load(uint32_t address, std::span<uint8_t> bytes) override {
        std::copy_n(&memory.at(address - own_memory), bytes.size(), bytes.begin());
    }
    void store(uint32_t address, std::span<const uint8_t> bytes) override {
        std::ranges::copy(bytes, &memory.at(address - own_memory));
    }
    bool acquire(uint32_t lock, int32_t value) override {
        int& count = locks.at(lock - 48);
        if (count < -value)
            return false;
        count += value;
        return true;
    }
    void release(uint32_t lock, int32_t value) override { locks.at(lock - 48) += value; }
    bool stream_read(uint32_t, uint32_t&, bool&) override { return false; }
    bool stream_write(uint32_t, uint32_t, bool) override { return false; }
    bool cascade_read(std::array<uint8_t, 64>&) override { return false; }
    bool cascade_write(const std::array<uint8_t, 64>&) override { return false; }

    std::vector<uint8_t> memory;
    std::array<int, 16> locks = {};
};

// What the core's DMA does with a message: its words go where the pattern says.
template <class Dimensions, class Action>
void for_each_word(const Dimensions& pattern, Action action) {
    size_t at = 0;
    for (uint32_t i = 0; i < pattern[2].size; ++i)
        for (uint32_t j = 0; j < pattern[1].size; ++j)
            for (uint32_t k = 0; k < pattern[0].size; ++k, at += 4)
                action(at, 4 * (i * pattern[2].step + j * pattern[1].step + k * pattern[0].step));
}

template <class Map>
class Runner {
  public:
    Runner(Program program, uint32_t data_address, const std::vector<uint8_t>& data)
        : tile_(random_), core_("core", tile_) {
        core_.write_program(0, program.finish());
        std::ranges::copy(data, tile_.memory.begin() + data_address);
        tile_.locks[0] = 2;
        tile_.locks[4] = 2;
        core_.reset();
        core_.enable(true);
    }

    // Each message in turn; `busy` of 100 cycles find a bank taken.
    std::vector<uint8_t> run(const std::vector<uint8_t>& message, int busy = 0) {
        const size_t buffer = messages_++ % 2;
        assert_true(tile_.locks[0] > 0);
        --tile_.locks[0];
        for_each_word(Map::input_pattern, [&](size_t at, uint32_t address) {
            std::copy_n(&message[at], 4, &tile_.memory[Map::input_address[buffer] + address]);
        });
        ++tile_.locks[1];
        const uint64_t start = core_.counters().cycles;
        while (tile_.locks[5] == 0) {
            core_.cycle(static_cast<int>(random_() % 100) >= busy);
            if (core_.counters().cycles - start > patience)
                fail_msg("no result after %u cycles", static_cast<unsigned>(patience));
        }
        cycles_ = core_.counters().cycles - start;
        --tile_.locks[5];
        std::vector<uint8_t> output(Map::output_bytes);
        for_each_word(Map::output_pattern, [&](size_t at, uint32_t address) {
            std::copy_n(&tile_.memory[Map::output_address[buffer] + address], 4, &output[at]);
        });
        ++tile_.locks[4];
        return output;
    }

    uint64_t cycles() const { return cycles_; }
    Tile& tile() { return tile_; }
    std::mt19937& random() { return random_; }

  private:
    std::mt19937 random_{5};
    Tile tile_;
    npusim::Core core_;
    size_t messages_ = 0;
    uint64_t cycles_ = 0;
};

using Fill = std::function<int(std::mt19937&)>;

std::vector<uint8_t> message_of(size_t bytes, std::mt19937& random, const Fill& fill) {
    std::vector<uint8_t> message(bytes);
    std::ranges::generate(message, [&] { return static_cast<uint8_t>(fill(random)); });
    return message;
}

const Fill fills[] = {
    [](std::mt19937& random) { return static_cast<int>(random() % 256) - 128; },
    [](std::mt19937& random) {
        std::normal_distribution<double> normal(0, 32);
        return static_cast<int>(std::lround(std::clamp(normal(random), -128.0, 127.0)));
    },
    [](std::mt19937& random) { return random() % 2 == 0 ? -128 : 127; },
    [](std::mt19937& random) { return random() % 20 == 0 ? 127 : 0; },
    [](std::mt19937&) { return -128; },
    [](std::mt19937&) { return 127; },
    [](std::mt19937&) { return 0; },
};

void assert_same(const std::vector<uint8_t>& found, const std::vector<uint8_t>& expected) {
    assert_int_equal(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
        if (found[i] != expected[i])
            fail_msg("byte %zu is %d, not %d", i, static_cast<int8_t>(found[i]),
                     static_cast<int8_t>(expected[i]));
}

void test_attention(void**) {
    for (const double sharpness : {0.01, 1.0, 30.0}) {
        const AttentionParameters parameters =
            attention_parameters(default_attention_scale * sharpness);
        Runner<AttentionS8> runner(attention_s8_64x64(), AttentionS8::initial_address,
                                   attention_s8_initial_data(parameters));
        for (const Fill& fill : fills) {
            const auto message = message_of(AttentionS8::input_bytes, runner.random(), fill);
            assert_same(runner.run(message), attention_model(message, parameters));
        }
        print_message("attention 64x64: %u cycles of the core\n",
                      static_cast<unsigned>(runner.cycles()));
        assert_true(runner.cycles() < 7000); // of 20,000, of which the DMA takes 4,100
    }
}

// Parameters are read at each message.
void test_attention_parameters(void**) {
    Runner<AttentionS8> runner(attention_s8_64x64(), AttentionS8::initial_address,
                               attention_s8_initial_data());
    for (const int output_shift : {16, 12, 20}) {
        const AttentionParameters parameters =
            attention_parameters(default_attention_scale * (output_shift - 11), output_shift);
        std::ranges::copy(parameters.bytes(),
                          runner.tile().memory.begin() + AttentionS8::parameters_address);
        const auto message = message_of(AttentionS8::input_bytes, runner.random(), fills[1]);
        assert_same(runner.run(message), attention_model(message, parameters));
    }
}

void test_attention_with_busy_banks(void**) {
    Runner<AttentionS8> runner(attention_s8_64x64(), AttentionS8::initial_address,
                               attention_s8_initial_data());
    for (const int busy : {1, 10, 50}) {
        const auto message = message_of(AttentionS8::input_bytes, runner.random(), fills[0]);
        assert_same(runner.run(message, busy),
                    attention_model(message, attention_parameters(default_attention_scale)));
    }
}

std::vector<uint8_t> product(const std::vector<uint8_t>& message, int shift) {
    constexpr size_t n = MatmulS8::size;
    std::vector<uint8_t> result;
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) {
            double sum = 0;
            for (size_t k = 0; k < n; ++k)
                sum += static_cast<int8_t>(message[i * n + k]) *
                       static_cast<int8_t>(message[n * n + k * n + j]);
            const double rounded = std::nearbyint(std::ldexp(sum, -shift)); // to even
            result.push_back(
                static_cast<uint8_t>(static_cast<int8_t>(std::clamp(rounded, -128.0, 127.0))));
        }
    return result;
}

void test_matmul(void**) {
    Runner<MatmulS8> runner(matmul_s8_16x16(), MatmulS8::shift_address, matmul_s8_initial_data());
    for (const int shift : {7, 0, 1, 4, 11, 31}) {
        runner.tile().memory[MatmulS8::shift_address] = static_cast<uint8_t>(shift);
        for (const Fill& fill : fills)
            for (const int busy : {0, 30}) {
                const auto message = message_of(MatmulS8::input_bytes, runner.random(), fill);
                assert_same(runner.run(message, busy), product(message, shift));
            }
    }
    print_message("product 16x16: %u cycles of the core\n", static_cast<unsigned>(runner.cycles()));
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_parameters),
        cmocka_unit_test(test_attention_with_busy_banks),
        cmocka_unit_test(test_matmul),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
