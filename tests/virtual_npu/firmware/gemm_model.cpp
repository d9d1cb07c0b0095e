// SPDX-License-Identifier: MIT
#include "tests/virtual_npu/firmware/gemm_model.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

#include "tests/virtual_npu/firmware/firmware.hpp"
#include "tests/virtual_npu/firmware/gemm_arithmetic.hpp"

namespace virtual_npu {
namespace {

// As in kernels/aie2/overlay_gemm.cpp.
constexpr size_t a_bytes = 4096, b_header_bytes = 32, b_bytes = b_header_bytes + 4096;
constexpr uint64_t stock = 4;        // tiles of A and B in a memory tile
constexpr uint64_t core_buffers = 2; // for each of A and B
constexpr uint64_t out_pieces = 2;   // of results, in a core,
constexpr uint64_t stock_pieces = 4; // and of that core in the memory tile

// Words of a header, and bits of the first.
constexpr uint32_t first_k_tile = 1, last_k_tile = 2, results_of_16_bits = 4, results_of_gelu = 8;
constexpr unsigned largest_shift = 62; // beyond it nobody knows what a core does

uint32_t word_at(const uint8_t* data, size_t index) {
    uint32_t word = 0;
    std::memcpy(&word, data + index * sizeof word, sizeof word);
    return word;
}

// Of the largest results that a core sends.
size_t bytes_of_element(GemmType type) {
    switch (type) {
    case GemmType::s8_s8:
        return 1;
    case GemmType::s8_s16:
        return 2;
    default:
        return 4;
    }
}

} // namespace

// The tiles that one core adds up, from the first along K on, or what there is of them.
struct GemmModel::Job {
    Core* core;
    std::span<const Step> steps;
    bool continues;             // from the sums of the core
    Result* result;             // of the last step, or null
    std::vector<uint32_t> sums; // if there is no result
};

GemmModel::GemmModel(GemmType type)
    : type_(type), piece_bytes_(core_tile * core_tile * bytes_of_element(type) / out_pieces),
      cores_(side * side) {
    for (Core& core : cores_)
        core.sums.resize(core_tile * core_tile);
}

void GemmModel::write_data(uint32_t, uint32_t, uint32_t, uint32_t) {
    throw Fault("functional mode: the matrix product has no parameters in data memory");
}

bool GemmModel::Feed::fill(Shim::Channel& channel, size_t message_bytes) {
    bool moved = false;
    while (arrived() - delivered < stock) {
        const std::span<uint8_t> there = channel.next(message_bytes - arriving.size());
        if (there.empty())
            return moved;
        moved = true;
        if (there.size() == message_bytes) {
            messages.push_back({there.data(), {}});
        } else {
            arriving.insert(arriving.end(), there.begin(), there.end());
            if (arriving.size() == message_bytes) {
                messages.push_back({nullptr, std::exchange(arriving, {})});
                messages.back().data = messages.back().copy.data();
            }
        }
        channel.advance(there.size());
    }
    return moved;
}

void GemmModel::Feed::forget(uint64_t before) {
    for (; first < before; ++first)
        messages.pop_front();
}

void GemmModel::Feed::keep(size_t message_bytes) {
    for (Message& message : messages)
        if (message.copy.empty()) {
            message.copy.assign(message.data, message.data + message_bytes);
            message.data = message.copy.data();
        }
}

// A tile goes to four cores at once: when all of them have a buffer for it.
bool GemmModel::deliver() {
    bool moved = false;
    for (size_t i = 0; i < side; ++i) {
        uint64_t of_row = UINT64_MAX, of_column = UINT64_MAX;
        for (size_t j = 0; j < side; ++j) {
            of_row = std::min(of_row, core(j, i).steps);
            of_column = std::min(of_column, core(i, j).steps);
        }
        for (const auto& [feed, steps] : {std::pair{&a_[i], of_row}, {&b_[i], of_column}}) {
            const uint64_t now = std::min(feed->arrived(), steps + core_buffers);
            moved = moved || now > feed->delivered;
            feed->delivered = std::max(feed->delivered, now);
        }
    }
    return moved;
}

// All that OUT holds, or one of its two units.
size_t GemmModel::pieces_of(const Step& last) const {
    return last.form == Form::whole ? out_pieces : 1;
}

GemmModel::Form GemmModel::form_of(uint32_t place) const {
    if (!(place & last_k_tile) || type_ != GemmType::bf16)
        return Form::whole;
    if (place & results_of_gelu)
        return Form::gelu;
    return place & results_of_16_bits ? Form::low_bits : Form::whole;
}

bool GemmModel::step(size_t column, size_t row) {
    Core& core = this->core(column, row);
    bool moved = false;
    while (core.steps < a_[row].delivered && core.steps < b_[column].delivered) {
        const uint8_t* b = b_[column].message(core.steps).data;
        const uint32_t place = word_at(b, 0);
        const bool last = place & last_k_tile;
        const Step step{a_[row].message(core.steps).data,
                        b + b_header_bytes,
                        (place & first_k_tile) != 0,
                        last,
                        form_of(place),
                        word_at(b, 1)};
        // Room for the result in OUT: what was there before is in the memory tile.
        if (last && core.pieces + pieces_of(step) > core.drained + stock_pieces + out_pieces)
            break;
        core.to_do.push_back(step);
        ++core.steps;
        if (last) {
            core.results.push_back({core.pieces, pieces_of(step), {}, {}});
            core.pieces += pieces_of(step);
        }
        moved = true;
    }
    return moved;
}

bool GemmModel::drain(Shim::Channel& channel, size_t column, size_t half) {
    Half& at = halves_[column * 2 + half];
    bool moved = false;
    for (;;) {
        Core& from = core(column, 2 * half + at.piece % 2);
        const uint64_t piece = at.piece / 2;
        if (piece >= from.pieces)
            return moved;
        const std::span<uint8_t> to = channel.next(piece_bytes_ - at.sent);
        if (to.empty())
            return moved;
        moved = true;
        const auto behind = std::ranges::upper_bound(from.results, piece, {}, &Result::first_piece);
        Result& sent = *std::prev(behind);
        const size_t offset = (piece - sent.first_piece) * piece_bytes_ + at.sent;
        if (sent.bytes.empty())
            sent.placements.push_back({to.data(), offset, to.size()});
        else
            std::memcpy(to.data(), sent.bytes.data() + offset, to.size());
        channel.advance(to.size());
        at.sent += to.size();
        if (at.sent == piece_bytes_) {
            at.sent = 0;
            ++at.piece;
            ++from.drained;
        }
    }
}

void GemmModel::advance(std::span<const std::unique_ptr<Shim>> shims,
                        const std::atomic<bool>& stop) {
    for (bool moved = true; moved;) {
        moved = false;
        if (stop)
            throw Hang("the run was stopped");
        for (size_t i = 0; i < side; ++i) {
            moved |= a_[i].fill(shims[i]->channel(Shim::from_memory, 0), a_bytes);
            moved |= b_[i].fill(shims[i]->channel(Shim::from_memory, 1), b_bytes);
        }
        moved |= deliver();
        for (size_t column = 0; column < side; ++column) {
            for (size_t row = 0; row < side; ++row)
                moved |= step(column, row);
            for (size_t half = 0; half < 2; ++half)
                moved |= drain(shims[column]->channel(Shim::to_memory, half), column, half);
        }
    }
    compute(stop);

    for (size_t i = 0; i < side; ++i) {
        uint64_t of_row = UINT64_MAX, of_column = UINT64_MAX;
        for (size_t j = 0; j < side; ++j) {
            of_row = std::min(of_row, core(j, i).steps);
            of_column = std::min(of_column, core(i, j).steps);
        }
        a_[i].forget(of_row);
        b_[i].forget(of_column);
    }
    for (Core& core : cores_) {
        core.to_do.clear();
        while (!core.results.empty() &&
               core.drained >= core.results.front().first_piece + core.results.front().n_pieces)
            core.results.pop_front();
    }
}

void GemmModel::end_run() {
    for (size_t i = 0; i < side; ++i) {
        a_[i].keep(a_bytes);
        b_[i].keep(b_bytes);
    }
}

void GemmModel::compute(const std::atomic<bool>& stop) {
    std::vector<Job> jobs;
    size_t n_steps = 0;
    for (Core& core : cores_) {
        n_steps += core.to_do.size();
        const auto n_results = static_cast<size_t>(
            std::ranges::count_if(core.to_do, [](const Step& step) { return step.last; }));
        auto result = core.results.end() - static_cast<ptrdiff_t>(n_results);
        for (size_t begin = 0; begin < core.to_do.size();) {
            size_t end = begin;
            while (end < core.to_do.size() && !core.to_do[end++].last) {
            }
            const bool ends = core.to_do[end - 1].last;
            const bool continues = begin == 0 && !core.to_do[begin].first;
            jobs.push_back({&core,
                            std::span(core.to_do).subspan(begin, end - begin),
                            continues,
                            ends ? &*result++ : nullptr,
                            {}});
            begin = end;
        }
    }

    std::atomic<size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    const auto work = [&] {
        for (size_t i = next++; i < jobs.size(); i = next++) {
            try {
                compute(jobs[i], stop);
            } catch (...) {
                const std::lock_guard lock(mutex);
                failure = std::current_exception();
                next = jobs.size();
            }
        }
    };
    // A thread takes as long to start as some tens of tiles to multiply.
    constexpr size_t steps_per_thread = 64;
    const size_t n_threads = std::min<size_t>(
        {std::thread::hardware_concurrency(), jobs.size(), n_steps / steps_per_thread});
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < n_threads; ++i)
        threads.emplace_back(work);
    work();
    threads.clear();
    if (failure)
        std::rethrow_exception(failure);
    for (Job& job : jobs)
        if (job.result == nullptr)
            job.core->sums = std::move(job.sums);
}

