// SPDX-License-Identifier: MIT
// Arithmetic and comparisons of integer vectors, and comparisons of bfloat16 vectors.
#include "tools/npusim/core_state.hpp"
#include "tools/npusim/lanes.hpp"

#include <type_traits>

namespace npusim {

namespace {

using S = CoreState;

// What hardware makes of NaN, and of zeros of both signs, is not known.
bool bf16_less(S& s, const Op& op, uint16_t a, uint16_t b) {
    auto is_nan = [](uint16_t v) { return (v & 0x7fff) > 0x7f80; };
    if (is_nan(a) || is_nan(b))
        s.fail(op, "compares a NaN");
    if (a != b && ((a | b) & 0x7fff) == 0)
        s.fail(op, "compares +0 with -0");
    auto ordered = [](uint16_t v) { return v & 0x8000 ? -int32_t{v & 0x7fff} : int32_t{v}; };
    return ordered(a) < ordered(b);
}

// How lanes are compared: `s` signed, `d` by crVaddSign, `bf16`.
enum class As : uint8_t { s, d, bf16 };

template <typename T, As as>
struct Less {
    S& s;
    const Op& op;
    bool is_signed;
    Less(S& state, const Op& of)
        : s(state), op(of),
          is_signed(as == As::s || (as == As::d && (s.read_unit(op, unit::crVaddSign) & 1))) {}
    bool operator()(T a, T b) const {
        using Signed = std::make_signed_t<T>;
        if constexpr (as == As::bf16)
            return bf16_less(s, op, a, b);
        return is_signed ? static_cast<Signed>(a) < static_cast<Signed>(b) : a < b;
    }
};

template <typename T>
void write_mask(S& s, const Op& op, unsigned i, uint64_t mask) {
    s.write(op, i, static_cast<uint32_t>(mask));
    if constexpr (sizeof(T) == 1)
        s.write_unit(op, static_cast<uint8_t>(op.operand[i].unit + 1),
                     static_cast<uint32_t>(mask >> 32), s.now + op.operand[i].cycle);
}

template <typename T, auto f>
void binary(S& s, const Op& op) {
    Lanes<T> a(s.vector(op, 1)), b(s.vector(op, 2)), to;
    for (size_t i = 0; i < to.count; i++)
        to[i] = static_cast<T>(f(a[i], b[i]));
    s.write_vector(op, 0, to.lane);
}
constexpr auto plus = [](auto a, auto b) { return a + b; };
constexpr auto minus = [](auto a, auto b) { return a - b; };
constexpr auto both = [](auto a, auto b) { return a & b; };
constexpr auto either = [](auto a, auto b) { return a | b; };

template <typename T>
void add_or_subtract(S& s, const Op& op) {
    Lanes<T> a(s.vector(op, 1)), b(s.vector(op, 2)), to;
    uint64_t mask = sizeof(T) == 1 ? s.read64(op, 3) : s.read(op, 3);
    for (size_t i = 0; i < to.count; i++)
        to[i] = static_cast<T>(mask >> i & 1 ? a[i] - b[i] : a[i] + b[i]);
    s.write_vector(op, 0, to.lane);
}

// Results of two operands that also give a mask.
enum class Pick : uint8_t { larger, smaller, difference, positive_difference };

template <typename T, As as, Pick pick, bool less>
void compare_and(S& s, const Op& op) {
    Lanes<T> a(s.vector(op, 2)), b(s.vector(op, 3)), to;
    Less<T, as> is_less(s, op);
    uint64_t mask = 0;
    for (size_t i = 0; i < to.count; i++) {
        bool lt = is_less(a[i], b[i]);
        mask |= uint64_t{lt == less} << i;
        if constexpr (pick == Pick::larger)
            to[i] = lt ? b[i] : a[i];
        else if constexpr (pick == Pick::smaller)
            to[i] = lt ? a[i] : b[i];
        else if constexpr (pick == Pick::difference)
            to[i] = static_cast<T>(a[i] - b[i]);
        else
            to[i] = static_cast<T>(lt ? 0 : a[i] - b[i]);
    }
    s.write_vector(op, 0, to.lane);
    write_mask<T>(s, op, 1, mask);
}

template <typename T, As as, bool less>
void compare(S& s, const Op& op) {
    Lanes<T> a(s.vector(op, 1)), b(s.vector(op, 2));
    Less<T, as> is_less(s, op);
    uint64_t mask = 0;
    for (size_t i = 0; i < a.count; i++)
        mask |= uint64_t{is_less(a[i], b[i]) == less} << i;
    write_mask<T>(s, op, 0, mask);
}

template <typename T>
void equals_zero(S& s, const Op& op) {
    Lanes<T> a(s.vector(op, 1));
    uint64_t mask = 0;
    for (size_t i = 0; i < a.count; i++)
        mask |= uint64_t{a[i] == 0} << i;
    write_mask<T>(s, op, 0, mask);
}

template <typename T, As as>
void absolute(S& s, const Op& op) {
    Lanes<T> a(s.vector(op, 2)), to;
    Less<T, as> is_less(s, op);
    uint64_t mask = 0;
    for (size_t i = 0; i < to.count; i++) {
        to[i] = is_less(a[i], 0) ? static_cast<T>(0 - a[i]) : a[i];
        mask |= uint64_t{is_less(0, a[i])} << i;
    }
    s.write_vector(op, 0, to.lane);
    write_mask<T>(s, op, 1, mask);
}

template <typename T>
void negate(S& s, const Op& op) {
    using Signed = std::make_signed_t<T>;
    Lanes<T> a(s.vector(op, 2)), to;
    uint64_t mask = 0;
    for (size_t i = 0; i < to.count; i++) {
        to[i] = static_cast<T>(0 - a[i]);
        mask |= uint64_t{static_cast<Signed>(a[i]) > 0} << i;
    }
    s.write_vector(op, 0, to.lane);
    write_mask<T>(s, op, 1, mask);
}

template <typename T>
void invert(S& s, const Op& op) {
    using Signed = std::make_signed_t<T>;
    Lanes<T> a(s.vector(op, 2)), to;
    uint64_t mask = 0;
    for (size_t i = 0; i < to.count; i++) {
        to[i] = static_cast<T>(~a[i]);
        mask |= uint64_t{static_cast<Signed>(a[i]) < 0} << i;
    }
    s.write_vector(op, 0, to.lane);
    write_mask<T>(s, op, 1, mask);
}

} // namespace

Issue vector_arithmetic_issue(Opcode opcode) {
    using enum Opcode;
    using enum As;
    switch (opcode) {
    case VADD_8:
        return binary<uint8_t, plus>;
    case VADD_16:
        return binary<uint16_t, plus>;
    case VADD_32:
        return binary<uint32_t, plus>;
    case VSUB_8:
        return binary<uint8_t, minus>;
    case VSUB_16:
        return binary<uint16_t, minus>;
    case VSUB_32:
        return binary<uint32_t, minus>;
    case VBAND:
        return binary<uint64_t, both>;
    case VBOR:
        return binary<uint64_t, either>;
    case VADDSUB_8:
        return add_or_subtract<uint8_t>;
    case VADDSUB_16:
        return add_or_subtract<uint16_t>;
    case VADDSUB_32:
        return add_or_subtract<uint32_t>;

    case VMAX_LT_S8:
        return compare_and<uint8_t, As::s, Pick::larger, true>;
    case VMAX_LT_S16:
        return compare_and<uint16_t, As::s, Pick::larger, true>;
    case VMAX_LT_S32:
        return compare_and<uint32_t, As::s, Pick::larger, true>;
    case VMAX_LT_D8:
        return compare_and<uint8_t, d, Pick::larger, true>;
    case VMAX_LT_D16:
        return compare_and<uint16_t, d, Pick::larger, true>;
    case VMAX_LT_D32:
        return compare_and<uint32_t, d, Pick::larger, true>;
    case VMAX_LT_BF16:
        return compare_and<uint16_t, bf16, Pick::larger, true>;
    case VMIN_GE_S8:
        return compare_and<uint8_t, As::s, Pick::smaller, false>;
    case VMIN_GE_S16:
        return compare_and<uint16_t, As::s, Pick::smaller, false>;
    case VMIN_GE_S32:
        return compare_and<uint32_t, As::s, Pick::smaller, false>;
    case VMIN_GE_D8:
        return compare_and<uint8_t, d, Pick::smaller, false>;
    case VMIN_GE_D16:
        return compare_and<uint16_t, d, Pick::smaller, false>;
    case VMIN_GE_D32:
        return compare_and<uint32_t, d, Pick::smaller, false>;
    case VMIN_GE_BF16:
        return compare_and<uint16_t, bf16, Pick::smaller, false>;
    case VSUB_LT_S8:
        return compare_and<uint8_t, As::s, Pick::difference, true>;
    case VSUB_LT_S16:
        return compare_and<uint16_t, As::s, Pick::difference, true>;
    case VSUB_LT_S32:
        return compare_and<uint32_t, As::s, Pick::difference, true>;
    case VSUB_LT_D8:
        return compare_and<uint8_t, d, Pick::difference, true>;
    case VSUB_LT_D16:
        return compare_and<uint16_t, d, Pick::difference, true>;
    case VSUB_LT_D32:
        return compare_and<uint32_t, d, Pick::difference, true>;
    case VSUB_GE_S8:
        return compare_and<uint8_t, As::s, Pick::difference, false>;
    case VSUB_GE_S16:
        return compare_and<uint16_t, As::s, Pick::difference, false>;
    case VSUB_GE_S32:
        return compare_and<uint32_t, As::s, Pick::difference, false>;
    case VSUB_GE_D8:
        return compare_and<uint8_t, d, Pick::difference, false>;
    case VSUB_GE_D16:
        return compare_and<uint16_t, d, Pick::difference, false>;
    case VSUB_GE_D32:
        return compare_and<uint32_t, d, Pick::difference, false>;
    case VMAXDIFF_LT_S8:
        return compare_and<uint8_t, As::s, Pick::positive_difference, true>;
    case VMAXDIFF_LT_S16:
        return compare_and<uint16_t, As::s, Pick::positive_difference, true>;
    case VMAXDIFF_LT_S32:
        return compare_and<uint32_t, As::s, Pick::positive_difference, true>;
    case VMAXDIFF_LT_D8:
        return compare_and<uint8_t, d, Pick::positive_difference, true>;
    case VMAXDIFF_LT_D16:
        return compare_and<uint16_t, d, Pick::positive_difference, true>;
    case VMAXDIFF_LT_D32:
        return compare_and<uint32_t, d, Pick::positive_difference, true>;

    case VLT_S8:
        return compare<uint8_t, As::s, true>;
    case VLT_S16:
        return compare<uint16_t, As::s, true>;
    case VLT_S32:
        return compare<uint32_t, As::s, true>;
    case VLT_D8:
        return compare<uint8_t, d, true>;
    case VLT_D16:
        return compare<uint16_t, d, true>;
    case VLT_D32:
        return compare<uint32_t, d, true>;
    case VLT_BF16:
        return compare<uint16_t, bf16, true>;
    case VGE_S8:
        return compare<uint8_t, As::s, false>;
    case VGE_S16:
        return compare<uint16_t, As::s, false>;
    case VGE_S32:
        return compare<uint32_t, As::s, false>;
    case VGE_D8:
        return compare<uint8_t, d, false>;
    case VGE_D16:
        return compare<uint16_t, d, false>;
    case VGE_D32:
        return compare<uint32_t, d, false>;
    case VEQZ_8:
        return equals_zero<uint8_t>;
    case VEQZ_16:
        return equals_zero<uint16_t>;
    case VEQZ_32:
        return equals_zero<uint32_t>;

    case VABS_GTZ_S8:
        return absolute<uint8_t, As::s>;
    case VABS_GTZ_S16:
        return absolute<uint16_t, As::s>;
    case VABS_GTZ_S32:
        return absolute<uint32_t, As::s>;
    case VABS_GTZ_D8:
        return absolute<uint8_t, d>;
    case VABS_GTZ_D16:
        return absolute<uint16_t, d>;
    case VABS_GTZ_D32:
        return absolute<uint32_t, d>;
    case VNEG_GTZ8:
        return negate<uint8_t>;
    case VNEG_GTZ16:
        return negate<uint16_t>;
    case VNEG_GTZ32:
        return negate<uint32_t>;
    case VBNEG_LTZ_S8:
        return invert<uint8_t>;
    case VBNEG_LTZ_S16:
        return invert<uint16_t>;
    case VBNEG_LTZ_S32:
        return invert<uint32_t>;
    default:
        return nullptr;
    }
}

} // namespace npusim
