// SPDX-License-Identifier: MIT
// Multiply, multiply-accumulate and addition of accumulators.
#include "tools/npusim/arithmetic.hpp"
#include "tools/npusim/core_state.hpp"
#include "tools/npusim/lanes.hpp"

namespace npusim {

namespace {

using S = CoreState;

// The configuration word (aiev2_compute_control of llvm-aie's aiev2_vmult.h).
struct Configuration {
    uint32_t word;
    bool zero_acc1() const { return word & 1; }
    unsigned accumulator() const { return word >> 1 & 3; }
    unsigned operands() const { return word >> 3 & 3; }
    unsigned variant() const { return word >> 5 & 7; }
    bool y_signed() const { return word >> 8 & 1; }
    bool x_signed() const { return word >> 9 & 1; }
    bool shift16() const { return word >> 10 & 1; }
    bool negate_product() const { return word >> 11 & 1; }
    bool negate_acc1() const { return word >> 12 & 1; }
    bool negate_acc2() const { return word >> 13 & 1; }
    uint32_t rest() const { return word >> 14; }
};

[[noreturn]] void refuse(S& s, const Op& op, uint32_t word) {
    s.fail(op, "configuration word " + std::to_string(word) + " is not known");
}

// A mode of the integer multiplier: rows x inner by inner x columns, or lane by lane.
struct Mode {
    uint8_t accumulator, operands, variant; // of the configuration word
    uint8_t x_bits, y_bits;
    uint8_t rows, inner, columns; // columns 0: lane by lane, `inner` products apart by `rows`
};
constexpr Mode modes[] = {
    {0, 1, 0, 8, 8, 4, 8, 8},   {0, 1, 1, 8, 8, 32, 2, 0},   {0, 2, 0, 16, 8, 4, 4, 8},
    {0, 3, 0, 16, 16, 4, 2, 8}, {0, 3, 1, 16, 16, 32, 1, 0}, {1, 0, 0, 32, 16, 4, 2, 4},
    {1, 2, 0, 16, 8, 2, 8, 8},  {1, 2, 1, 16, 8, 4, 8, 4},   {1, 3, 0, 16, 16, 2, 4, 8},
    {1, 3, 1, 16, 16, 4, 4, 4},
};

const Mode* find_mode(const Configuration& c) {
    for (const Mode& mode : modes)
        if (mode.accumulator == c.accumulator() && mode.operands == c.operands() &&
            mode.variant == c.variant())
            return &mode;
    return nullptr;
}

// The lanes of an operand, as wide as any.
void widen(const uint8_t* from, unsigned bits, bool is_signed, unsigned count, int64_t* to) {
    for (unsigned i = 0; i < count; i++) {
        uint32_t value = 0;
        std::memcpy(&value, from + i * bits / 8, bits / 8);
        to[i] =
            is_signed ? static_cast<int32_t>(value << (32 - bits)) >> (32 - bits) : int64_t{value};
    }
}

void widen(const uint8_t* from, bool is_signed, unsigned count, int16_t* to) {
    if (is_signed)
        for (unsigned i = 0; i < count; i++)
            to[i] = static_cast<int8_t>(from[i]);
    else
        for (unsigned i = 0; i < count; i++)
            to[i] = from[i];
}

void products(const Mode& mode, const Configuration& c, const uint8_t* x, const uint8_t* y,
              int64_t* out) {
    int64_t a[64], b[64];
    unsigned x_count = mode.rows * unsigned{mode.inner};
    unsigned y_count = mode.columns == 0 ? x_count : mode.inner * unsigned{mode.columns};
    widen(x, mode.x_bits, c.x_signed(), x_count, a);
    widen(y, mode.y_bits, c.y_signed(), y_count, b);
    if (mode.columns == 0) {
        for (unsigned i = 0; i < mode.rows; i++)
            for (unsigned k = 0; k < mode.inner; k++)
                out[i] += a[i + k * mode.rows] * b[i + k * mode.rows];
        return;
    }
    for (unsigned i = 0; i < mode.rows; i++)
        for (unsigned k = 0; k < mode.inner; k++)
            for (unsigned j = 0; j < mode.columns; j++)
                out[i * mode.columns + j] += a[i * mode.inner + k] * b[k * mode.columns + j];
}

// What an instruction adds up: each of the terms, or its negative.
struct Terms {
    bool product, negate_product;
    bool acc1, negate_acc1;
    bool acc2, negate_acc2;
};
constexpr Terms mul = {true, false, false, false, false, false};
constexpr Terms mac = {true, false, true, false, false, false};
constexpr Terms negmsc = {true, false, true, true, false, false};
constexpr Terms submac = {true, false, true, false, true, true};
constexpr Terms add = {false, false, true, false, true, false};
constexpr Terms sub = {false, false, true, false, true, true};
constexpr Terms negadd = {false, false, true, true, true, true};
constexpr Terms negsub = {false, false, true, true, true, false};
constexpr Terms neg = {false, false, true, true, false, false};

template <typename T>
void add_term(T* sum, const uint8_t* acc, size_t lanes, bool negate, unsigned shift) {
    for (size_t i = 0; i < lanes; i++) {
        T value;
        std::memcpy(&value, acc + i * sizeof(T), sizeof(T));
        value = static_cast<T>(value << shift);
        sum[i] = static_cast<T>(negate ? sum[i] - value : sum[i] + value);
    }
}

template <Terms terms, typename T>
void accumulate(S& s, const Op& op, const Flight& f, const Configuration& c, T* sum) {
    constexpr size_t lanes = 128 / sizeof(T);
    if (terms.acc1 && !c.zero_acc1())
        add_term(sum, s.accumulator(op, 1, f.bypassed[0]), lanes,
                 terms.negate_acc1 != c.negate_acc1(), c.shift16() ? 16 : 0);
    if (terms.acc2)
        add_term(sum, s.accumulator(op, 2, f.bypassed[1]), lanes,
                 terms.negate_acc2 != c.negate_acc2(), 0);
}

template <Terms terms>
void finish_integer(S& s, const Op& op, const LateStep& step) {
    const Flight& f = *step.flight;
    Configuration c{f.word};
    bool negate = terms.negate_product != c.negate_product();
    const OpOperand& to = op.operand[0];
    if (terms.product && c.accumulator() == 0 && c.operands() == 1 && c.variant() == 0) {
        alignas(64) int16_t a[32], b[64];
        alignas(64) int32_t product[32];
        widen(f.a, c.x_signed(), 32, a);
        widen(f.b, c.y_signed(), 64, b);
        multiply_4x8x8(a, b, product);
        alignas(64) uint32_t sum[32];
        for (int i = 0; i < 32; i++)
            sum[i] = static_cast<uint32_t>(negate ? -product[i] : product[i]);
        accumulate<terms>(s, op, f, c, sum);
        s.deliver_vector(to.unit, 4, sum, step.issued + to.cycle);
        return;
    }
    int64_t product[32] = {};
    if (terms.product)
        products(*find_mode(c), c, f.a, f.b, product);
    if (c.accumulator() != 1) {
        alignas(64) uint32_t sum[32];
        for (int i = 0; i < 32; i++)
            sum[i] = static_cast<uint32_t>(negate ? -product[i] : product[i]);
        accumulate<terms>(s, op, f, c, sum);
        s.deliver_vector(to.unit, 4, sum, step.issued + to.cycle);
    } else {
        alignas(64) uint64_t sum[16];
        for (int i = 0; i < 16; i++)
            sum[i] = static_cast<uint64_t>(negate ? -product[i] : product[i]);
        accumulate<terms>(s, op, f, c, sum);
        s.deliver_vector(to.unit, 4, sum, step.issued + to.cycle);
    }
}

// The accumulators are read in cycle 3. Additions look at a few bits of the configuration only.
template <Terms terms>
void multiply(S& s, const Op& op) {
    constexpr unsigned x = 1 + terms.acc1 + terms.acc2;
    Configuration c{s.read(op, terms.product ? x + 2 : x)};
    if (terms.product && (c.rest() || !find_mode(c)))
        refuse(s, op, c.word);
    Flight& f = s.take_flight();
    if (terms.product) {
        std::memcpy(f.a, s.vector(op, x), 64);
        std::memcpy(f.b, s.vector(op, x + 1), 64);
    }
    f.word = c.word;
    if (terms.acc1 && !c.zero_acc1())
        f.bypassed[0] = s.expect_accumulator(op, 1);
    if (terms.acc2)
        f.bypassed[1] = s.expect_accumulator(op, 2);
    s.reserve(op, 0);
    s.later(3, finish_integer<terms>, op, &f, s.now);
}

// bfloat16 products into float lanes: 4x8 by 8x4, or 16 lanes of two products each.
bool gather_lanes(const Configuration& c, const uint8_t* x, const uint8_t* y, BfloatLanes& lanes,
                  unsigned& products) {
    Lanes<uint16_t> a(x), b(y);
    if (c.variant() == 0) {
        products = 8;
        for (int k = 0; k < 8; k++)
            for (int i = 0; i < 16; i++) {
                lanes.x[k][i] = a[static_cast<size_t>(8 * (i / 4) + k)];
                lanes.y[k][i] = b[static_cast<size_t>(4 * k + i % 4)];
            }
        return true;
    }
    if (c.variant() == 1) {
        products = 2;
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < 16; i++) {
                lanes.x[k][i] = a[static_cast<size_t>(16 * k + i)];
                lanes.y[k][i] = b[static_cast<size_t>(16 * k + i)];
            }
        return true;
    }
    return false;
}

// With an accumulator (VMAC.F) or without one (VMUL.F).
template <bool accumulates>
void finish_float(S& s, const Op& op, const LateStep& step) {
    const Flight& f = *step.flight;
    Configuration c{f.word};
    BfloatLanes lanes;
    unsigned products = 0;
    gather_lanes(c, f.a, f.b, lanes, products);
    alignas(64) uint32_t acc[16], sum[16];
    bool use = accumulates && !c.zero_acc1();
    if (use)
        std::memcpy(acc, s.accumulator(op, 1, f.bypassed[0]), 64);
    if (!multiply_bfloat(lanes, products, c.negate_product(), use ? acc : nullptr, c.negate_acc1(),
                         sum))
        s.fail(op, "an operand is infinite or NaN");
    const OpOperand& to = op.operand[0];
    s.deliver_vector(to.unit, 2, sum, step.issued + to.cycle);
}

template <bool accumulates>
void multiply_float(S& s, const Op& op) {
    constexpr unsigned x = 1 + accumulates;
    Configuration c{s.read(op, x + 2)};
    bool known = c.accumulator() == 2 && c.operands() == 3 && c.variant() <= 1;
    if (c.rest() || c.shift16() || !known)
        refuse(s, op, c.word);
    Flight& f = s.take_flight();
    std::memcpy(f.a, s.vector(op, x), 64);
    std::memcpy(f.b, s.vector(op, x + 1), 64);
    f.word = c.word;
    if (accumulates && !c.zero_acc1())
        f.bypassed[0] = s.expect_accumulator(op, 1);
    s.reserve(op, 0);
    s.later(3, finish_float<accumulates>, op, &f, s.now);
}

void clear(S& s, const Op& op) {
    alignas(64) uint8_t zero[128] = {};
    s.write_vector(op, 0, zero);
}

} // namespace

Issue multiply_issue(Opcode opcode) {
    using enum Opcode;
    switch (opcode) {
    case VMUL_vmac_cm_core_dense:
        return multiply<mul>;
    case VMAC_vmac_cm_core_dense:
        return multiply<mac>;
    case VNEGMSC_vmac_cm_core_dense:
        return multiply<negmsc>;
    case VSUBMAC_vmac_bm_core_dense:
        return multiply<submac>;
    case VADD:
        return multiply<add>;
    case VSUB:
        return multiply<sub>;
    case VNEGADD:
        return multiply<negadd>;
    case VNEGSUB:
        return multiply<negsub>;
    case VNEG:
        return multiply<neg>;
    case VMUL_F_vmac_bm_core_dense:
        return multiply_float<false>;
    case VMAC_F_vmac_bm_core_dense:
        return multiply_float<true>;
    case VCLR_vclr:
    case VCLR_vclr_BF:
        return clear;
    default:
        return nullptr;
    }
}

} // namespace npusim