void GemmModel::compute(Job& job, const std::atomic<bool>& stop) const {
    std::vector<uint32_t> sums =
        job.continues ? job.core->sums : std::vector<uint32_t>(core_tile * core_tile);
    const GemmArithmetic& arithmetic = gemm_arithmetic().back();
    // The core's own copies. The arithmetic is not instrumented: here a sanitizer sees what is read
    // of the host's memory, in calls of memmove. A memcpy of so many bytes gcc makes a string
    // instruction, which ThreadSanitizer does not see.
    alignas(64) uint8_t a[a_bytes], b[b_bytes - b_header_bytes];
    for (const Step& step : job.steps) {
        if (stop)
            throw Hang("the run was stopped");
        if (step.first)
            std::ranges::fill(sums, 0);
        std::memmove(a, step.a, sizeof a);
        std::memmove(b, step.b, sizeof b);
        if (step.form == Form::gelu)
            break; // the last one
        if (type_ != GemmType::bf16)
            arithmetic.multiply_s8(reinterpret_cast<const int8_t*>(a),
                                   reinterpret_cast<const int8_t*>(b), sums.data());
        else if (!arithmetic.multiply_bf16(reinterpret_cast<const uint16_t*>(a),
                                           reinterpret_cast<const uint16_t*>(b), sums.data()))
            throw Fault("functional mode does not know what a core makes of infinities");
    }
    if (job.result)
        write_result(job.steps.back(), b, sums.data(), *job.result);
    else
        job.sums = std::move(sums);
}

