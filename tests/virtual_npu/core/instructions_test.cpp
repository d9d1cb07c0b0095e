// SPDX-License-Identifier: MIT
// What instructions compute, against their definitions written down again.
#include "tests/virtual_npu/test_tile.hpp"

#include <cmath>
#include <random>

extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
}

namespace {

using namespace npusim;

const std::string nops = "nop\nnop\nnop\nnop\nnop\nnop\nnop\n";
const std::string end = nops + "alu:DONE\nnop\n";

std::string set(const std::string& reg, int64_t value) {
    return "lng:MOVXM_lng_cg " + reg + ", #" + std::to_string(value) + "\n";
}

// Registers are given, a program runs, registers are looked at.
struct Run : TestTile {
    void operator()(const std::string& program) { assert_true(run(program + "\n" + end, 100000)); }
};

std::mt19937 random_bits(1);

template <typename T>
std::vector<T> random_lanes(size_t n) {
    std::vector<T> values(n);
    for (T& value : values)
        value = static_cast<T>(random_bits());
    return values;
}

float value_of(uint16_t bits) {
    uint32_t wide = uint32_t{bits} << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
}

void scalars(void**) {
    struct Case {
        const char* instruction;
        uint32_t (*expected)(uint32_t a, uint32_t b);
    };
    const Case cases[] = {
        {"ADD", [](uint32_t a, uint32_t b) { return a + b; }},
        {"SUB", [](uint32_t a, uint32_t b) { return a - b; }},
        {"AND", [](uint32_t a, uint32_t b) { return a & b; }},
        {"OR", [](uint32_t a, uint32_t b) { return a | b; }},
        {"XOR", [](uint32_t a, uint32_t b) { return a ^ b; }},
        {"MUL_mul_r_rr", [](uint32_t a, uint32_t b) { return a * b; }},
        {"EQ", [](uint32_t a, uint32_t b) -> uint32_t { return a == b; }},
        {"NE", [](uint32_t a, uint32_t b) -> uint32_t { return a != b; }},
        {"LTU", [](uint32_t a, uint32_t b) -> uint32_t { return a < b; }},
        {"GEU", [](uint32_t a, uint32_t b) -> uint32_t { return a >= b; }},
        {"LT",
         [](uint32_t a, uint32_t b) -> uint32_t { return (a ^ 0x80000000) < (b ^ 0x80000000); }},
        {"GE",
         [](uint32_t a, uint32_t b) -> uint32_t { return (a ^ 0x80000000) >= (b ^ 0x80000000); }},
    };
    const int32_t values[] = {0, 1, -1, 5, -5, 0x7fffffff, -0x7fffffff - 1, 0x12345678};
    for (const Case& c : cases)
        for (int32_t a : values)
            for (int32_t b : values) {
                Run tile;
                tile(set("r1", a) + set("r2", b) + "alu:" + c.instruction + " r3, r1, r2");
                assert_int_equal(tile.scalar("r3"),
                                 c.expected(static_cast<uint32_t>(a), static_cast<uint32_t>(b)));
            }
    // Amounts below zero shift to the right.
    for (int by : {-31, -7, 0, 9, 31}) {
        Run tile;
        tile(set("r1", -123456789) + set("r2", by) + "alu:LSHL r3, r1, r2\nalu:ASHL r4, r1, r2");
        int64_t value = -123456789, low = uint32_t(-123456789);
        assert_int_equal(tile.scalar("r3"), uint32_t(by < 0 ? low >> -by : low << by));
        assert_int_equal(tile.scalar("r4"), uint32_t(by < 0 ? value >> -by : value << by));
    }
    Run tile;
    tile(set("r1", 0x8081f2) + set("r27", 0) + set("r2", 77) +
         "alu:EXTENDs8 r3, r1\nalu:EXTENDu8 r4, r1\nalu:EXTENDs16 r5, r1\nalu:EXTENDu16 r6, r1\n"
         "alu:SELEQZ r7, r1, r2, r27\nalu:SELNEZ r8, r1, r2, r27\nmv:ADD_NC p3, r1, #-2\n"
         "mv:MOV_mv_scl r9, p3");
    assert_int_equal(tile.scalar("r3"), 0xfffffff2);
    assert_int_equal(tile.scalar("r4"), 0xf2);
    assert_int_equal(tile.scalar("r5"), 0xffff81f2);
    assert_int_equal(tile.scalar("r6"), 0x81f2);
    assert_int_equal(tile.scalar("r7"), 0x8081f2);
    assert_int_equal(tile.scalar("r8"), 77);
    assert_int_equal(tile.scalar("r9"), 0x081f0); // 20 bits
}

void control_flow(void**) {
    Run tile;
    tile(set("r1", 5) + "alu:MOVX_alu_cg r2, #0\n"
                        "pass:\n"
                        "alu:ADD_add_r_ri r2, r2, #1\n"
                        "alu:ADD_add_r_ri r1, r1, #-1\n"
                        "lng:JNZ r1, @pass\nnop\nnop\nnop\nnop\nalu:ADD_add_r_ri r2, r2, #16\n"
                        "lng:JL @function\nnop\nnop\nnop\nnop\nalu:MOVX_alu_cg r4, #1\n"
                        "alu:ADD_add_r_ri r4, r4, #8\n"
                        "lng:J_jump_imm @out\nnop\nnop\nnop\nnop\nnop\n"
                        "function:\n"
                        "alu:RET\nnop\nnop\nnop\nnop\nalu:ADD_add_r_ri r4, r4, #2\n"
                        "out:\n"
                        "nop\n");
    assert_int_equal(tile.scalar("r2"), 5 + 5 * 16);
    assert_int_equal(tile.scalar("r4"), 11);
    assert_int_equal(tile.scalar("r1"), 0);

    for (int count : {1, 2, 7}) {
        Run loop;
        loop(set("LS", 16 * 12) + set("LE", 16 * 14) + set("LC", count) +
             "alu:MOVX_alu_cg r1, #0\n" + nops +
             "nop\nalu:ADD_add_r_ri r1, r1, #1\nnop\n"
             "alu:ADD_add_r_ri r1, r1, #32");
        assert_int_equal(loop.scalar("r1"), 33 * count);
        assert_int_equal(loop.scalar("LC"), 0);
    }
}

// A pointer that walks over three dimensions, as aiev2_addr.h of llvm-aie describes the counters.
void three_dimensions(void**) {
    int m0 = 1024, dj0 = 4, dj4 = 64;
    unsigned dn0 = 2, dn4 = 1;
    std::string program = set("p0", 0x70000) + set("p1", 0x70000) + set("m0", m0) +
                          set("dn0", dn0) + set("dj0", dj0) + set("dc0", 0) + set("dn4", dn4) +
                          set("dj4", dj4) + set("dc4", 0) + set("m1", 100) + set("dn1", 1) +
                          set("dj1", -4) + set("dc1", 0);
    unsigned dc0 = 0, dc4 = 0;
    int p = 0x70000;
    for (int i = 0; i < 17; i++) {
        program += "lda:PADDA_3D p0, p0, d0_3d\n";
        if (dc0 < dn0) {
            p += dj0;
            dc0++;
        } else {
            dc0 = 0;
            if (dc4 < dn4) {
                p += dj4;
                dc4++;
            } else {
                dc4 = 0;
                p += m0;
            }
        }
    }
    program += "ldb:PADDB_2D p1, p1, d1\nldb:PADDB_2D p1, p1, d1\nldb:PADDB_2D p1, p1, d1";
    Run tile;
    tile(program);
    assert_int_equal(tile.scalar("p0"), p);
    assert_int_equal(tile.scalar("dc0"), dc0);
    assert_int_equal(tile.scalar("dc4"), dc4);
    assert_int_equal(tile.scalar("p1"), 0x70000 - 4 + 100 - 4);
    assert_int_equal(tile.scalar("dc1"), 1);
}

void parts_of_words(void**) {
    Run tile;
    for (size_t i = 0; i < 8; i++)
        tile.memory[i] = static_cast<uint8_t>(0x80 + i);
    tile(set("p0", 0x70000) + set("r1", 0x1234) +
         "lda:LDA_S8_ag_idx_imm r2, p0, #1\nlda:LDA_U8_ag_idx_imm r3, p0, #1\n"
         "lda:LDA_S16_ag_idx_imm r4, p0, #2\nlda:LDA_U16_ag_idx_imm r5, p0, #2\n"
         "lda:LDA_dms_lda_pstm_nrm_imm r6, p0, p0, #4\n" +
         nops + "lda:ST_S8_ag_idx_imm r1, p0, #-1\n" + nops + "lda:ST_S16_ag_idx_imm r1, p0, #2\n" +
         nops);
    assert_int_equal(tile.scalar("r2"), 0xffffff81);
    assert_int_equal(tile.scalar("r3"), 0x81);
    assert_int_equal(tile.scalar("r4"), 0xffff8382);
    assert_int_equal(tile.scalar("r5"), 0x8382);
    assert_int_equal(tile.scalar("r6"), 0x83828180);
    const uint8_t expected[] = {0x80, 0x81, 0x82, 0x34, 0x84, 0x85, 0x34, 0x12};
    assert_memory_equal(tile.memory.data(), expected, 8);
}

void products_of_bytes(void**) {
    for (bool x_signed : {true, false})
        for (bool y_signed : {true, false}) {
            auto a = random_lanes<uint8_t>(64), b = random_lanes<uint8_t>(64);
            auto c = random_lanes<uint32_t>(32), d = random_lanes<uint32_t>(32);
            int word = 8 | x_signed << 9 | y_signed << 8;
            Run tile;
            tile.set_lanes("x0", a);
            tile.set_lanes("x1", b);
            for (const char* reg : {"cm0", "cm4"})
                tile.set_lanes(reg, c);
            tile.set_lanes("cm5", d);
            tile(set("r0", word) + set("r1", word | 1) +
                 "vec:VMAC_vmac_cm_core_dense cm0, cm0, x0, x1, r0\n"
                 "vec:VMAC_vmac_cm_core_dense cm2, cm4, x0, x1, r1\n"
                 "vec:VMUL_vmac_cm_core_dense cm3, x0, x1, r0\n"
                 "vec:VADD cm7, cm4, cm5, r0\n"
                 "vec:VSUB cm8, cm4, cm5, r0");
            for (unsigned i = 0; i < 4; i++)
                for (unsigned j = 0; j < 8; j++) {
                    uint32_t sum = 0;
                    for (unsigned k = 0; k < 8; k++) {
                        int x = a[8 * i + k], y = b[8 * k + j];
                        x -= x_signed && x > 127 ? 256 : 0;
                        y -= y_signed && y > 127 ? 256 : 0;
                        sum += static_cast<uint32_t>(x * y);
                    }
                    unsigned n = 8 * i + j;
                    assert_int_equal(tile.lanes<uint32_t>("cm0")[n], c[n] + sum);
                    assert_int_equal(tile.lanes<uint32_t>("cm2")[n], sum);
                    assert_int_equal(tile.lanes<uint32_t>("cm3")[n], sum);
                    assert_int_equal(tile.lanes<uint32_t>("cm7")[n], c[n] + d[n]);
                    assert_int_equal(tile.lanes<uint32_t>("cm8")[n], c[n] - d[n]);
                }
        }
}

// 4x2 by 2x8 into 32 bits, 4x4 by 4x4 and 2x4 by 4x8 into 64 bits.
void products_of_words(void**) {
    struct Case {
        int word;
        unsigned rows, inner, columns;
        bool wide;
    };
    for (const Case& c : {Case{0x300 | 3 << 3, 4, 2, 8, false},
                          Case{0x300 | 3 << 3 | 1 << 1 | 1 << 5, 4, 4, 4, true},
                          Case{0x300 | 3 << 3 | 1 << 1, 2, 4, 8, true}}) {
        auto a = random_lanes<int16_t>(32), b = random_lanes<int16_t>(32);
        Run tile;
        tile.set_lanes("x0", a);
        tile.set_lanes("x1", b);
        tile(set("r0", c.word) + "vec:VMUL_vmac_cm_core_dense cm0, x0, x1, r0");
        for (unsigned i = 0; i < c.rows; i++)
            for (unsigned j = 0; j < c.columns; j++) {
                int64_t sum = 0;
                for (unsigned k = 0; k < c.inner; k++)
                    sum += int64_t{a[i * c.inner + k]} * b[k * c.columns + j];
                unsigned n = i * c.columns + j;
                if (c.wide)
                    assert_true(tile.lanes<int64_t>("cm0")[n] == sum);
                else
                    assert_int_equal(tile.lanes<uint32_t>("cm0")[n], static_cast<uint32_t>(sum));
            }
    }
}

void products_of_bfloat(void**) {
    for (bool elementwise : {false, true})
        for (int round = 0; round < 20; round++) {
            std::vector<uint16_t> a(32), b(32);
            std::vector<float> c(16);
            for (auto* v : {&a, &b})
                for (uint16_t& x : *v) // 2^-3 to 2^4
                    x = static_cast<uint16_t>((124 + random_bits() % 7) << 7 | random_bits() % 128 |
                                              (random_bits() % 2) << 15);
            for (float& x : c)
                x = static_cast<float>(static_cast<int32_t>(random_bits())) * 0x1p-28f;
            Run tile;
            tile.set_lanes("x0", a);
            tile.set_lanes("x1", b);
            tile.set_lanes("bml0", c);
            tile(set("r0", elementwise ? 60 : 28) +
                 "vec:VMAC_F_vmac_bm_core_dense bml0, bml0, x0, x1, r0\n"
                 "vec:VMUL_F_vmac_bm_core_dense bml2, x0, x1, r0");
            for (unsigned n = 0; n < 16; n++) {
                double sum = 0, largest = std::abs(c[n]);
                for (unsigned k = 0; k < (elementwise ? 2u : 8u); k++) {
                    double x = value_of(a[elementwise ? 16 * k + n : 8 * (n / 4) + k]);
                    double y = value_of(b[elementwise ? 16 * k + n : 4 * k + n % 4]);
                    sum += x * y;
                    largest = std::max(largest, std::abs(x * y));
                }
                // Nine terms each rounded on a grid of 2^-23 of the largest, and the sum once.
                double bound = largest * 0x1p-23 * 6;
                auto near = [&](double value, double expected) {
                    assert_true(std::abs(value - expected) <= bound);
                };
                near(tile.lanes<float>("bml0")[n], c[n] + sum);
                near(tile.lanes<float>("bml2")[n], sum);
            }
        }
}

// The ten rounding modes and the saturation by arithmetic in doubles.
void shift_round_saturate(void**) {
    const int modes[] = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13};
    std::vector<int32_t> acc = random_lanes<int32_t>(32);
    for (size_t i = 0; i < 24; i++) // halves of both signs, and small values
        acc[i] = static_cast<int32_t>(i) * 8 - 96;
    for (int mode : modes)
        for (int saturation : {0, 1, 3})
            for (int shift : {0, 4}) {
                Run tile;
                tile.set_lanes("cm0", acc);
                tile(set("r1", mode) + set("r2", saturation) + set("s0", shift) +
                     "alu:MOVX_mvx_scl crRnd, r1\nalu:MOVX_mvx_scl crSat, r2\n" +
                     set("p0", 0x70000) +
                     "st:VSRS_S8_S32_mv_w_srs wl0, cm0, s0\nst:VSRS_S16_S32_mv_x_srs x1, cm0, s0\n"
                     "st:VST_SRS_S8_S32_ag_idx_imm p0, #0, cm0, s0\n");
                auto bytes = tile.lanes<int8_t>("wl0");
                auto words = tile.lanes<int16_t>("x1");
                assert_memory_equal(tile.memory.data(), bytes.data(), 32);
                for (size_t i = 0; i < 32; i++) {
                    double x = std::ldexp(static_cast<double>(acc[i]), -shift), f = std::floor(x);
                    double away = x < 0 ? f : std::ceil(x), zero = std::trunc(x), r = 0;
                    bool half = x - f == 0.5, even = std::fmod(f, 2) == 0;
                    double nearest = x - f > 0.5 ? f + 1 : f;
                    switch (mode) {
                    case 0:
                        r = f;
                        break;
                    case 1:
                        r = std::ceil(x);
                        break;
                    case 2:
                        r = zero;
                        break;
                    case 3:
                        r = away;
                        break;
                    case 8:
                        r = nearest;
                        break;
                    case 9:
                        r = half ? f + 1 : nearest;
                        break;
                    case 10:
                        r = half ? zero : nearest;
                        break;
                    case 11:
                        r = half ? away : nearest;
                        break;
                    case 12:
                        r = half ? (even ? f : f + 1) : nearest;
                        break;
                    case 13:
                        r = half ? (even ? f + 1 : f) : nearest;
                        break;
                    }
                    for (int bits : {8, 16}) {
                        double top = std::ldexp(1, bits - 1) - 1, low = -top - (saturation == 1);
                        double limited = saturation ? std::min(std::max(r, low), top) : r;
                        int got = bits == 8 ? bytes[i] : words[i];
                        int64_t want = static_cast<int64_t>(limited);
                        assert_int_equal(got, bits == 8 ? static_cast<int8_t>(want)
                                                        : static_cast<int16_t>(want));
                    }
                }
            }
}

