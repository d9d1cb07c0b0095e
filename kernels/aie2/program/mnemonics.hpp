// SPDX-License-Identifier: MIT
// Instructions of a core by short names, so that kernels read like assembly. Addresses are bytes;
// pointers with "after" are modified when the access has been made.
#pragma once

#include "kernels/aie2/isa/instruction.hpp"

namespace npuenc::aie2 {

// Registers. x is wl (low half) and wh; cm is bml and bmh, each of two quarters: amll, amlh, amhl,
// amhh in the order of memory.
inline std::string numbered(const char* name, int n) {
    return std::string(name).append(std::to_string(n));
}
inline std::string p(int n) {
    return numbered("p", n);
}
inline std::string m(int n) {
    return numbered("m", n);
}
// Steps of two dimensions, d: dj is added and dc counted up until it has come to dn, then m is
// added and dc begins again.
inline std::string dj(int n) {
    return numbered("dj", n);
}
inline std::string dn(int n) {
    return numbered("dn", n);
}
inline std::string dc(int n) {
    return numbered("dc", n);
}
inline std::string d(int n) {
    return numbered("d", n);
}
inline std::string r(int n) {
    return numbered("r", n);
}
inline std::string l(int n) { // r(16 + 2n) and the next
    return "l" + std::to_string(n);
}
inline std::string s(int n) {
    return numbered("s", n);
}
inline std::string x(int n) {
    return numbered("x", n);
}
inline std::string wl(int n) {
    return numbered("wl", n);
}
inline std::string wh(int n) {
    return numbered("wh", n);
}
inline std::string cm(int n) {
    return numbered("cm", n);
}
inline std::string bm(int cm, int half) {
    return numbered(half == 0 ? "bml" : "bmh", cm);
}
inline std::string am(int cm, int quarter) {
    constexpr const char* names[] = {"amll", "amlh", "amhl", "amhh"};
    return numbered(names[quarter], cm);
}

// Slot lda.
inline Instruction mova(const std::string& to, int value) {
    return {"MOVA_lda_cg", {to, value}};
}
inline Instruction lda(const std::string& to, const std::string& pointer, int offset) {
    return {"LDA_dms_lda_idx_imm", {to, pointer, offset}};
}
inline Instruction lda_after(const std::string& to, const std::string& pointer, int step) {
    return {"LDA_dms_lda_pstm_nrm_imm", {to, pointer, pointer, step}};
}
inline Instruction vlda(const std::string& to, const std::string& pointer, int offset) {
    return {to.starts_with("am") ? "VLDA_dmw_lda_am_ag_idx_imm" : "VLDA_dmw_lda_w_ag_idx_imm",
            {to, pointer, offset}};
}
inline Instruction vlda_after(const std::string& to, const std::string& pointer, int step) {
    return {to.starts_with("am") ? "VLDA_dmw_lda_am_ag_pstm_nrm_imm"
                                 : "VLDA_dmw_lda_w_ag_pstm_nrm_imm",
            {to, pointer, pointer, step}};
}
inline Instruction vlda_after(const std::string& to, const std::string& pointer,
                              const std::string& modifier) {
    return {to.starts_with("am") ? "VLDA_dmw_lda_am_ag_pstm_nrm" : "VLDA_dmw_lda_w_ag_pstm_nrm",
            {to, pointer, pointer, modifier}};
}

// Slot ldb.
inline Instruction vldb_after(const std::string& to, const std::string& pointer, int step) {
    return {"VLDB_dmw_ldb_ag_pstm_nrm_imm", {to, pointer, pointer, step}};
}
inline Instruction vldb_after(const std::string& to, const std::string& pointer,
                              const std::string& modifier) {
    return {"VLDB_dmw_ldb_ag_pstm_nrm", {to, pointer, pointer, modifier}};
}

inline Instruction paddb(const std::string& pointer, int step) {
    return {"PADDB_ldb_ptr_inc_nrm_imm", {pointer, pointer, step}};
}
inline Instruction paddb_2d(const std::string& pointer, int modifier) {
    return {"PADDB_2D", {pointer, dc(modifier), pointer, d(modifier)}};
}
// Of three dimensions: dj of d(modifier) is added as often as its dn says, then that of d(modifier
// + 4) the same, then m.
inline Instruction paddb_3d(const std::string& pointer, int modifier) {
    return {"PADDB_3D", {pointer, dc(modifier), dc(modifier + 4), pointer, d(modifier) + "_3d"}};
}

// Slot st.
inline Instruction st(const std::string& from, const std::string& pointer, int offset) {
    return {"ST_dms_sts_idx_imm", {from, pointer, offset}};
}
inline Instruction vst(const std::string& from, const std::string& pointer, int offset) {
    return {from.starts_with("am") ? "VST_dmw_sts_am_ag_idx_imm" : "VST_dmw_sts_w_ag_idx_imm",
            {from, pointer, offset}};
}
inline Instruction vst_after(const std::string& from, const std::string& pointer, int step) {
    return {"VST_dmw_sts_am_ag_pstm_nrm_imm", {pointer, from, pointer, step}};
}
inline Instruction vst_after(const std::string& from, const std::string& pointer,
                             const std::string& modifier) {
    return {"VST_dmw_sts_am_ag_pstm_nrm", {pointer, from, pointer, modifier}};
}
// The pointer goes on by the two dimensions of d(modifier).
inline Instruction vst_2d_after(const std::string& from, const std::string& pointer, int modifier) {
    return {from.starts_with("am") ? "VST_2D_dmw_sts_am" : "VST_2D_dmw_sts_w",
            {pointer, dc(modifier), from, pointer, d(modifier)}};
}
// 32 sums, shifted right by `shift` and rounded and saturated to int8.
inline Instruction vst_srs_s8_after(const std::string& from, const std::string& pointer, int step,
                                    const std::string& shift) {
    return {"VST_SRS_S8_S32_ag_pstm_nrm_imm", {pointer, pointer, step, from, shift}};
}
inline Instruction vst_srs_s8_after(const std::string& from, const std::string& pointer,
                                    const std::string& modifier, const std::string& shift) {
    return {"VST_SRS_S8_S32_ag_pstm_nrm", {pointer, pointer, modifier, from, shift}};
}
// 16 sums, to int16.
inline Instruction vst_srs_s16_after(const std::string& from, const std::string& pointer, int step,
                                     const std::string& shift) {
    return {"VST_SRS_S16_S32_ag_pstm_nrm_imm", {pointer, pointer, step, from, shift}};
}
inline Instruction vst_srs_s16_after(const std::string& from, const std::string& pointer,
                                     const std::string& modifier, const std::string& shift) {
    return {"VST_SRS_S16_S32_ag_pstm_nrm", {pointer, pointer, modifier, from, shift}};
}
inline Instruction vst_2d_srs_s16_after(const std::string& from, const std::string& pointer,
                                        int modifier, const std::string& shift) {
    return {"VST_2D_SRS_S16_S32", {pointer, dc(modifier), pointer, d(modifier), from, shift}};
}
// 32 sums, to int8 in half a register.
inline Instruction vsrs_s8(const std::string& to, const std::string& from,
                           const std::string& shift) {
    return {"VSRS_S8_S32_mv_w_srs", {to, from, shift}};
}

// The same to int16 in a whole one.
inline Instruction vsrs_s16(const std::string& to, const std::string& from,
                            const std::string& shift) {
    return {"VSRS_S16_S32_mv_x_srs", {to, from, shift}};
}
// 16 sums of f32, to bf16.
inline Instruction vconv_bf16(const std::string& to, const std::string& from) {
    return {"VCONV_BF16_FP32", {to, from}};
}

// Slot alu.
inline Instruction add(const std::string& to, const std::string& a, const std::string& b) {
    return {"ADD", {to, a, b}};
}
inline Instruction and_(const std::string& to, const std::string& a, const std::string& b) {
    return {"AND", {to, a, b}};
}
inline Instruction add(const std::string& to, const std::string& from, int value) {
    return {"ADD_add_r_ri", {to, from, value}};
}
inline Instruction sub(const std::string& to, const std::string& a, const std::string& b) {
    return {"SUB", {to, a, b}};
}
inline Instruction mul(const std::string& to, const std::string& a, const std::string& b) {
    return {"MUL_mul_r_rr", {to, a, b}};
}
// To the left, or to the right where `by` is negative; zeros come in.
inline Instruction lshl(const std::string& to, const std::string& from, const std::string& by) {
    return {"LSHL", {to, from, by}};
}
inline Instruction clz(const std::string& to, const std::string& from) {
    return {"CLZ", {to, from}};
}
inline Instruction set_control(const std::string& control, const std::string& from) {
    return {"MOVX_mvx_scl", {control, from}};
}
// Waits for the lock to hold at least -change, and changes it. Locks of the core's own tile.
inline Instruction acquire(int lock, const std::string& change) {
    return {"ACQ_mLockId_imm", {48 + lock, change}};
}
inline Instruction release(int lock, const std::string& change) {
    return {"REL_mLockId_imm", {48 + lock, change}};
}

// Slot mv.
inline Instruction mov(const std::string& to, const std::string& from) {
    return {"MOV_mv_scl", {to, from}};
}
inline Instruction mov(const std::string& to, int value) {
    return {"MOV_mv_cg", {to, value}};
}
inline Instruction vbcst_32(const std::string& to, const std::string& from) {
    return {"VBCST_32", {to, from}};
}
inline Instruction add_nc(const std::string& to, const std::string& from, int value) {
    return {"ADD_NC", {to, from, value}};
}
inline Instruction vbcst_8(const std::string& to, const std::string& from) {
    return {"VBCST_8", {to, from}};
}
inline Instruction vadd_8(const std::string& to, const std::string& a, const std::string& b) {
    return {"VADD_8", {to, a, b}};
}
inline Instruction vadd_16(const std::string& to, const std::string& a, const std::string& b) {
    return {"VADD_16", {to, a, b}};
}
inline Instruction vsub_16(const std::string& to, const std::string& a, const std::string& b) {
    return {"VSUB_16", {to, a, b}};
}
// Which of the two is less goes to `less`, a bit for each.
inline Instruction vmax_s8(const std::string& to, const std::string& less, const std::string& a,
                           const std::string& b) {
    return {"VMAX_LT_S8", {to, less, a, b}};
}
inline Instruction vmax_s16(const std::string& to, const std::string& less, const std::string& a,
                            const std::string& b) {
    return {"VMAX_LT_S16", {to, less, a, b}};
}
inline Instruction vmax_bf16(const std::string& to, const std::string& less, const std::string& a,
                             const std::string& b) {
    return {"VMAX_LT_BF16", {to, less, a, b}};
}
inline Instruction vmin_bf16(const std::string& to, const std::string& not_less,
                             const std::string& a, const std::string& b) {
    return {"VMIN_GE_BF16", {to, not_less, a, b}};
}
inline Instruction vband(const std::string& to, const std::string& a, const std::string& b) {
    return {"VBAND", {to, a, b}};
}
inline Instruction vmov(const std::string& to, const std::string& from) {
    return {"VMOV_mv_x", {to, from}};
}
inline Instruction vshuffle(const std::string& to, const std::string& a, const std::string& b,
                            const std::string& mode) {
    return {"VSHUFFLE", {to, a, b, mode}};
}
// The 64 bytes that begin `bytes` into a, with b behind it.
inline Instruction vshift(const std::string& to, const std::string& a, const std::string& b,
                          const std::string& bytes) {
    return {"VSHIFT", {to, a, b, bytes}};
}
// 32 int16 as sums, shifted to the left.
inline Instruction vups_s16(const std::string& to, const std::string& from,
                            const std::string& shift) {
    return {"VUPS_S32_S16_mv_ups_x2c", {to, from, shift}};
}

// Slot vec. `acc` is read two cycles after the issue, the result is there four cycles after it
// (vmac_f: five).
inline Instruction vmul(const std::string& to, const std::string& a, const std::string& b,
                        const std::string& configuration) {
    return {"VMUL_vmac_cm_core_dense", {to, a, b, configuration}};
}
inline Instruction vmac(const std::string& to, const std::string& acc, const std::string& a,
                        const std::string& b, const std::string& configuration) {
    return {"VMAC_vmac_cm_core_dense", {to, acc, a, b, configuration}};
}
inline Instruction vmac_f(const std::string& to, const std::string& acc, const std::string& a,
                          const std::string& b, const std::string& configuration) {
    return {"VMAC_F_vmac_bm_core_dense", {to, acc, a, b, configuration}};
}

inline Instruction vclr(const std::string& to) {
    return {"VCLR_vclr", {to}};
}

// Slot lng. Targets are given to Program::emit_to.
inline Instruction movxm(const std::string& to, int64_t value) {
    return {"MOVXM_lng_cg", {to, value}};
}
inline Instruction movxm_target(const std::string& to) {
    return {"MOVXM_lng_cg", {to}};
}
inline Instruction j() {
    return {"J_jump_imm", {}};
}
inline Instruction jz(const std::string& condition) {
    return {"JZ", {condition}};
}
inline Instruction jnz(const std::string& condition) {
    return {"JNZ", {condition}};
}
constexpr int delay_slots = 5; // bundles behind a jump that are still executed

} // namespace npuenc::aie2