unsigned GemmModel::shift_of(const Step& last) {
    if (last.shift > largest_shift)
        throw Fault("a core shifts by " + std::to_string(last.shift));
    return last.shift;
}

void GemmModel::write_result(const Step& last, const uint8_t* b, const uint32_t* sums,
                             Result& result) const {
    std::vector<uint8_t> bytes(result.n_pieces * piece_bytes_);
    switch (type_) {
    case GemmType::s8_s32:
        write_s32(sums, bytes.data());
        break;
    case GemmType::s8_s8:
        write_s8(sums, shift_of(last), bytes.data());
        break;
    case GemmType::s8_s16:
        write_s16(sums, shift_of(last), bytes.data());
        break;
    case GemmType::bf16:
        if (last.form == Form::whole)
            write_f32(sums, bytes.data());
        else if (last.form == Form::low_bits)
            write_low_bits_of_f32(sums, bytes.data());
        else if (!gemm_arithmetic().back().gelu(sums, b, bytes.data()))
            throw Fault("functional mode does not know what GELU a core makes of such sums or "
                        "operands");
        break;
    }
    size_t placed = 0;
    for (const Placement& placement : result.placements) {
        std::memcpy(placement.to, bytes.data() + placement.from, placement.bytes);
        placed += placement.bytes;
    }
    if (placed < bytes.size())
        result.bytes = std::move(bytes);
}

} // namespace virtual_npu