void upshift(void**) {
    auto bytes = random_lanes<int8_t>(32);
    auto words = random_lanes<int32_t>(16);
    Run tile;
    std::memcpy(tile.memory.data(), bytes.data(), 32);
    tile.set_lanes("wl0", bytes);
    tile.set_lanes("x1", words);
    tile(set("s0", 3) + set("p0", 0x70000) +
         "mv:VUPS_S32_S8_mv_ups_w2c cm0, wl0, s0\nmv:VUPS_S64_S32_mv_ups_x2c cm1, x1, s0\n"
         "lda:VLDA_UPS_S32_S8_ag_idx_imm cm2, s0, p0, #0\n");
    for (size_t i = 0; i < 32; i++) {
        assert_int_equal(tile.lanes<int32_t>("cm0")[i], bytes[i] * 8);
        assert_int_equal(tile.lanes<int32_t>("cm2")[i], bytes[i] * 8);
    }
    for (size_t i = 0; i < 16; i++)
        assert_true(tile.lanes<int64_t>("cm1")[i] == int64_t{words[i]} * 8);
}

void unpacking(void**) {
    auto bytes = random_lanes<int8_t>(32);
    Run tile;
    tile.set_lanes("wl2", bytes);
    tile("ldb:VUNPACK_S16_S8 x3, wl2");
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(tile.lanes<int16_t>("x3")[i], bytes[i]);
}

