#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes decode_table.inc: the simulator's table of AIE2 bundles, instructions, registers and times.

make_decode_table.py FACTS OUTPUT    FACTS holds aie2-isa.json and aie2-sched.json
"""
import json
import os
import sys

SLOTS = ['lda', 'ldb', 'alu', 'mv', 'st', 'vec', 'lng', 'nop']
PORTS = ['CM_RM', 'CM_WA', 'CM_WM', 'DC_WM', 'DJ_WM', 'DN_WM', 'DONE_UNIT', 'LOAD_A', 'M_WM',
         'PART_WORD', 'PROC_BUS', 'P_RM', 'P_WM', 'RS_WM', 'R_RV', 'R_WA', 'R_WX', 'SEMAPHORE',
         'STORE', 'UPPER_SRS', 'UPS_UNIT', 'W_RS', 'W_WA', 'W_WM', 'any_WM']
# A class whose times depend on the file of its first operand has a sibling with this ending.
FILES = ['R', 'P', 'M', 'DC', 'DJ', 'DN']
NO_REGISTER = 0xffff


def unit_table():
    """Register name -> (first unit, units). A unit is a 32-bit register or 256 bits of a vector."""
    names = {}

    def put(name, unit, units=1):
        names[name] = (unit, units)

    for i in range(32):
        put(f'r{i}', i)
    for n, file in enumerate(['p', 'm', 'dn', 'dj', 'dc']):
        for i in range(8):
            put(f'{file}{i}', 32 + 8 * n + i)
    for i in range(4):
        put(f's{i}', 72 + i)
    for i, name in enumerate(['LC', 'LS', 'LE', 'SP', 'DP', 'lr', 'CORE_ID']):
        put(name, 76 + i)
    for i, name in enumerate(['crVaddSign', 'crF2FMask', 'crF2IMask', 'crFPMask', 'crMCDEn',
                              'crPackSign', 'crRnd', 'crSCDEn', 'crSRSSign', 'crSat', 'crUPSSign',
                              'crUnpackSign', 'srCarry', 'srCompr_uf', 'srF2FFlags', 'srF2IFlags',
                              'srFPFlags', 'srMS0', 'srSRS_of', 'srSS0', 'srSparse_of',
                              'srUPS_of']):
        put(name, 83 + i)
    for i in range(8):
        put(f'l{i}', 16 + 2 * i, 2)
    for i in range(12):
        put(f'wl{i}', 128 + 2 * i)
        put(f'wh{i}', 129 + 2 * i)
        put(f'x{i}', 128 + 2 * i, 2)
    for i in range(2, 6):
        put(f'y{i}', 128 + 4 * i, 4)
    for i in range(9):
        for n, part in enumerate(['amll', 'amlh', 'amhl', 'amhh']):
            put(f'{part}{i}', 152 + 4 * i + n)
        put(f'bml{i}', 152 + 4 * i, 2)
        put(f'bmh{i}', 154 + 4 * i, 2)
        put(f'cm{i}', 152 + 4 * i, 4)
    for i in range(4):
        put(f'q{i}', 188 + i)
    # Names of more than one register: they are decoded, the instructions know what they stand for.
    for i in range(8):
        put(f'd{i}', 200 + i, 0)
    for i in range(4):
        put(f'd{i}_3d', 208 + i, 0)
        put(f'qx{i}', 212 + i, 0)
        put(f'qwl{i}', 216 + i, 0)
        put(f'qwh{i}', 220 + i, 0)
    return names


def port(text):
    name, cycles = text.split('@')
    first, _, last = cycles.partition('-')
    return PORTS.index(name), int(first), int(last or first)


def main():
    facts, output = sys.argv[1:]
    isa = json.load(open(os.path.join(facts, 'aie2-isa.json')))
    sched = json.load(open(os.path.join(facts, 'aie2-sched.json')))
    out = []
    put = out.append

    units = unit_table()
    register_names = list(units)
    put('constexpr RegisterName register_names[] = {')
    for name, (unit, count) in units.items():
        put(f'    {{"{name}", {unit}, {count}}},')
    put('};')

    class_names = sorted(isa['register_classes'])
    class_start = {}
    codes = []
    for name in class_names:
        members = {int(code): reg for code, reg in isa['register_classes'][name].items()}
        size = 1 << max(members).bit_length()
        class_start[name] = (len(codes), size)
        codes += [register_names.index(members[c]) if c in members else NO_REGISTER
                  for c in range(size)]
    put('constexpr uint16_t register_codes[] = {')
    for i in range(0, len(codes), 16):
        put('    ' + ' '.join(f'{c},' for c in codes[i:i + 16]))
    put('};')
    put('constexpr RegisterClass register_classes[] = {')
    for name in class_names:
        start, size = class_start[name]
        put(f'    {{"{name}", {start}, {size}}},')
    put('};')

    time_names = sorted(sched['classes'])
    time_ports = []
    put('constexpr Timing timings[] = {')
    for name in time_names:
        c = sched['classes'][name]
        cycles = c['cycles'] + [0] * (12 - len(c['cycles']))
        memory = c['mem'] + [0] * (2 - len(c['mem']))
        variants = []
        for file in FILES:
            found = NO_REGISTER
            for suffix in ([file] if file != 'R' else ['R', 'RS']):
                if f'{name}_{suffix}' in sched['classes']:
                    found = time_names.index(f'{name}_{suffix}')
            variants.append(found)
        put(f'    {{"{name}", {{{", ".join(map(str, cycles))}}}, {len(c["cycles"])}, '
            f'"{c["bypass"]}", {{{memory[0]}, {memory[1]}}}, {len(time_ports)}, {len(c["ports"])}, '
            f'{{{", ".join(map(str, variants))}}}}},')
        time_ports += [port(p) for p in c['ports']]
    put('};')
    put('constexpr PortUse port_uses[] = {')
    for p in time_ports:
        put(f'    {{{p[0]}, {p[1]}, {p[2]}}},')
    put('};')
    put('constexpr const char* port_names[] = {' + ', '.join(f'"{p}"' for p in PORTS) + '};')

    operands = []
    names = sorted(isa['instructions'])
    put('constexpr InstructionInfo instructions[] = {')
    for name in names:
        i = isa['instructions'][name]
        (encoding,) = i['encodings']
        first = len(operands)
        for o in encoding['operands']:
            pieces = [(b['lsb'], b['width'], b['of']) for b in o.get('bits', [])]
            width = sum(p[1] for p in pieces)
            pieces += [(0, 0, 0)] * (2 - len(pieces))
            assert len(pieces) == 2, name
            step, negative, cls = o.get('step', 1), int(o.get('negative_only', False)), 0
            if 'reg' in o:
                kind, cls = 'reg', class_names.index(o['reg'])
            elif 'imm' in o:
                kind = {'s': 'signed_imm', 'u': 'unsigned_imm'}[o['imm']]
            elif 'implicit' in o:
                kind, cls = 'implicit', register_names.index(o['implicit'])
            else:
                kind = {'dc': 'tied_dc', 'dc+4': 'tied_dc4'}[o['tied']]
                assert o['of_operand'] == 'mod'
            bits = ', '.join(f'{{{a}, {b}, {c}}}' for a, b, c in pieces)
            operands.append(f'    {{OperandKind::{kind}, {cls}, {width}, {step}, {negative}, '
                            f'{{{{{bits}}}}}}},')
        timing = time_names.index(i['sched_class']) if 'sched_class' in i else NO_REGISTER
        put(f'    {{"{name}", Slot::{i["slot"]}, {encoding["mask"]}, {encoding["value"]}, {first}, '
            f'{len(operands) - first}, {timing}, {int(i.get("may_load", False))}, '
            f'{int(i.get("may_store", False))}}},')
    put('};')
    put('constexpr OperandInfo operand_infos[] = {')
    out += operands
    put('};')

    slot_bits = []
    put('constexpr FormatInfo formats[] = {')
    for name, f in isa['formats'].items():
        first = len(slot_bits)
        for s in f['slots']:
            (b,) = s['bits']
            assert b['of'] == 0
            slot_bits.append(f'    {{Slot::{s["slot"]}, {b["lsb"]}, {b["width"]}}},')
        mask, value = int(f['mask'], 16), int(f['value'], 16)
        low = (1 << 64) - 1
        put(f'    {{"{name}", {f["bytes"]}, {{{mask & low:#x}, {mask >> 64:#x}}}, '
            f'{{{value & low:#x}, {value >> 64:#x}}}, {first}, {len(f["slots"])}}},')
    put('};')
    put('constexpr SlotBits slot_bits[] = {')
    out += slot_bits
    put('};')

    origin = [
        '// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception',
        '// AIE2 bundles, instructions, registers and times. Written by make_decode_table.py; facts of',
        '// Xilinx/llvm-aie (Apache-2.0 WITH LLVM-exception): its decoder tables and AIE2Schedule.td.',
        '// clang-format off',
    ]
    with open(output, 'w') as file:
        file.write('\n'.join(origin + out) + '\n')
    with open(os.path.join(os.path.dirname(output) or '.', 'opcodes.inc'), 'w') as file:
        file.write('\n'.join(
            origin[:1] + ['// Names of the AIE2 instructions in the order of decode_table.inc. '
                          'Written by make_decode_table.py.'] +
            [f'{name},' for name in names]) + '\n')


main()
