// SPDX-License-Identifier: MIT
// A core with its own memory and locks and nothing around it, for tests.
#pragma once

#include "tests/virtual_npu/assembler.hpp"
#include "tools/npusim/core.hpp"

#include <cstring>
#include <deque>
#include <string>

class TestTile : public npusim::CoreBus {
  public:
    explicit TestTile(npusim::CoreRules rules = npusim::CoreRules::strict)
        : core("core (0, 2)", *this, rules) {}

    void load(uint32_t address, std::span<uint8_t> bytes) override {
        std::memcpy(bytes.data(), at(address, bytes.size()), bytes.size());
    }
    void store(uint32_t address, std::span<const uint8_t> bytes) override {
        std::memcpy(at(address, bytes.size()), bytes.data(), bytes.size());
    }
    bool acquire(uint32_t lock, int32_t value) override {
        int32_t& held = locks.at(lock - 48);
        if (value < 0 ? held < -value : held != value)
            return false;
        held += value < 0 ? value : -value;
        return true;
    }
    void release(uint32_t lock, int32_t value) override { locks.at(lock - 48) += value; }
    bool stream_read(uint32_t, uint32_t& word, bool& last) override {
        if (input.empty())
            return false;
        word = input.front();
        input.pop_front();
        last = false;
        return true;
    }
    bool stream_write(uint32_t, uint32_t word, bool last) override {
        output.emplace_back(word, last);
        return true;
    }
    bool cascade_read(std::array<uint8_t, 64>&) override { return false; }
    bool cascade_write(const std::array<uint8_t, 64>&) override { return false; }

    // Runs the program until DONE; false if it does not come in so many cycles.
    bool run(std::string_view program, unsigned cycles = 10000) {
        core.write_program(0, assemble(program));
        core.enable(true);
        for (unsigned i = 0; i < cycles && !core.done(); i++)
            core.cycle(true);
        return core.done();
    }
    // The message of the error that stops the program; empty if none does.
    std::string error_of(std::string_view program) {
        try {
            run(program);
        } catch (const npusim::SimulationError& error) {
            return error.what();
        }
        return "";
    }
    uint32_t scalar(std::string_view name) {
        auto bytes = core.get_register(name);
        uint32_t value;
        std::memcpy(&value, bytes.data(), 4);
        return value;
    }
    template <typename T>
    std::vector<T> lanes(std::string_view name) {
        auto bytes = core.get_register(name);
        std::vector<T> values(bytes.size() / sizeof(T));
        std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    template <typename T>
    void set_lanes(std::string_view name, const std::vector<T>& values) {
        std::vector<uint8_t> bytes(values.size() * sizeof(T));
        std::memcpy(bytes.data(), values.data(), bytes.size());
        core.set_register(name, bytes);
    }
    uint8_t* at(uint32_t address, size_t bytes) {
        if (address < 0x70000 || address + bytes > 0x80000)
            throw std::runtime_error("no memory there");
        return memory.data() + (address - 0x70000);
    }

    std::vector<uint8_t> memory = std::vector<uint8_t>(0x10000);
    std::array<int32_t, 16> locks{};
    std::deque<uint32_t> input;
    std::vector<std::pair<uint32_t, bool>> output;
    npusim::Core core;
};