// Every mode T<bits>_<rows>x<columns> brings element (r, c) to (c, r).
void shuffles(void**) {
    struct Mode {
        int number;
        size_t bits, rows, columns;
        bool high;
    };
    const Mode modes[] = {
        {0, 8, 64, 2, false},   {1, 8, 64, 2, true},    {2, 16, 32, 2, false},
        {3, 16, 32, 2, true},   {4, 32, 16, 2, false},  {5, 32, 16, 2, true},
        {6, 64, 8, 2, false},   {7, 64, 8, 2, true},    {14, 64, 2, 8, false},
        {15, 64, 2, 8, true},   {16, 32, 2, 16, false}, {17, 32, 2, 16, true},
        {18, 16, 2, 32, false}, {19, 16, 2, 32, true},  {20, 8, 2, 64, false},
        {21, 8, 2, 64, true},   {28, 16, 8, 4, false},  {29, 16, 4, 8, false},
        {34, 32, 4, 4, false},  {35, 8, 8, 8, false},   {30, 32, 8, 4, false},
        {33, 32, 4, 8, true},   {24, 16, 16, 4, false}, {27, 16, 4, 16, true},
    };
    std::vector<uint8_t> low(64), high(64);
    for (size_t i = 0; i < 64; i++) {
        low[i] = static_cast<uint8_t>(i);
        high[i] = static_cast<uint8_t>(64 + i);
    }
    for (const Mode& mode : modes) {
        Run tile;
        tile.set_lanes("x0", low);
        tile.set_lanes("x1", high);
        tile(set("r0", mode.number) + "mv:VSHUFFLE x2, x0, x1, r0\nmv:VSHUFFLE bml3, x0, x1, r0");
        auto got = tile.lanes<uint8_t>("x2");
        assert_true(got == tile.lanes<uint8_t>("bml3"));
        size_t size = mode.bits / 8;
        for (size_t r = 0; r < mode.rows; r++)
            for (size_t c = 0; c < mode.columns; c++) {
                size_t from = (r * mode.columns + c) * size, to = (c * mode.rows + r) * size;
                if (mode.high ? to < 64 : to >= 64)
                    continue;
                for (size_t i = 0; i < size; i++)
                    assert_int_equal(got[to % 64 + i], from + i);
            }
    }
}

