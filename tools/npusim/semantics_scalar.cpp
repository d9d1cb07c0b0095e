// SPDX-License-Identifier: MIT
// Scalar arithmetic, moves of scalars, branches, locks and pointer arithmetic.
#include "tools/npusim/core_state.hpp"

#include <bit>

namespace npusim {

namespace {

using S = CoreState;

int32_t as_signed(uint32_t value) {
    return static_cast<int32_t>(value);
}

template <auto f>
void unary(S& s, const Op& op) {
    s.write(op, 0, f(s.read(op, 1)));
}
template <auto f>
void binary(S& s, const Op& op) {
    s.write(op, 0, f(s.read(op, 1), s.read(op, 2)));
}

// Additions leave the carry, subtractions the borrow.
void write_carry(S& s, const Op& op, bool carry) {
    s.write_unit(op, unit::srCarry, carry, s.now + 1);
}
void add_with(S& s, const Op& op, uint32_t a, uint32_t b, uint32_t carry) {
    uint64_t sum = uint64_t{a} + b + carry;
    s.write(op, 0, static_cast<uint32_t>(sum));
    write_carry(s, op, sum >> 32);
}
void subtract_with(S& s, const Op& op, uint32_t a, uint32_t b, uint32_t borrow) {
    uint64_t difference = uint64_t{a} - b - borrow;
    s.write(op, 0, static_cast<uint32_t>(difference));
    write_carry(s, op, difference >> 32);
}
void add(S& s, const Op& op) {
    add_with(s, op, s.read(op, 1), s.read(op, 2), 0);
}
void add_imm(S& s, const Op& op) {
    add_with(s, op, s.read(op, 1), static_cast<uint32_t>(op.operand[2].value), 0);
}
void add_carry(S& s, const Op& op) {
    add_with(s, op, s.read(op, 1), s.read(op, 2), s.read_unit(op, unit::srCarry));
}
void subtract(S& s, const Op& op) {
    subtract_with(s, op, s.read(op, 1), s.read(op, 2), 0);
}
void subtract_borrow(S& s, const Op& op) {
    subtract_with(s, op, s.read(op, 1), s.read(op, 2), s.read_unit(op, unit::srCarry));
}
void absolute(S& s, const Op& op) {
    uint32_t value = s.read(op, 1);
    s.write(op, 0, as_signed(value) < 0 ? 0 - value : value);
    s.write_undefined(op, unit::srCarry, 1, s.now + 1);
}
// Bits equal to the sign, itself included.
uint32_t leading_signs(uint32_t value) {
    return static_cast<uint32_t>(as_signed(value) < 0 ? std::countl_one(value)
                                                      : std::countl_zero(value));
}

// A negative amount shifts to the right. Five bits of the amount count.
template <bool arithmetic>
void shift(S& s, const Op& op) {
    uint32_t value = s.read(op, 1), by = s.read(op, 2);
    if (as_signed(by) >= 0)
        value <<= by & 31;
    else if (arithmetic)
        value = static_cast<uint32_t>(as_signed(value) >> ((0 - by) & 31));
    else
        value >>= (0 - by) & 31;
    s.write(op, 0, value);
}

template <bool if_zero>
void select(S& s, const Op& op) {
    bool zero = s.read(op, 3) == 0;
    uint32_t first = s.read(op, 1), second = s.read(op, 2);
    s.write(op, 0, zero == if_zero ? first : second);
}

void set(S& s, const Op& op, uint8_t u, uint32_t value, unsigned cycle) {
    if (u >= unit::LC && u <= unit::LE)
        s.loop_set = s.now;
    // What status flags hold is not modelled: reading one is an error whatever was written.
    if (u >= unit::crVaddSign && u <= unit::crUnpackSign)
        value &= u == unit::crRnd                              ? 15
                 : u == unit::crSat                            ? 3
                 : u <= unit::crFPMask && u >= unit::crF2FMask ? 31
                                                               : 1;
    if (u >= unit::srCarry && u <= unit::srUPS_of)
        s.write_undefined(op, u, 1, s.now + cycle);
    else
        s.write_unit(op, u, value, s.now + cycle);
}

void move_imm(S& s, const Op& op) {
    set(s, op, op.operand[0].unit, static_cast<uint32_t>(op.operand[1].value), op.operand[0].cycle);
}

void move(S& s, const Op& op) {
    uint8_t from = op.operand[1].unit;
    if (s.undefined(from) && from < unit::LC && op.operand[0].unit < unit::LC)
        s.write_undefined(op, op.operand[0].unit, 1, s.now + op.operand[0].cycle);
    else
        set(s, op, op.operand[0].unit, s.read(op, 1), op.operand[0].cycle);
}

void add_to_any(S& s, const Op& op) {
    set(s, op, op.operand[0].unit, s.read(op, 1) + static_cast<uint32_t>(op.operand[2].value),
        op.operand[0].cycle);
}

void jump(S& s, const Op& op) {
    s.branch(op, static_cast<uint32_t>(op.operand[0].value));
}
void jump_to_pointer(S& s, const Op& op) {
    s.branch(op, s.read(op, 0));
}

template <bool if_zero>
void jump_if(S& s, const Op& op) {
    if ((s.read(op, 0) == 0) == if_zero)
        s.branch(op, static_cast<uint32_t>(op.operand[1].value));
}

// Tests before it counts.
void call(S& s, const Op& op) {
    jump(s, op);
    s.write_unit(op, unit::lr, s.return_address(op), s.now + op.implicit_cycle[0]);
}
void call_pointer(S& s, const Op& op) {
    jump_to_pointer(s, op);
    s.write_unit(op, unit::lr, s.return_address(op), s.now + op.implicit_cycle[0]);
}
void ret(S& s, const Op& op) {
    s.branch(op, s.read_unit(op, unit::lr));
}

template <bool acquire, bool by_register>
void lock(S& s, const Op& op) {
    uint32_t id = by_register ? s.read(op, 0) : static_cast<uint32_t>(op.operand[0].value);
    if (id > 63)
        s.fail(op, "lock " + std::to_string(id));
    s.lock = {&op, acquire, false, id, as_signed(s.read(op, 1))};
}

void done(S& s, const Op&) {
    s.finishing = true;
    s.finish = 0;
}
void event(S&, const Op&) {}

void move_pointer(S& s, const Op& op) {
    s.address(op);
}
void move_stack(S& s, const Op& op) {
    s.write_unit(op, unit::SP,
                 s.read_unit(op, unit::SP) + static_cast<uint32_t>(op.operand[0].value), s.now + 1);
}

} // namespace

uint32_t CoreState::address(const Op& op) {
    const AddressMode& mode = op.address;
    auto step = [&](uint32_t by) {
        uint32_t at = read_unit(op, mode.pointer);
        write_unit(op, mode.pointer, at + by, now + 1);
        return at;
    };
    // One dimension: counts dcN up to dnN. True when it wraps.
    auto wraps = [&](uint8_t n) {
        uint32_t count = read_unit(op, unit::dc0 + n);
        bool last = count >= read_unit(op, unit::dn0 + n);
        write_unit(op, unit::dc0 + n, last ? 0 : count + 1, now + 1);
        return last;
    };
    switch (mode.kind) {
    case AddressMode::stack:
        return (read_unit(op, unit::SP) + static_cast<uint32_t>(mode.imm)) & 0xfffff;
    case AddressMode::plain:
        return read_unit(op, mode.pointer);
    case AddressMode::index_imm:
        return (read_unit(op, mode.pointer) + static_cast<uint32_t>(mode.imm)) & 0xfffff;
    case AddressMode::index_reg:
        return (read_unit(op, mode.pointer) + read_unit(op, mode.modifier)) & 0xfffff;
    case AddressMode::post_imm:
        return step(static_cast<uint32_t>(mode.imm));
    case AddressMode::post_reg:
        return step(read_unit(op, mode.modifier));
    case AddressMode::post_2d: {
        uint8_t n = mode.modifier;
        return step(wraps(n) ? read_unit(op, unit::m0 + n) : read_unit(op, unit::dj0 + n));
    }
    case AddressMode::post_3d: {
        uint8_t low = mode.modifier, high = static_cast<uint8_t>(low + 4);
        if (!wraps(low)) {
            return step(read_unit(op, unit::dj0 + low));
        }
        return step(wraps(high) ? read_unit(op, unit::m0 + low) : read_unit(op, unit::dj0 + high));
    }
    case AddressMode::none:
        break;
    }
    fail(op, "has no address");
}

Issue scalar_issue(Opcode opcode) {
    using enum Opcode;
    switch (opcode) {
    case ADD:
        return add;
    case ADC:
        return add_carry;
    case SUB:
        return subtract;
    case SBC:
        return subtract_borrow;
    case CLB:
        return unary<leading_signs>;
    case AND:
        return binary<[](uint32_t a, uint32_t b) { return a & b; }>;
    case OR:
        return binary<[](uint32_t a, uint32_t b) { return a | b; }>;
    case XOR:
        return binary<[](uint32_t a, uint32_t b) { return a ^ b; }>;
    case MUL_mul_r_rr:
        return binary<[](uint32_t a, uint32_t b) { return a * b; }>;
    case EQ:
        return binary<[](uint32_t a, uint32_t b) -> uint32_t { return a == b; }>;
    case NE:
        return binary<[](uint32_t a, uint32_t b) -> uint32_t { return a != b; }>;
    case LT:
        return binary<[](uint32_t a, uint32_t b) -> uint32_t {
            return as_signed(a) < as_signed(b);
        }>;
    case GE:
        return binary<[](uint32_t a, uint32_t b) -> uint32_t {
            return as_signed(a) >= as_signed(b);
        }>;
    case LTU:
        return binary<[](uint32_t a, uint32_t b) -> uint32_t { return a < b; }>;
    case GEU:
        return binary<[](uint32_t a, uint32_t b) -> uint32_t { return a >= b; }>;
    case EQZ:
        return unary<[](uint32_t a) -> uint32_t { return a == 0; }>;
    case NEZ:
        return unary<[](uint32_t a) -> uint32_t { return a != 0; }>;
    case ABS:
        return absolute;
    case CLZ:
        return unary<[](uint32_t a) { return static_cast<uint32_t>(std::countl_zero(a)); }>;
    case EXTENDs8:
        return unary<[](uint32_t a) { return static_cast<uint32_t>(static_cast<int8_t>(a)); }>;
    case EXTENDs16:
        return unary<[](uint32_t a) { return static_cast<uint32_t>(static_cast<int16_t>(a)); }>;
    case EXTENDu8:
        return unary<[](uint32_t a) { return a & 0xff; }>;
    case EXTENDu16:
        return unary<[](uint32_t a) { return a & 0xffff; }>;
    case ADD_add_r_ri:
        return add_imm;
    case LSHL:
        return shift<false>;
    case ASHL:
        return shift<true>;
    case SELEQZ:
        return select<true>;
    case SELNEZ:
        return select<false>;
    case MOVA_lda_cg:
    case MOVX_alu_cg:
    case MOV_mv_cg:
    case MOVXM_lng_cg:
        return move_imm;
    case MOV_mv_scl:
    case MOVX_mvx_scl:
    case MOV_D1:
    case MOV_D2:
    case MOV_D3:
    case MOV_D4:
    case MOV_D5:
    case MOV_D6:
        return move;
    case ADD_NC:
        return add_to_any;
    case J_jump_imm:
        return jump;
    case J_jump_ind:
        return jump_to_pointer;
    case JZ:
        return jump_if<true>;
    case JNZ:
        return jump_if<false>;
    case JL:
        return call;
    case JL_IND:
        return call_pointer;
    case RET:
        return ret;
    case ACQ_mLockId_imm:
        return lock<true, false>;
    case ACQ_mLockId_reg:
        return lock<true, true>;
    case REL_mLockId_imm:
        return lock<false, false>;
    case REL_mLockId_reg:
        return lock<false, true>;
    case DONE:
        return done;
    case EVENT:
        return event;
    case PADDA_lda_ptr_inc_idx:
    case PADDA_lda_ptr_inc_idx_imm:
    case PADDB_ldb_ptr_inc_nospill_nrm:
    case PADDB_ldb_ptr_inc_nrm_imm:
    case PADDS_st_ptr_inc_idx:
    case PADDS_st_ptr_inc_idx_imm:
    case PADDA_2D:
    case PADDB_2D:
    case PADDS_2D:
    case PADDA_3D:
    case PADDB_3D:
    case PADDS_3D:
        return move_pointer;
    case PADDA_sp_imm:
    case PADDB_sp_imm:
        return move_stack;
    default:
        return nullptr;
    }
}

} // namespace npusim
