// SPDX-License-Identifier: MIT
// Moves, broadcasts, insertions, extractions and shifts of vectors.
#include "tools/npusim/core_state.hpp"
#include "tools/npusim/lanes.hpp"
#include "tools/npusim/shuffle.hpp"

#include <algorithm>

namespace npusim {

namespace {

using S = CoreState;

// Keeps what is undefined: registers are saved and joined before all their parts are written.
void move_vector(S& s, const Op& op) {
    const OpOperand &to = op.operand[0], &from = op.operand[1];
    if (to.units != from.units || to.unit >= unit::q0 || from.unit >= unit::q0) {
        s.fail(op, "moves between registers of different size");
    }
    bool whole = true;
    for (unsigned i = 0; i < from.units; i++)
        whole &= !s.undefined(static_cast<uint8_t>(from.unit + i));
    const uint8_t* bytes = s.vector_or_undefined(op, 1);
    if (whole) {
        s.write_vector(op, 0, bytes);
        return;
    }
    for (unsigned i = 0; i < from.units; i++) {
        uint8_t destination = static_cast<uint8_t>(to.unit + i);
        if (s.undefined(static_cast<uint8_t>(from.unit + i))) {
            s.write_undefined(op, destination, 1, s.now + to.cycle);
        } else {
            s.reserve(op, destination, 1, s.now + to.cycle, to.bypass);
            s.deliver_vector(destination, 1, bytes + 32 * i, s.now + to.cycle);
        }
    }
}

// Reads its source in cycle 3.
void finish_delayed(S& s, const Op& op, const LateStep& step) {
    const OpOperand& to = op.operand[0];
    s.deliver_vector(to.unit, to.units, s.accumulator(op, 1, step.flight->bypassed[0]),
                     step.issued + to.cycle);
}
void move_delayed(S& s, const Op& op) {
    Flight& flight = s.take_flight();
    flight.bypassed[0] = s.expect_accumulator(op, 1);
    s.reserve(op, 0);
    s.later(op.operand[1].cycle, finish_delayed, op, &flight, s.now);
}

template <typename T>
T scalar(S& s, const Op& op, unsigned i) {
    if constexpr (sizeof(T) == 8)
        return s.read64(op, i);
    else
        return static_cast<T>(s.read(op, i));
}

template <typename T>
void broadcast(S& s, const Op& op) {
    Lanes<T> to;
    T value = scalar<T>(s, op, 1);
    for (T& lane : to.lane)
        lane = value;
    s.write_vector(op, 0, to.lane);
}

template <typename T, bool by_register>
void extract_broadcast(S& s, const Op& op) {
    Lanes<T> from(s.vector(op, 1)), to;
    uint32_t i = by_register ? s.read(op, 2) : static_cast<uint32_t>(op.operand[2].value);
    T value = from[i % from.count];
    for (T& lane : to.lane)
        lane = value;
    s.write_vector(op, 0, to.lane);
}

template <typename T>
void extract(S& s, const Op& op) {
    Lanes<T> from(s.vector(op, 1));
    T value = from[s.read(op, 2) % from.count];
    if constexpr (sizeof(T) == 8) {
        s.write_unit(op, op.operand[0].unit, static_cast<uint32_t>(value),
                     s.now + op.operand[0].cycle);
        s.write_unit(op, static_cast<uint8_t>(op.operand[0].unit + 1),
                     static_cast<uint32_t>(static_cast<uint64_t>(value) >> 32),
                     s.now + op.operand[0].cycle);
    } else {
        s.write(op, 0, static_cast<uint32_t>(static_cast<int32_t>(value)));
    }
}

template <typename T>
void insert(S& s, const Op& op) {
    Lanes<T> to(s.vector_or_undefined(op, 1));
    to[s.read(op, 2) % to.count] = scalar<T>(s, op, 3);
    s.write_vector(op, 0, to.lane);
}

template <typename T>
void push_low(S& s, const Op& op) {
    Lanes<T> from(s.vector_or_undefined(op, 2)), to;
    to[0] = scalar<T>(s, op, 1);
    for (size_t i = 1; i < to.count; i++)
        to[i] = from[i - 1];
    s.write_vector(op, 0, to.lane);
}

template <typename T>
void push_high(S& s, const Op& op) {
    Lanes<T> from(s.vector_or_undefined(op, 1)), to;
    for (size_t i = 0; i + 1 < to.count; i++)
        to[i] = from[i + 1];
    to[to.count - 1] = scalar<T>(s, op, 2);
    s.write_vector(op, 0, to.lane);
}

// 64 bytes of the two operands, the first one lowest, from a byte on; zeros behind them.
void shift_bytes(S& s, const Op& op) {
    uint32_t by = s.read(op, 3);
    alignas(64) uint8_t both[256] = {};
    std::memcpy(both, s.vector_or_undefined(op, 1), 64);
    std::memcpy(both + 64, s.vector_or_undefined(op, 2), 64);
    alignas(64) uint8_t to[64];
    std::memcpy(to, both + std::min(by, uint32_t{128}), 64);
    s.write_vector(op, 0, to);
}

template <typename T>
void select(S& s, const Op& op) {
    Lanes<T> first(s.vector(op, 1)), second(s.vector(op, 2)), to;
    uint64_t mask = sizeof(T) == 1 ? s.read64(op, 3) : s.read(op, 3);
    for (size_t i = 0; i < to.count; i++)
        to[i] = mask >> i & 1 ? second[i] : first[i];
    s.write_vector(op, 0, to.lane);
}

void shuffle_vectors(S& s, const Op& op) {
    uint32_t mode = s.read(op, 3);
    alignas(64) uint8_t to[64];
    if (!shuffle(mode, s.vector_or_undefined(op, 1), s.vector_or_undefined(op, 2), to))
        s.fail(op, "shuffle mode " + std::to_string(mode) + " is not known");
    s.write_vector(op, 0, to);
}

// The second operand of the shuffle is zero.
template <typename T>
void broadcast_shuffle(S& s, const Op& op) {
    Lanes<T> from;
    T value = scalar<T>(s, op, 1);
    for (T& lane : from.lane)
        lane = value;
    uint32_t mode = s.read(op, 2);
    alignas(64) uint8_t to[64];
    constexpr uint8_t zero[64] = {};
    if (!shuffle(mode, reinterpret_cast<const uint8_t*>(from.lane), zero, to))
        s.fail(op, "shuffle mode " + std::to_string(mode) + " is not known");
    s.write_vector(op, 0, to);
}

} // namespace

Issue vector_move_issue(Opcode opcode) {
    using enum Opcode;
    switch (opcode) {
    case VMOV_mv_w:
    case VMOV_mv_x:
    case VMOV_mv_cm:
        return move_vector;
    case VMOV_D:
        return move_delayed;
    case VBCST_8:
        return broadcast<uint8_t>;
    case VBCST_16:
        return broadcast<uint16_t>;
    case VBCST_32:
        return broadcast<uint32_t>;
    case VBCST_64:
        return broadcast<uint64_t>;
    case VEXTBCST_8_mRm:
        return extract_broadcast<uint8_t, true>;
    case VEXTBCST_16_mRm:
        return extract_broadcast<uint16_t, true>;
    case VEXTBCST_32_mRm:
        return extract_broadcast<uint32_t, true>;
    case VEXTBCST_64_mRm:
        return extract_broadcast<uint64_t, true>;
    case VEXTBCST_8_mExtractIdxImm:
        return extract_broadcast<uint8_t, false>;
    case VEXTBCST_16_mExtractIdxImm:
        return extract_broadcast<uint16_t, false>;
    case VEXTBCST_32_mExtractIdxImm:
        return extract_broadcast<uint32_t, false>;
    case VEXTBCST_64_mExtractIdxImm:
        return extract_broadcast<uint64_t, false>;
    case VEXTRACT_S8:
        return extract<int8_t>;
    case VEXTRACT_S16:
        return extract<int16_t>;
    case VEXTRACT_S32:
        return extract<int32_t>;
    case VEXTRACT_S64:
        return extract<int64_t>;
    case VINSERT_8:
        return insert<uint8_t>;
    case VINSERT_16:
        return insert<uint16_t>;
    case VINSERT_32:
        return insert<uint32_t>;
    case VINSERT_64:
        return insert<uint64_t>;
    case VPUSH_LO_8:
        return push_low<uint8_t>;
    case VPUSH_LO_16:
        return push_low<uint16_t>;
    case VPUSH_LO_32:
        return push_low<uint32_t>;
    case VPUSH_LO_64:
        return push_low<uint64_t>;
    case VPUSH_HI_8:
        return push_high<uint8_t>;
    case VPUSH_HI_16:
        return push_high<uint16_t>;
    case VPUSH_HI_32:
        return push_high<uint32_t>;
    case VPUSH_HI_64:
        return push_high<uint64_t>;
    case VSHIFT:
        return shift_bytes;
    case VSEL_8:
        return select<uint8_t>;
    case VSEL_16:
        return select<uint16_t>;
    case VSEL_32:
        return select<uint32_t>;
    case VSHUFFLE:
        return shuffle_vectors;
    case VBCSTSHFL_8:
        return broadcast_shuffle<uint8_t>;
    case VBCSTSHFL_16:
        return broadcast_shuffle<uint16_t>;
    case VBCSTSHFL_32:
        return broadcast_shuffle<uint32_t>;
    case VBCSTSHFL_64:
        return broadcast_shuffle<uint64_t>;
    default:
        return nullptr;
    }
}

} // namespace npusim