void vectors(void**) {
    auto a = random_lanes<int16_t>(32), b = random_lanes<int16_t>(32);
    Run tile;
    tile.set_lanes("x0", a);
    tile.set_lanes("x1", b);
    tile(set("r3", 0x5a5a1234) + set("r16", 0x0ff03c5a) + set("r29", 7) + set("r4", 10) +
         "mv:VSEL_16 x2, x0, x1, r16\nmv:VMAX_LT_S16 x3, r17, x0, x1\n"
         "mv:VMIN_GE_S16 x4, r18, x0, x1\nmv:VSHIFT x5, x0, x1, r4\nmv:VINSERT_16 x6, x0, r29, r3\n"
         "mv:VEXTBCST_16_mExtractIdxImm x7, x0, #9\nmv:VBCST_16 x8, r3\nmv:VADD_16 x9, x0, x1\n"
         "mv:VGE_S16 r19, x0, x1\nmv:VSUB_16 x10, x0, x1\nnop\n"
         "mv:VEXTRACT_S16 r20, x6, r16"); // lane 0x1a of 32
    uint32_t less = 0;
    for (size_t i = 0; i < 32; i++) {
        less |= uint32_t{a[i] < b[i]} << i;
        assert_int_equal(tile.lanes<int16_t>("x2")[i], 0x0ff03c5a >> i & 1 ? b[i] : a[i]);
        assert_int_equal(tile.lanes<int16_t>("x3")[i], std::max(a[i], b[i]));
        assert_int_equal(tile.lanes<int16_t>("x4")[i], std::min(a[i], b[i]));
        assert_int_equal(tile.lanes<int16_t>("x5")[i], i + 5 < 32 ? a[i + 5] : b[i - 27]);
        assert_int_equal(tile.lanes<int16_t>("x6")[i], i == 7 ? 0x1234 : a[i]);
        assert_int_equal(tile.lanes<int16_t>("x7")[i], a[9]);
        assert_int_equal(tile.lanes<int16_t>("x8")[i], 0x1234);
        assert_int_equal(tile.lanes<int16_t>("x9")[i], static_cast<int16_t>(a[i] + b[i]));
        assert_int_equal(tile.lanes<int16_t>("x10")[i], static_cast<int16_t>(a[i] - b[i]));
    }
    assert_int_equal(tile.scalar("r17"), less);
    assert_int_equal(tile.scalar("r18"), ~less);
    assert_int_equal(tile.scalar("r19"), ~less);
    assert_int_equal(tile.scalar("r20"), static_cast<uint32_t>(int32_t{a[0x1a]}));
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(control_flow),
        cmocka_unit_test(three_dimensions),
        cmocka_unit_test(parts_of_words),
        cmocka_unit_test(products_of_bytes),
        cmocka_unit_test(products_of_words),
        cmocka_unit_test(products_of_bfloat),
        cmocka_unit_test(shift_round_saturate),
        cmocka_unit_test(upshift),
        cmocka_unit_test(unpacking),
        cmocka_unit_test(shuffles),
        cmocka_unit_test(vectors),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
