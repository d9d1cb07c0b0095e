// SPDX-License-Identifier: MIT
// Instructions against what a Phoenix NPU made of the same operands.
#include "facts.hpp"
#include "tests/virtual_npu/test_tile.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
}

namespace {

using namespace npusim;
using nlohmann::json;

json silicon;

template <typename T>
std::vector<T> values(const json& from) {
    std::vector<T> to;
    for (const json& value : from)
        to.push_back(static_cast<T>(value.get<int64_t>()));
    return to;
}

// Puts bytes to 0x70000, runs, and takes bytes from 0x78000.
template <typename Out, typename In>
std::vector<Out> through(const std::string& program, const std::vector<In>& in, size_t outputs) {
    TestTile tile;
    std::memcpy(tile.memory.data(), in.data(), in.size() * sizeof(In));
    assert_true(tile.run(program, 1000000));
    std::vector<Out> out(outputs);
    std::memcpy(out.data(), tile.memory.data() + 0x8000, outputs * sizeof(Out));
    return out;
}

const char* const nops = "nop\nnop\nnop\nnop\nnop\nnop\nnop\n";

// One pass of `body` for each block of the input: p0 and p1 move by themselves.
std::string over_blocks(size_t blocks, const std::string& before, const std::string& body) {
    return "lng:MOVXM_lng_cg p0, #0x70000\nlng:MOVXM_lng_cg p1, #0x78000\n"
           "lng:MOVXM_lng_cg p2, #0x74000\nlng:MOVXM_lng_cg r1, #" +
           std::to_string(blocks) + "\n" + before + "block:\n" + body + nops +
           "alu:ADD_add_r_ri r1, r1, #-1\nlng:JNZ r1, @block\nnop\nnop\nnop\nnop\nnop\n" + nops +
           nops + "alu:DONE\nnop\n";
}

void float_to_bfloat_in_ten_rounding_modes(void**) {
    size_t sets = 0;
    for (auto& [name, set] : silicon.items()) {
        if (set["class"] != "bf16_srs")
            continue;
        std::string mode = name.substr(name.rfind("_r") + 2);
        auto in = values<uint32_t>(set["input"]);
        auto expected = values<uint16_t>(set["silicon"]);
        std::string body = "lda:VLDA_dmw_lda_am_ag_pstm_nrm_imm amll0, p0, p0, #32\n"
                           "lda:VLDA_dmw_lda_am_ag_pstm_nrm_imm amlh0, p0, p0, #32\n" +
                           std::string(nops);
        std::string before = "lda:MOVA_lda_cg r2, #" + mode + "\nalu:MOVX_mvx_scl crRnd, r2\n";
        auto stored = through<uint16_t>(
            over_blocks(in.size() / 16, before,
                        body + "st:VST_CONV_BF16_FP32_ag_pstm_nrm_imm p1, p1, #32, bml0\n"),
            in, in.size());
        auto moved = through<uint16_t>(
            over_blocks(in.size() / 16, before,
                        body + "st:VCONV_BF16_FP32 wl4, bml0\nnop\n"
                               "st:VST_dmw_sts_w_ag_pstm_nrm_imm p1, wl4, p1, #32\n"),
            in, in.size());
        assert_memory_equal(stored.data(), expected.data(), 2 * expected.size());
        assert_memory_equal(moved.data(), expected.data(), 2 * expected.size());
        sets++;
    }
    assert_int_equal(sets, 10);
}

// Operands without infinities and NaN: what the model covers.
void products_of_bfloat(void**) {
    const json& set = silicon["vec_mac_bf16_ovf"];
    auto a = values<uint16_t>(set["input_a"]), b = values<uint16_t>(set["input_b"]);
    auto expected = values<uint32_t>(set["silicon"]);
    auto special = [](uint16_t v) { return (v & 0x7f80) == 0x7f80; };
    size_t lanes = 0, tiles = expected.size() / 16;
    for (size_t t = 0; t < tiles; t++) {
        // A special value spoils its row or its column: those are replaced, and not compared.
        std::vector<uint16_t> operands(64);
        std::array<bool, 4> row_ok, column_ok;
        row_ok.fill(true);
        column_ok.fill(true);
        for (size_t i = 0; i < 32; i++) {
            uint16_t x = a[32 * t + i], y = b[32 * t + i];
            row_ok[i / 8] &= !special(x);
            column_ok[i % 4] &= !special(y);
            operands[i] = special(x) ? 0 : x;
            operands[32 + i] = special(y) ? 0 : y;
        }
        auto out = through<uint32_t>(
            over_blocks(1, "lda:MOVA_lda_cg r0, #29\n",
                        "lda:VLDA_dmw_lda_w_ag_idx_imm wl0, p0, #0\n"
                        "lda:VLDA_dmw_lda_w_ag_idx_imm wh0, p0, #32\n"
                        "lda:VLDA_dmw_lda_w_ag_idx_imm wl1, p0, #64\n"
                        "lda:VLDA_dmw_lda_w_ag_idx_imm wh1, p0, #96\n" +
                            std::string(nops) +
                            "vec:VMAC_F_vmac_bm_core_dense bml2, bml2, x0, x1, r0\n" + nops +
                            "st:VST_dmw_sts_am_ag_idx_imm amll2, p1, #0\n"
                            "st:VST_dmw_sts_am_ag_idx_imm amlh2, p1, #32\n"),
            operands, 16);
        for (size_t i = 0; i < 16; i++) {
            if (!row_ok[i / 4] || !column_ok[i % 4])
                continue;
            assert_int_equal(out[i], expected[16 * t + i]);
            lanes++;
        }
    }
    assert_int_equal(lanes, 224);
}

void floor_of_bfloat(void**) {
    const json& set = silicon["vec_vfloor_bf16_denorm"];
    auto in = values<uint16_t>(set["input"]);
    auto expected = values<int32_t>(set["silicon"]);
    auto out = through<int32_t>(
        over_blocks(in.size() / 16, "lda:MOVA_lda_cg r0, #0\nmv:MOV_mv_scl s0, r0\n",
                    "lda:VLDA_dmw_lda_w_ag_pstm_nrm_imm wl0, p0, p0, #32\n" + std::string(nops) +
                        "st:VFLOOR_S32_BF16_mFl2FxSrc_W x2, wl0, s0\nnop\n"
                        "st:VST_dmw_sts_w_ag_pstm_nrm_imm p1, wl2, p1, #32\n"
                        "st:VST_dmw_sts_w_ag_pstm_nrm_imm p1, wh2, p1, #32\n"),
        in, in.size());
    assert_memory_equal(out.data(), expected.data(), 4 * expected.size());
}

void bfloat_to_float(void**) {
    const json& set = silicon["vec_convexp_bf16_denorm"];
    auto in = values<uint16_t>(set["input"]);
    auto expected = values<uint32_t>(set["silicon"]);
    std::string store = "st:VST_dmw_sts_am_ag_pstm_nrm_imm p1, amll1, p1, #32\n"
                        "st:VST_dmw_sts_am_ag_pstm_nrm_imm p1, amlh1, p1, #32\n";
    auto loaded =
        through<uint32_t>(over_blocks(in.size() / 16, "",
                                      "lda:VLDA_CONV_FP32_BF16_pstm_nrm_imm bml1, p0, p0, #32\n" +
                                          std::string(nops) + store),
                          in, in.size());
    auto moved = through<uint32_t>(
        over_blocks(in.size() / 16, "",
                    "lda:VLDA_dmw_lda_w_ag_pstm_nrm_imm wl0, p0, p0, #32\n" + std::string(nops) +
                        "mv:VCONV_FP32_BF16 bml1, wl0\nnop\n" + store),
        in, in.size());
    assert_memory_equal(loaded.data(), expected.data(), 4 * expected.size());
    assert_memory_equal(moved.data(), expected.data(), 4 * expected.size());
}

} // namespace

int main(int argc, char** argv) {
    std::ifstream file(facts_or_skip(argc, argv) / "vectors" / "silicon.json");
    silicon = json::parse(file);
    const CMUnitTest tests[] = {
        cmocka_unit_test(float_to_bfloat_in_ten_rounding_modes),
        cmocka_unit_test(products_of_bfloat),
        cmocka_unit_test(floor_of_bfloat),
        cmocka_unit_test(bfloat_to_float),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
