#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the instruction table of an AIE2 core, instruction_table.inc, to standard output.

It is made from two files of facts: aie2-isa.json (encodings, register classes, formats of bundles)
and aie2-sched.json (what an instruction does in which of its cycles), both taken from llvm-aie.
What the files do not say is here: which operands are results, and which registers an instruction
reads or writes without naming them.

usage: make_table.py FACTS_DIR
"""
import json
import pathlib
import re
import sys

HEAD = """\
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The instruction table of an AIE2 core. Made by make_table.py; do not edit.
// Encodings, register classes, formats and scheduling classes are those of llvm-aie
// (https://github.com/Xilinx/llvm-aie, llvm/lib/Target/AIE/aie2), Apache-2.0 WITH LLVM-exception.
// clang-format off
"""

SLOTS = ["lda", "ldb", "alu", "mv", "st", "vec", "lng"]
# Most pieces of the word that one operand is spread over, and most slots of a format.
PIECES = 2
FORMAT_SLOTS = 6

# Registers that are read or written without being operands, in the order of the scheduling class:
# what is written, then what is read. The first pattern that matches an instruction's name counts.
IMPLICIT = [
    (r"(ABS|ADD|ADD_add_r_ri|SUB|JNZD)$", ["srCarry"], []),
    (r"(ADC|SBC)$", ["srCarry"], ["srCarry"]),
    (r"JL", ["lr"], []),
    (r"RET$", [], ["lr"]),
    (r"MOV_CNTR$", [], ["tile_cntr"]),
    (r"PADD[AB]_sp_imm$", ["SP"], ["SP"]),
    (r".*_spill$", [], ["SP"]),
    (r"MOV_NB_.*2ms", ["srMS0"], []),
    (r"MOV_(NB_)?mv_ss2scl$", ["srSS0"], []),
    (r"(VADD|VSUB|VNEGADD|VNEGSUB|VNEG|VADDMAC|VADDMSC|VSUBMAC|VSUBMSC|VMAC|VMSC|VMUL|VNEGMUL)_F",
     ["srFPFlags"], ["crFPMask"]),
    (r"VCLR_vclr_BF$", ["srFPFlags"], ["crFPMask"]),
    (r"(VST_CONV|VCONV).*_BF16_FP32", ["srF2FFlags"], ["crF2FMask", "crRnd"]),
    (r"VFLOOR", ["srF2IFlags"], ["crF2IMask"]),
    (r"(VLDA|VUPS).*_S(32|64)_D(8|16|32)", ["srUPS_of"], ["crSat", "crUPSSign"]),
    (r"(VLDA|VUPS).*_S(32|64)_S(8|16|32)", ["srUPS_of"], ["crSat"]),
    (r".*UNPACK_D", [], ["crUnpackSign"]),
    (r"V(ST_.*)?PACK_D", [], ["crSat", "crPackSign"]),
    (r"V(ST_.*)?PACK_S", [], ["crSat"]),
    (r"V(ST_.*)?SRSM?_D", ["srSRS_of"], ["crSat", "crRnd", "crSRSSign"]),
    (r"V(ST_.*)?SRSM?_S", ["srSRS_of"], ["crSat", "crRnd"]),
    (r"(VEXTRACT|VLT|VGE|VABS_GTZ|VMAX_LT|VMIN_GE|VMAXDIFF_LT|VSUB_LT|VSUB_GE)_D", [],
     ["crVaddSign"]),
    (r"VMOV_(mv_scd|HI|LO)$", [], ["crSCDEn"]),
    (r"VMOV_mv_mcd$", [], ["crMCDEn"]),
]

# Instructions without a result among their operands.
NO_RESULT = re.compile(r"(NOP|ACQ|REL|EVENT|DONE|J_|JL|JNZ$|JZ$|RET|PADD[AB]_sp|VMOV_mv_mcd|MOV_.*2ms)")


def implicit(name):
    return next(((outs, ins) for pattern, outs, ins in IMPLICIT if re.match(pattern, name)), ([], []))


def result_count(name, entry, operands):
    """How many of the operands, from the first, are results."""
    post_modified = next((i for i, o in enumerate(operands) if o.get("reg") == "eP"
                          and any(o == other for other in operands[i + 1:])), None)
    if post_modified is not None:
        tied = sum("tied" in o for o in operands)
        data = 1 if re.search(r"_(PEEK|POP)(_|$)", name) else 0
        return post_modified + 1 + tied + data
    if NO_RESULT.match(name) or (entry.get("may_store") and not name.startswith("VLDA")):
        return 0
    if "$cmp" in entry["asm_string"] and operands[0]["reg"].startswith("mX"):
        return 2
    return 2 if name == "DIVS" else 1


def text(string):
    return json.dumps(string)


def number(value):
    return int(value, 16) if isinstance(value, str) else value


class Lists:
    """Lists of C++ initialisers that lie one after the other in one array, each once."""

    def __init__(self):
        self.items = []
        self.places = {}

    def add(self, items):
        key = tuple(items)
        if key not in self.places:
            self.places[key] = len(self.items)
            self.items += key
        return f"{self.places[key]}, {len(key)}"


def array(kind, name, items, per_line=1):
    print(f"constexpr {kind} {name}[] = {{")
    for i in range(0, len(items), per_line):
        print("    " + ", ".join(items[i:i + per_line]) + ",")
    print("};\n")


def pieces(bits):
    assert len(bits) <= PIECES
    inner = ", ".join(f"{{{b['lsb']}, {b['width']}, {b['of']}}}" for b in bits)
    return f"{{{{{inner}}}}}"


def operand(entry, classes, registers):
    if "tied" in entry:
        offset = {"dc": 0, "dc+4": 4}[entry["tied"]]
        return f"{{OperandKind::tied_counter, {offset}, 0, 0, {{}}}}"
    if "implicit" in entry:
        return f"{{OperandKind::fixed_register, {registers[entry['implicit']]}, 0, 0, {{}}}}"
    if "reg" in entry:
        width = sum(b["width"] for b in entry["bits"])
        return (f"{{OperandKind::register_class, {classes[entry['reg']]}, {width}, 1, "
                f"{pieces(entry['bits'])}}}")
    width = sum(b["width"] for b in entry["bits"])
    assert entry.get("width", width) == width
    kind = {"u": "unsigned_immediate", "s": "signed_immediate"}[entry["imm"]]
    if entry.get("negative_only"):
        kind = "negative_immediate"
    return (f"{{OperandKind::{kind}, 0, {width}, {entry.get('step', 1)}, "
            f"{pieces(entry['bits'])}}}")


def port(entry):
    name, cycles = entry.split("@")
    first, _, last = cycles.partition("-")
    return f"{{{text(name)}, {first}, {last or first}}}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip().splitlines()[-1])
    facts = pathlib.Path(sys.argv[1])
    isa = json.loads((facts / "aie2-isa.json").read_text())
    scheduling = json.loads((facts / "aie2-sched.json").read_text())["classes"]
    instructions = {name: entry for name, entry in sorted(isa["instructions"].items())
                    if name != "NOP"}
    print(HEAD)

    named = {register for codes in isa["register_classes"].values() for register in codes.values()}
    hidden = {r for name in instructions for side in implicit(name) for r in side}
    fixed = {o["implicit"] for entry in instructions.values()
             for o in entry["encodings"][0]["operands"] if "implicit" in o}
    registers = {name: i for i, name in enumerate(sorted(named | hidden | fixed))}
    array("std::string_view", "registers", [text(name) for name in registers], 8)

    codes, class_rows, classes = [], [], {}
    for name, members in isa["register_classes"].items():
        decode_only = set(isa["register_decode_only"].get(name, []))
        classes[name] = len(classes)
        class_rows.append(f"{{{text(name)}, {len(codes)}, {len(members)}}}")
        codes += [f"{{{code}, {registers[register]}, {'true' if code in decode_only else 'false'}}}"
                  for code, register in sorted(members.items(), key=lambda m: int(m[0]))]
    array("RegisterCode", "register_codes", codes, 6)
    array("RegisterClassRow", "register_classes", class_rows, 4)

    cycles, ports, memory, schedule_rows, schedules = Lists(), Lists(), Lists(), [], {}
    for name, entry in scheduling.items():
        schedules[name] = len(schedules)
        schedule_rows.append(
            f"{{{text(name)}, {cycles.add(map(str, entry['cycles']))}, "
            f"{ports.add(map(port, entry['ports']))}, {memory.add(map(str, entry['mem']))}, "
            f"{text(entry['bypass'])}}}")
    array("uint8_t", "operand_cycles", cycles.items, 24)
    array("PortUse", "port_uses", ports.items, 4)
    array("uint8_t", "memory_cycles", memory.items or ["0"], 24)
    array("ScheduleRow", "schedule_rows", schedule_rows)

    operands, hidden_registers, rows = Lists(), Lists(), []
    for name, entry in instructions.items():
        [encoding] = entry["encodings"]
        operand_list = encoding["operands"]
        outs, ins = implicit(name)
        known = len(scheduling[entry["sched_class"]]["cycles"])
        assert len(operand_list) + len(outs) + len(ins) <= known, name
        flags = (1 if entry["may_load"] else 0) | (2 if entry["may_store"] else 0)
        rows.append(
            f"{{{text(name)}, Slot::{entry['slot']}, {encoding['mask']}, {encoding['value']}, "
            f"{operands.add(operand(o, classes, registers) for o in operand_list)}, "
            f"{result_count(name, entry, operand_list)}, {schedules[entry['sched_class']]}, {flags}, "
            f"{hidden_registers.add(str(registers[r]) for r in outs + ins)}, {len(outs)}}}")
    array("OperandEntry", "operand_entries", operands.items)
    array("uint16_t", "implicit_registers", hidden_registers.items, 24)
    array("InstructionRow", "instruction_rows", rows)

    formats = []
    for name, entry in isa["formats"].items():
        mask, value = number(entry["mask"]), number(entry["value"])
        slots = [s for s in entry["slots"] if s["slot"] != "nop"]
        assert len(slots) <= FORMAT_SLOTS
        assert all(len(s["bits"]) == 1 and s["bits"][0]["of"] == 0 for s in entry["slots"])
        places = ", ".join(f"{{Slot::{s['slot']}, {s['bits'][0]['lsb']}}}" for s in slots)
        halves = [f"{part & (1 << 64) - 1:#x}, {part >> 64:#x}" for part in (mask, value)]
        formats.append(f"{{{text(name)}, {entry['bytes']}, {{{halves[0]}}}, {{{halves[1]}}}, "
                       f"{len(slots)}, {{{{{places}}}}}}}")
    array("Format", "formats", formats)

    widths = {entry["slot"]: entry["width"] for entry in instructions.values()}
    print("constexpr unsigned slot_widths[n_slots] = {"
          + ", ".join(str(widths[slot]) for slot in SLOTS) + "};")


if __name__ == "__main__":
    main()
