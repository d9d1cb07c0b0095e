// SPDX-License-Identifier: MIT
// Loads and stores that move bytes as they are.
#include "tools/npusim/core_state.hpp"

namespace npusim {

namespace {

using S = CoreState;

// What scalars that were never written leave in memory.
constexpr uint32_t garbage = 0xbadc0ffe;

template <typename T>
void finish_scalar(S& s, const Op& op, const MemoryStep& step) {
    std::array<uint8_t, sizeof(T)> bytes;
    s.bus.load(step.address, bytes);
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    s.deliver(op.operand[0].unit, static_cast<uint32_t>(static_cast<int64_t>(value)),
              step.issued + op.operand[0].cycle);
}

template <typename T>
void load_scalar(S& s, const Op& op) {
    uint32_t at = s.access_address(op, sizeof(T));
    s.reserve(op, 0);
    s.touch(op, op.memory_cycle[0], finish_scalar<T>, at, sizeof(T), false, nullptr);
}

void finish_vector(S& s, const Op& op, const MemoryStep& step) {
    alignas(32) uint8_t bytes[32];
    s.bus.load(step.address, bytes);
    s.deliver_vector(op.operand[0].unit, 1, bytes, step.issued + op.operand[0].cycle);
}

// 128 bits go into the lower half, the upper one becomes zero.
void finish_half(S& s, const Op& op, const MemoryStep& step) {
    alignas(32) uint8_t bytes[32] = {};
    s.bus.load(step.address, std::span(bytes).first(16));
    s.deliver_vector(op.operand[0].unit, 1, bytes, step.issued + op.operand[0].cycle);
}

void load_half(S& s, const Op& op) {
    uint32_t at = s.access_address(op, 16);
    s.reserve(op, 0);
    s.touch(op, op.memory_cycle[0], finish_half, at, 16, false, nullptr);
}

void load_vector(S& s, const Op& op) {
    uint32_t at = s.access_address(op, 32);
    s.reserve(op, 0);
    s.touch(op, op.memory_cycle[0], finish_vector, at, 32, false, nullptr);
}

void finish_store(S& s, const Op&, const MemoryStep& step) {
    s.bus.store(step.address, std::span(step.flight->a, step.bytes));
}

void store_scalar(S& s, const Op& op) {
    uint8_t u = op.operand[op.address.data].unit;
    uint32_t value = s.undefined(u) ? garbage : s.read(op, op.address.data);
    uint32_t at = s.access_address(op, 4);
    Flight& flight = s.take_flight();
    std::memcpy(flight.a, &value, 4);
    s.touch(op, op.memory_cycle[0], finish_store, at, 4, true, &flight);
}

void store_vector(S& s, const Op& op) {
    const uint8_t* bytes = s.vector(op, op.address.data);
    uint32_t at = s.access_address(op, 32);
    Flight& flight = s.take_flight();
    std::memcpy(flight.a, bytes, 32);
    s.touch(op, op.memory_cycle[0], finish_store, at, 32, true, &flight);
}

void store_half(S& s, const Op& op) {
    const uint8_t* bytes = s.vector(op, op.address.data);
    uint32_t at = s.access_address(op, 16);
    Flight& flight = s.take_flight();
    std::memcpy(flight.a, bytes, 16);
    s.touch(op, op.memory_cycle[0], finish_store, at, 16, true, &flight);
}

// Stores of 8 and 16 bits read the 32-bit word around them, take their operand two cycles later and
// write the word back.
void read_word(S& s, const Op&, const MemoryStep& step) {
    s.bus.load(step.address, std::span(step.flight->a, 4));
}

template <typename T>
void merge_part(S& s, const Op& op, const LateStep& step) {
    T part = static_cast<T>(s.read(op, op.address.data));
    std::memcpy(step.flight->a + step.flight->word % 4, &part, sizeof part);
}

template <typename T>
void store_part(S& s, const Op& op) {
    uint32_t at = s.access_address(op, sizeof(T));
    Flight& flight = s.take_flight();
    flight.word = at;
    s.touch(op, op.memory_cycle[0], read_word, at & ~3u, 4, false, &flight);
    s.touch(op, op.memory_cycle[1], finish_store, at & ~3u, 4, true, &flight);
    s.later(op.operand[op.address.data].cycle, merge_part<T>, op, &flight, s.now);
}

} // namespace

uint32_t CoreState::access_address(const Op& op, unsigned bytes) {
    uint32_t at = address(op);
    if (at % bytes)
        fail(op, "address " + hex(at) + " is not a multiple of " + std::to_string(bytes));
    if (at < 0x40000 || at >= 0x80000)
        fail(op, "address " + hex(at) + " is in none of the four memories");
    return at;
}

Issue memory_issue(Opcode opcode) {
    using enum Opcode;
    switch (opcode) {
    case LDA_dms_lda_idx:
    case LDA_dms_lda_idx_imm:
    case LDA_dms_lda_pstm_nrm:
    case LDA_dms_lda_pstm_nrm_imm:
    case LDA_2D_dms_lda:
    case LDA_3D_dms_lda:
    case LDA_dms_spill:
        return load_scalar<uint32_t>;
    case LDA_S8_ag_idx:
    case LDA_S8_ag_idx_imm:
    case LDA_S8_ag_pstm_nrm:
    case LDA_S8_ag_pstm_nrm_imm:
    case LDA_2D_S8_dmhb_lda:
    case LDA_3D_S8_dmhb_lda:
        return load_scalar<int8_t>;
    case LDA_U8_ag_idx:
    case LDA_U8_ag_idx_imm:
    case LDA_U8_ag_pstm_nrm:
    case LDA_U8_ag_pstm_nrm_imm:
    case LDA_2D_U8_dmhb_lda:
    case LDA_3D_U8_dmhb_lda:
        return load_scalar<uint8_t>;
    case LDA_S16_ag_idx:
    case LDA_S16_ag_idx_imm:
    case LDA_S16_ag_pstm_nrm:
    case LDA_S16_ag_pstm_nrm_imm:
    case LDA_2D_S16_dmhb_lda:
    case LDA_3D_S16_dmhb_lda:
        return load_scalar<int16_t>;
    case LDA_U16_ag_idx:
    case LDA_U16_ag_idx_imm:
    case LDA_U16_ag_pstm_nrm:
    case LDA_U16_ag_pstm_nrm_imm:
    case LDA_2D_U16_dmhb_lda:
    case LDA_3D_U16_dmhb_lda:
        return load_scalar<uint16_t>;
    case VLDA_dmw_lda_w_ag_idx:
    case VLDA_dmw_lda_w_ag_idx_imm:
    case VLDA_dmw_lda_w_ag_pstm_nrm:
    case VLDA_dmw_lda_w_ag_pstm_nrm_imm:
    case VLDA_dmw_lda_w_ag_spill:
    case VLDA_2D_dmw_lda_w:
    case VLDA_3D_dmw_lda_w:
    case VLDA_dmw_lda_am_ag_idx:
    case VLDA_dmw_lda_am_ag_idx_imm:
    case VLDA_dmw_lda_am_ag_pstm_nrm:
    case VLDA_dmw_lda_am_ag_pstm_nrm_imm:
    case VLDA_dmw_lda_am_ag_spill:
    case VLDA_2D_dmw_lda_am:
    case VLDA_3D_dmw_lda_am:
    case VLDB_dmw_ldb_ag_idx:
    case VLDB_dmw_ldb_ag_idx_imm:
    case VLDB_dmw_ldb_ag_pstm_nrm:
    case VLDB_dmw_ldb_ag_pstm_nrm_imm:
    case VLDB_2D:
    case VLDB_3D:
        return load_vector;
    case VLDA_128:
    case VLDB_128_ag_idx:
    case VLDB_128_ag_pstm_nrm:
    case VLDB_2D_128:
    case VLDB_3D_128:
    case LDA_dmv_lda_q_ag_idx:
    case LDA_dmv_lda_q_ag_idx_imm:
    case LDA_dmv_lda_q_ag_pstm_nrm:
    case LDA_dmv_lda_q_ag_pstm_nrm_imm:
    case LDA_dmv_lda_q_ag_spill:
    case LDA_2D_dmv_lda_q:
    case LDA_3D_dmv_lda_q:
        return load_half;
    case VST_128_ag_idx:
    case VST_128_ag_idx_imm:
    case VST_128_ag_pstm_nrm:
    case VST_128_ag_pstm_nrm_imm:
    case VST_128_ag_spill:
    case VST_2D_128:
    case VST_3D_128:
    case ST_dmv_sts_q_ag_idx:
    case ST_dmv_sts_q_ag_idx_imm:
    case ST_dmv_sts_q_ag_pstm_nrm:
    case ST_dmv_sts_q_ag_pstm_nrm_imm:
    case ST_dmv_sts_q_ag_spill:
    case ST_2D_dmv_sts_q:
    case ST_3D_dmv_sts_q:
        return store_half;
    case ST_dms_sts_idx:
    case ST_dms_sts_idx_imm:
    case ST_dms_sts_pstm_nrm:
    case ST_dms_sts_pstm_nrm_imm:
    case ST_2D_dms_sts:
    case ST_3D_dms_sts:
    case ST_dms_spill:
        return store_scalar;
    case VST_dmw_sts_w_ag_idx:
    case VST_dmw_sts_w_ag_idx_imm:
    case VST_dmw_sts_w_ag_pstm_nrm:
    case VST_dmw_sts_w_ag_pstm_nrm_imm:
    case VST_dmw_sts_w_ag_spill:
    case VST_2D_dmw_sts_w:
    case VST_3D_dmw_sts_w:
    case VST_dmw_sts_am_ag_idx:
    case VST_dmw_sts_am_ag_idx_imm:
    case VST_dmw_sts_am_ag_pstm_nrm:
    case VST_dmw_sts_am_ag_pstm_nrm_imm:
    case VST_dmw_sts_am_ag_spill:
    case VST_2D_dmw_sts_am:
    case VST_3D_dmw_sts_am:
        return store_vector;
    case ST_S8_ag_idx:
    case ST_S8_ag_idx_imm:
    case ST_S8_ag_pstm_nrm:
    case ST_S8_ag_pstm_nrm_imm:
    case ST_2D_S8:
    case ST_3D_S8:
        return store_part<uint8_t>;
    case ST_S16_ag_idx:
    case ST_S16_ag_idx_imm:
    case ST_S16_ag_pstm_nrm:
    case ST_S16_ag_pstm_nrm_imm:
    case ST_2D_S16:
    case ST_3D_S16:
        return store_part<uint16_t>;
    default:
        return nullptr;
    }
}

} // namespace npusim
