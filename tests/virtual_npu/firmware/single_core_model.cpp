// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/single_core_model.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/aie2/matmul_s8_16x16.hpp"
#include "tests/kernels/aie2/attention_model.hpp"
#include "tests/virtual_npu/firmware/firmware.hpp"

namespace virtual_npu {
namespace {

using namespace npuenc::aie2;

constexpr size_t buffers = 2; // of the core, for input and for output
constexpr uint32_t core_row = 2;
constexpr uint64_t core_address = uint64_t{core_row} << 20; // in column 0

// The core stops at more; 62 is what its unit is known to do.
constexpr int32_t largest_shift = 62;

int32_t word_at(std::span<const uint8_t> bytes, size_t index) {
    int32_t word = 0;
    std::memcpy(&word, bytes.data() + index * sizeof word, sizeof word);
    return word;
}

int32_t shift_at(std::span<const uint8_t> bytes, size_t index) {
    const int32_t shift = word_at(bytes, index);
    if (shift < 0 || shift > largest_shift)
        throw Fault("the core shifts by " + std::to_string(shift));
    return shift;
}

constexpr size_t attention_words = 3 + AttentionParameters::n_tangents;

std::vector<uint8_t> attend(const std::vector<uint8_t>& message, std::span<const uint8_t> words) {
    AttentionParameters parameters{shift_at(words, 0), shift_at(words, 1), shift_at(words, 2), {}};
    for (size_t i = 0; i < parameters.intercepts.size(); ++i)
        parameters.intercepts[i] = word_at(words, 3 + i);
    return attention_model(message, parameters);
}

std::vector<uint8_t> multiply(const std::vector<uint8_t>& message, std::span<const uint8_t> words) {
    constexpr size_t n = MatmulS8::size;
    const int32_t shift = shift_at(words, 0);
    std::vector<uint8_t> result(n * n);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) {
            int64_t sum = 0;
            for (size_t k = 0; k < n; ++k)
                sum += static_cast<int8_t>(message[i * n + k]) *
                       static_cast<int8_t>(message[(n + k) * n + j]);
            // To nearest; a tie goes up from an odd number only.
            if (shift != 0)
                sum = (sum + (int64_t{1} << (shift - 1)) - 1 + (sum >> shift & 1)) >> shift;
            result[i * n + j] = static_cast<uint8_t>(std::clamp<int64_t>(sum, -128, 127));
        }
    return result;
}

} // namespace

const SingleCoreProgram attention_program{
    AttentionS8::input_bytes, AttentionS8::output_bytes, AttentionS8::parameters_address,
    AttentionS8::parameters_address + attention_words * 4, attend};
const SingleCoreProgram matmul_program{MatmulS8::input_bytes, MatmulS8::output_bytes,
                                       MatmulS8::shift_address, MatmulS8::shift_address + 4,
                                       multiply};

SingleCoreModel::SingleCoreModel(const SingleCoreProgram& program,
                                 std::span<const CdoCommand> commands)
    : program_(program), parameters_(program.parameters_end - program.parameters) {
    const auto take = [&](uint64_t address, uint32_t value) {
        const uint64_t offset = address - core_address - program_.parameters;
        if (address >= core_address + program_.parameters && offset < parameters_.size())
            std::memcpy(&parameters_[offset], &value, sizeof value);
    };
    for (const CdoCommand& command : commands) {
        if (command.kind == CdoCommand::Kind::write)
            take(command.address, command.value);
        for (size_t i = 0; i < command.words.size(); ++i)
            take(command.address + i * sizeof(uint32_t), command.words[i]);
    }
}

void SingleCoreModel::write_data(uint32_t column, uint32_t row, uint32_t offset, uint32_t value) {
    if (column != 0 || row != core_row || offset < program_.parameters ||
        offset >= program_.parameters_end || offset % sizeof value != 0)
        throw Fault("functional mode knows no parameter at " + npuenc::aie2::hexadecimal(offset) +
                    " of that tile");
    std::memcpy(&parameters_[offset - program_.parameters], &value, sizeof value);
}

void SingleCoreModel::advance(std::span<const std::unique_ptr<Shim>> shims,
                              const std::atomic<bool>& stop) {
    Shim::Channel& in = shims[0]->channel(Shim::from_memory, 0);
    Shim::Channel& out = shims[0]->channel(Shim::to_memory, 0);
    for (bool moved = true; moved;) {
        moved = false;
        if (stop)
            throw Hang("the run was stopped");
        if (inputs_.size() < buffers) {
            const std::span<uint8_t> from = in.next(program_.input_bytes - arriving_.size());
            if (!from.empty()) {
                arriving_.insert(arriving_.end(), from.begin(), from.end());
                in.advance(from.size());
                if (arriving_.size() == program_.input_bytes)
                    inputs_.push_back(std::exchange(arriving_, {}));
                moved = true;
            }
        }
        if (!inputs_.empty() && outputs_.size() < buffers) {
            outputs_.push_back(program_.run(inputs_.front(), parameters_));
            inputs_.pop_front();
            moved = true;
        }
        if (!outputs_.empty()) {
            const std::span<uint8_t> to = out.next(program_.output_bytes - sent_);
            if (!to.empty()) {
                std::memcpy(to.data(), outputs_.front().data() + sent_, to.size());
                out.advance(to.size());
                sent_ += to.size();
                if (sent_ == program_.output_bytes) {
                    outputs_.pop_front();
                    sent_ = 0;
                }
                moved = true;
            }
        }
    }
}

} // namespace virtual_npu
