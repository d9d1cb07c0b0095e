// SPDX-License-Identifier: MIT
// Between accumulators and vectors: shift-round-saturate, upshift, bfloat16, pack and unpack; also
// where a load or a store does it on the way.
#include "tools/npusim/arithmetic.hpp"
#include "tools/npusim/core_state.hpp"
#include "tools/npusim/lanes.hpp"

namespace npusim {

namespace {

using S = CoreState;

uint32_t checked_saturation(S& s, const Op& op) {
    uint32_t mode = s.read_unit(op, unit::crSat);
    if (mode == 2)
        s.fail(op, "saturation mode 2 is not known");
    return mode;
}

uint32_t checked_rounding(S& s, const Op& op) {
    uint32_t mode = s.read_unit(op, unit::crRnd);
    if (!is_rounding(mode))
        s.fail(op, "rounding mode " + std::to_string(mode) + " is not known");
    return mode;
}

// The amount by which SRS and UPS shift. What hardware makes of others than these is not known.
unsigned checked_shift(S& s, const Op& op, uint8_t u) {
    uint32_t by = s.read_unit(op, u);
    if (by > 62)
        s.fail(op, "shifts by " + std::to_string(static_cast<int32_t>(by)));
    return by;
}

// How an instruction takes the sign of its vector: fixed as signed, or from a control register.
enum class Sign : uint8_t { fixed, dynamic };

// --- shift, round, saturate

template <typename From, typename To>
void shift_round_saturate(const uint8_t* from, size_t lanes, unsigned shift, uint32_t rounding,
                          uint32_t saturation, bool is_signed, uint8_t* to) {
    for (size_t i = 0; i < lanes; i++) {
        From value;
        std::memcpy(&value, from + i * sizeof value, sizeof value);
        Wide rounded = shift_and_round(value, shift, rounding);
        To result = static_cast<To>(saturate(rounded, 8 * sizeof(To), is_signed, saturation));
        std::memcpy(to + i * sizeof result, &result, sizeof result);
    }
}

template <typename From, typename To, Sign sign>
void srs(S& s, const Op& op, unsigned source, uint8_t* to) {
    const OpOperand& from = op.operand[source];
    bool is_signed = sign == Sign::fixed || (s.read_unit(op, unit::crSRSSign) & 1);
    unsigned shift = checked_shift(s, op, op.operand[source + 1].unit);
    shift_round_saturate<From, To>(s.vector(op, source), 32 * from.units / sizeof(From), shift,
                                   checked_rounding(s, op), checked_saturation(s, op), is_signed,
                                   to);
}

template <typename From, typename To, Sign sign>
void srs_to_vector(S& s, const Op& op) {
    alignas(64) uint8_t to[64];
    srs<From, To, sign>(s, op, 1, to);
    s.write_vector(op, 0, to);
}

void finish_store(S& s, const Op&, const MemoryStep& step) {
    s.bus.store(step.address, std::span(step.flight->a, step.bytes));
}

void store_bytes(S& s, const Op& op, const uint8_t* bytes) {
    uint32_t at = s.access_address(op, 32);
    Flight& flight = s.take_flight();
    std::memcpy(flight.a, bytes, 32);
    s.touch(op, op.memory_cycle[0], finish_store, at, 32, true, &flight);
}

template <typename From, typename To, Sign sign>
void srs_to_memory(S& s, const Op& op) {
    alignas(64) uint8_t to[64];
    srs<From, To, sign>(s, op, op.operands - 2u, to);
    store_bytes(s, op, to);
}

// --- upshift

template <typename From, typename To>
void upshift(const uint8_t* from, size_t lanes, bool is_signed, unsigned shift, uint32_t saturation,
             uint8_t* to) {
    for (size_t i = 0; i < lanes; i++) {
        From value;
        std::memcpy(&value, from + i * sizeof value, sizeof value);
        Wide wide = value;
        if (!is_signed)
            wide &= (Wide{1} << 8 * sizeof(From)) - 1;
        To result = static_cast<To>(saturate(wide << shift, 8 * sizeof(To), true, saturation));
        std::memcpy(to + i * sizeof result, &result, sizeof result);
    }
}

template <typename From, typename To, Sign sign>
void ups(S& s, const Op& op) {
    const OpOperand& from = op.operand[1];
    bool is_signed = sign == Sign::fixed || (s.read_unit(op, unit::crUPSSign) & 1);
    alignas(64) uint8_t to[128];
    upshift<From, To>(s.vector(op, 1), 32 * from.units / sizeof(From), is_signed,
                      checked_shift(s, op, op.operand[2].unit), checked_saturation(s, op), to);
    s.write_vector(op, 0, to);
}

// Loads: the bytes come in cycle 5, shift and sign are read in 7, the saturation mode in 8.
unsigned shift_operand(const Op& op) {
    unsigned i = 0;
    while (op.operand[i].unit < unit::s0 || op.operand[i].unit >= unit::LC)
        i++;
    return i;
}

template <typename From, typename To>
void finish_ups(S& s, const Op& op, const LateStep& step) {
    alignas(64) uint8_t to[128];
    const OpOperand& destination = op.operand[0];
    upshift<From, To>(step.flight->a, 32 / sizeof(From), step.flight->word2, step.flight->word,
                      checked_saturation(s, op), to);
    s.deliver_vector(destination.unit, destination.units, to, step.issued + destination.cycle);
}

template <typename From, typename To, Sign sign>
void take_shift(S& s, const Op& op, const LateStep& step) {
    step.flight->word = checked_shift(s, op, op.operand[shift_operand(op)].unit);
    step.flight->word2 = sign == Sign::fixed || (s.read_unit(op, unit::crUPSSign) & 1);
    s.later(8, finish_ups<From, To>, op, step.flight, step.issued);
}

void take_bytes(S& s, const Op&, const MemoryStep& step) {
    s.bus.load(step.address, std::span(step.flight->a, step.bytes));
}

template <typename From, typename To, Sign sign>
void load_ups(S& s, const Op& op) {
    uint32_t at = s.access_address(op, 32);
    Flight& flight = s.take_flight();
    s.reserve(op, 0);
    s.touch(op, op.memory_cycle[0], take_bytes, at, 32, false, &flight);
    s.later(op.operand[shift_operand(op)].cycle, take_shift<From, To, sign>, op, &flight, s.now);
}

// --- bfloat16

void widen_bfloat(const uint8_t* from, uint8_t* to) {
    for (int i = 0; i < 16; i++) {
        to[4 * i] = to[4 * i + 1] = 0;
        to[4 * i + 2] = from[2 * i];
        to[4 * i + 3] = from[2 * i + 1];
    }
}

void narrow_float(S& s, const Op& op, unsigned source, uint8_t* to) {
    Lanes<uint32_t> from(s.vector(op, source));
    uint32_t mode = checked_rounding(s, op);
    for (size_t i = 0; i < from.count; i++) {
        uint16_t result = float_to_bfloat(from[i], mode);
        std::memcpy(to + 2 * i, &result, 2);
    }
}

void bfloat_to_float(S& s, const Op& op) {
    alignas(64) uint8_t to[64];
    widen_bfloat(s.vector(op, 1), to);
    s.write_vector(op, 0, to);
}

void float_to_bfloat_vector(S& s, const Op& op) {
    alignas(32) uint8_t to[32];
    narrow_float(s, op, 1, to);
    s.write_vector(op, 0, to);
}

void store_bfloat(S& s, const Op& op) {
    alignas(32) uint8_t to[32];
    narrow_float(s, op, op.operands - 1u, to);
    store_bytes(s, op, to);
}

void finish_load_bfloat(S& s, const Op& op, const MemoryStep& step) {
    alignas(32) uint8_t from[32];
    alignas(64) uint8_t to[64];
    s.bus.load(step.address, from);
    widen_bfloat(from, to);
    s.deliver_vector(op.operand[0].unit, 2, to, step.issued + op.operand[0].cycle);
}

void load_bfloat(S& s, const Op& op) {
    uint32_t at = s.access_address(op, 32);
    s.reserve(op, 0);
    s.touch(op, op.memory_cycle[0], finish_load_bfloat, at, 32, false, nullptr);
}

// The largest integer that is not above value * 2^shift.
void floor_bfloat(S& s, const Op& op) {
    const uint8_t* from = s.vector(op, 1);
    int32_t shift = static_cast<int32_t>(s.read(op, 2));
    if (shift < -31 || shift > 31)
        s.fail(op, "scales by 2 to the power of " + std::to_string(shift));
    Lanes<int32_t> to;
    for (size_t i = 0; i < to.count; i++) {
        uint16_t bits;
        std::memcpy(&bits, from + 2 * i, 2);
        int32_t exponent = bits >> 7 & 255;
        int64_t mantissa = (bits & 127) | (exponent ? 128 : 0);
        if (bits >> 15)
            mantissa = -mantissa;
        // value = mantissa * 2^by
        int32_t by = (exponent ? exponent : 1) - 127 - 7 + shift;
        if (exponent == 255 || (mantissa != 0 && by > 24))
            s.fail(op, "the result does not fit into 32 bits");
        to[i] = static_cast<int32_t>(by >= 0 ? mantissa << by : mantissa >> (by < -40 ? 40 : -by));
    }
    s.write_vector(op, 0, to.lane);
}

// --- unpack

template <unsigned bits>
void unpack_lanes(const uint8_t* from, bool is_signed, uint8_t* to) {
    for (unsigned i = 0; i < 256 / bits; i++) {
        unsigned value = bits == 8 ? from[i] : from[i / 2] >> 4 * (i % 2) & 15;
        if (is_signed && value >> (bits - 1))
            value |= ~0u << bits;
        if constexpr (bits == 4) {
            to[i] = static_cast<uint8_t>(value);
        } else {
            uint16_t lane = static_cast<uint16_t>(value);
            std::memcpy(to + 2 * i, &lane, 2);
        }
    }
}

template <unsigned bits, Sign sign>
void finish_unpack(S& s, const Op& op, const LateStep& step) {
    bool is_signed = sign == Sign::fixed || (s.read_unit(op, unit::crUnpackSign) & 1);
    alignas(64) uint8_t to[64];
    const uint8_t* from = step.flight ? step.flight->a : s.late_vector(op, 1, step);
    unpack_lanes<bits>(from, is_signed, to);
    s.deliver_vector(op.operand[0].unit, 2, to, step.issued + op.operand[0].cycle);
}

template <unsigned bits, Sign sign>
void unpack(S& s, const Op& op) {
    s.reserve(op, 0);
    s.later(op.operand[1].cycle, finish_unpack<bits, sign>, op, nullptr, s.now);
}

template <unsigned bits, Sign sign>
void load_unpack(S& s, const Op& op) {
    uint32_t at = s.access_address(op, 32);
    Flight& flight = s.take_flight();
    s.reserve(op, 0);
    s.touch(op, op.memory_cycle[0], take_bytes, at, 32, false, &flight);
    s.later(7, finish_unpack<bits, sign>, op, &flight, s.now);
}

// Instructions that differ in the address only.
#define ADDRESSED(name)                                                                            \
    case name##_ag_idx:                                                                            \
    case name##_ag_idx_imm:                                                                        \
    case name##_ag_pstm_nrm:                                                                       \
    case name##_ag_pstm_nrm_imm

} // namespace

Issue convert_issue(Opcode opcode) {
    using enum Opcode;
    using enum Sign;
    switch (opcode) {
    case VSRS_S16_S32_mv_w_srs:
    case VSRS_S16_S32_mv_x_srs:
    case VSRSM_S16_S32:
        return srs_to_vector<int32_t, int16_t, fixed>;
    case VSRS_D16_S32_mv_w_srs:
    case VSRS_D16_S32_mv_x_srs:
    case VSRSM_D16_S32:
        return srs_to_vector<int32_t, int16_t, dynamic>;
    case VSRS_S32_S64_mv_w_srs:
    case VSRS_S32_S64_mv_x_srs:
    case VSRSM_S32_S64:
        return srs_to_vector<int64_t, int32_t, fixed>;
    case VSRS_D32_S64_mv_w_srs:
    case VSRS_D32_S64_mv_x_srs:
    case VSRSM_D32_S64:
        return srs_to_vector<int64_t, int32_t, dynamic>;
    case VSRS_S8_S32_mv_w_srs:
        return srs_to_vector<int32_t, int8_t, fixed>;
    case VSRS_D8_S32_mv_w_srs:
        return srs_to_vector<int32_t, int8_t, dynamic>;
    case VSRS_S16_S64_mv_w_srs:
        return srs_to_vector<int64_t, int16_t, fixed>;
    case VSRS_D16_S64_mv_w_srs:
        return srs_to_vector<int64_t, int16_t, dynamic>;

        ADDRESSED(VST_SRS_S16_S32)
            : case VST_2D_SRS_S16_S32 : case VST_3D_SRS_S16_S32
            : return srs_to_memory<int32_t, int16_t, fixed>;
        ADDRESSED(VST_SRS_D16_S32)
            : case VST_2D_SRS_D16_S32 : case VST_3D_SRS_D16_S32
            : return srs_to_memory<int32_t, int16_t, dynamic>;
        ADDRESSED(VST_SRS_S32_S64)
            : case VST_2D_SRS_S32_S64 : case VST_3D_SRS_S32_S64
            : return srs_to_memory<int64_t, int32_t, fixed>;
        ADDRESSED(VST_SRS_D32_S64)
            : case VST_2D_SRS_D32_S64 : case VST_3D_SRS_D32_S64
            : return srs_to_memory<int64_t, int32_t, dynamic>;
        ADDRESSED(VST_SRS_S8_S32)
            : case VST_2D_SRS_S8_S32 : case VST_3D_SRS_S8_S32
            : return srs_to_memory<int32_t, int8_t, fixed>;
        ADDRESSED(VST_SRS_D8_S32)
            : case VST_2D_SRS_D8_S32 : case VST_3D_SRS_D8_S32
            : return srs_to_memory<int32_t, int8_t, dynamic>;
        ADDRESSED(VST_SRS_S16_S64)
            : case VST_2D_SRS_S16_S64 : case VST_3D_SRS_S16_S64
            : return srs_to_memory<int64_t, int16_t, fixed>;
        ADDRESSED(VST_SRS_D16_S64)
            : case VST_2D_SRS_D16_S64 : case VST_3D_SRS_D16_S64
            : return srs_to_memory<int64_t, int16_t, dynamic>;

    case VUPS_S32_S16_mv_ups_w2b:
    case VUPS_S32_S16_mv_ups_x2c:
        return ups<int16_t, int32_t, fixed>;
    case VUPS_S32_D16_mv_ups_w2b:
    case VUPS_S32_D16_mv_ups_x2c:
        return ups<int16_t, int32_t, dynamic>;
    case VUPS_S64_S32_mv_ups_w2b:
    case VUPS_S64_S32_mv_ups_x2c:
        return ups<int32_t, int64_t, fixed>;
    case VUPS_S64_D32_mv_ups_w2b:
    case VUPS_S64_D32_mv_ups_x2c:
        return ups<int32_t, int64_t, dynamic>;
    case VUPS_S32_S8_mv_ups_w2c:
        return ups<int8_t, int32_t, fixed>;
    case VUPS_S32_D8_mv_ups_w2c:
        return ups<int8_t, int32_t, dynamic>;
    case VUPS_S64_S16_mv_ups_w2c:
        return ups<int16_t, int64_t, fixed>;
    case VUPS_S64_D16_mv_ups_w2c:
        return ups<int16_t, int64_t, dynamic>;

        ADDRESSED(VLDA_UPS_S32_S16)
            : case VLDA_2D_UPS_S32_S16 : case VLDA_3D_UPS_S32_S16
            : return load_ups<int16_t, int32_t, fixed>;
        ADDRESSED(VLDA_UPS_S32_D16)
            : case VLDA_2D_UPS_S32_D16 : case VLDA_3D_UPS_S32_D16
            : return load_ups<int16_t, int32_t, dynamic>;
        ADDRESSED(VLDA_UPS_S64_S32)
            : case VLDA_2D_UPS_S64_S32 : case VLDA_3D_UPS_S64_S32
            : return load_ups<int32_t, int64_t, fixed>;
        ADDRESSED(VLDA_UPS_S64_D32)
            : case VLDA_2D_UPS_S64_D32 : case VLDA_3D_UPS_S64_D32
            : return load_ups<int32_t, int64_t, dynamic>;
        ADDRESSED(VLDA_UPS_S32_S8)
            : case VLDA_2D_UPS_S32_S8 : case VLDA_3D_UPS_S32_S8
            : return load_ups<int8_t, int32_t, fixed>;
        ADDRESSED(VLDA_UPS_S32_D8)
            : case VLDA_2D_UPS_S32_D8 : case VLDA_3D_UPS_S32_D8
            : return load_ups<int8_t, int32_t, dynamic>;
        ADDRESSED(VLDA_UPS_S64_S16)
            : case VLDA_2D_UPS_S64_S16 : case VLDA_3D_UPS_S64_S16
            : return load_ups<int16_t, int64_t, fixed>;
        ADDRESSED(VLDA_UPS_S64_D16)
            : case VLDA_2D_UPS_S64_D16 : case VLDA_3D_UPS_S64_D16
            : return load_ups<int16_t, int64_t, dynamic>;

    case VFLOOR_S32_BF16_mFl2FxSrc_AM:
    case VFLOOR_S32_BF16_mFl2FxSrc_W:
        return floor_bfloat;
    case VCONV_FP32_BF16:
        return bfloat_to_float;
    case VCONV_BF16_FP32:
        return float_to_bfloat_vector;
        ADDRESSED(VST_CONV_BF16_FP32)
            : case VST_CONV_2D_BF16_FP32 : case VST_CONV_3D_BF16_FP32 : return store_bfloat;
    case VLDA_CONV_FP32_BF16_ag_idx:
    case VLDA_CONV_FP32_BF16_ag_idx_imm:
    case VLDA_CONV_FP32_BF16_pstm_nrm:
    case VLDA_CONV_FP32_BF16_pstm_nrm_imm:
    case VLDA_2D_CONV_FP32_BF16:
    case VLDA_3D_CONV_FP32_BF16:
        return load_bfloat;

    case VUNPACK_S16_S8:
        return unpack<8, fixed>;
    case VUNPACK_D16_D8:
        return unpack<8, dynamic>;
    case VUNPACK_S8_S4:
        return unpack<4, fixed>;
    case VUNPACK_D8_D4:
        return unpack<4, dynamic>;
    case VLDB_UNPACK_S16_S8_ag_idx:
    case VLDB_UNPACK_S16_S8_ag_pstm_nrm:
    case VLDB_2D_UNPACK_S16_S8:
    case VLDB_3D_UNPACK_S16_S8:
        return load_unpack<8, fixed>;
    case VLDB_UNPACK_D16_D8_ag_idx:
    case VLDB_UNPACK_D16_D8_ag_pstm_nrm:
    case VLDB_2D_UNPACK_D16_D8:
    case VLDB_3D_UNPACK_D16_D8:
        return load_unpack<8, dynamic>;
    case VLDB_UNPACK_S8_S4_ag_idx:
    case VLDB_UNPACK_S8_S4_ag_pstm_nrm:
    case VLDB_2D_UNPACK_S8_S4:
    case VLDB_3D_UNPACK_S8_S4:
        return load_unpack<4, fixed>;
    case VLDB_UNPACK_D8_D4_ag_idx:
    case VLDB_UNPACK_D8_D4_pstm_nrm:
    case VLDB_2D_UNPACK_D8_D4:
    case VLDB_3D_UNPACK_D8_D4:
        return load_unpack<4, dynamic>;
    default:
        return nullptr;
    }
}

} // namespace npusim
