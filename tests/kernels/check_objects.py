#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails when a static library of kernels holds what its instruction set does not have.

Instructions are judged by their encoding: a baseline x86-64 object has neither VEX (c4, c5) nor
EVEX (62) prefixes nor the opcode maps of SSSE3 and later (0f 38, 0f 3a); an object of AVX2 or
AVX-VNNI has no EVEX. What one encoding shares between extensions is judged by its name.

usage: check_objects.py ISA ARCHIVE, where ISA is one of kernels/cpu/meson.build
"""
import re
import shutil
import subprocess
import sys

LEGACY_PREFIXES = {"66", "67", "f2", "f3", "f0", "2e", "36", "3e", "26", "64", "65"}


def names(*patterns):
    return re.compile("|".join(patterns))


# SSE3 and what came between it and SSSE3, all in the old opcode map.
AFTER_SSE2 = names(r"haddp", r"hsubp", r"addsub", r"movddup", r"movs[lh]dup", r"lddqu", r"fisttp",
                   r"popcnt", r"lzcnt", r"extrq", r"insertq", r"movnts[sd]\b", r"cmpxchg16b")
# What each instruction set adds by name to those of AVX2 or AVX-512, and then has to use.
OWN = {"avxvnni": names(r"vpdpbusd\b"), "avx512vnni": names(r"vpdp(busd|wssd)s?\b"),
       "avx512bf16": names(r"vdpbf16ps\b", r"vcvtne2?ps2bf16\b", r"vperm(i2|t2)?b\b"),
       "amx": names(r"vcvtne2ps2bf16\b", r"ldtilecfg\b", r"tile(loadd|loaddt1|stored|zero|release)\b", r"tdp(b[su]sd|bf16ps)\b")}
# What no level promises, but for what is its own: VNNI, IFMA, BF16, AMX, cryptography, BMI.
BEYOND = names(r"vpdp", r"vpmadd52", r"vdpbf16", r"vcvtne", r"vbcstne", r"tile", r"tdp", r"vsha",
               r"vsm[34]", r"vaes", r"vpclmul", r"v?gf2p8", r"sarx", r"shlx", r"shrx", r"rorx",
               r"andn\b", r"bextr", r"bls", r"bzhi", r"mulx", r"pdep", r"pext\b", r"adcx", r"adox",
               r"lzcnt", r"vfn?m(add|sub)+[sp][sd]\b")
# Encoded with VEX, but of AVX-512.
MASKS = names(r"k(mov|or|and|xor|xnor|not|shift|unpck|test|add)")
# EVEX, but not of F, BW, DQ or VL: VBMI, VBMI2, BITALG, CD, ER, FP16 and others.
OTHER_AVX512 = names(r"vpopcnt", r"vpsh[lr]d", r"vpshufbit", r"vp(compress|expand)[bw]\b",
                     r"vperm(i2|t2)?b\b", r"vpmultishift", r"vpconflict", r"vplzcnt",
                     r"vpbroadcastm", r"vrcp28", r"vrsqrt28", r"vexp2", r"vp2intersect", r"v4f",
                     r"vp4dp", r"v(?!cvtps2ph)\w+[sp]h\b", r"vfc?m(add|ul)c", r"vcvt\w*ph2(?!ps\b)",
                     r"vmov(w|sh)\b")

# What the libraries may ask of the C library. The compiler makes calls of copies and clears; the
# tiles of AMX have to be asked for.
ALLOWED_UNDEFINED = {"memcpy", "memset", "memmove", "strcmp", "_GLOBAL_OFFSET_TABLE_",
                     "__stack_chk_fail", "syscall"}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def instructions(archive):
    """(object, function, encoding as a list of bytes, text) of each instruction."""
    member = function = "?"
    for line in run("objdump", "-d", "-w", "--insn-width=16", archive).splitlines():
        if match := re.match(r"(\S+\.o):\s+file format", line):
            member = match[1].rsplit("/", 1)[-1]
        elif match := re.match(r"[0-9a-f]+ <(.+)>:", line):
            function = match[1]
        elif match := re.match(r"\s*[0-9a-f]+:\t((?:[0-9a-f]{2} )+)\s*\t?(.*)", line):
            yield member, function, match[1].split(), match[2]


def name_of(text):
    return re.sub(r"^(\{\w+\} |rep |repz |repnz |lock |bnd |notrack )+", "", text).split(" ")[0]


def is_own(isa, text):
    return isa in OWN and bool(OWN[isa].match(name_of(text)))


def belongs(isa, code, text):
    opcode = list(code)
    while opcode and opcode[0] in LEGACY_PREFIXES:
        opcode.pop(0)
    if opcode and re.fullmatch(r"4[0-9a-f]", opcode[0]):  # REX
        opcode.pop(0)
    first = opcode[0] if opcode else ""
    name = name_of(text)
    if isa == "reference":
        return (first not in ("c4", "c5", "62") and opcode[:2] not in (["0f", "38"], ["0f", "3a"])
                and not AFTER_SSE2.match(name))
    if BEYOND.match(name) and not is_own(isa, text) and not (
            isa in ("avx512bf16", "amx") and is_own("avx512vnni", text)):
        return False
    if not isa.startswith(("avx512", "amx")):
        return first != "62" and not MASKS.match(name)
    return not OTHER_AVX512.match(name) or bool(is_own(isa, text))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in (
            "reference", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx"):
        print(__doc__, file=sys.stderr)
        return 2
    isa, archive = sys.argv[1:]
    for tool in ("objdump", "nm"):
        if not shutil.which(tool):
            print(f"skipped: no {tool}")
            return 77
    problems = []

    count = wide = own = 0
    for member, function, code, text in instructions(archive):
        count += 1
        wide += code[0] == "62" if isa.startswith(("avx512", "amx")) else code[0] in ("c4", "c5")
        own += is_own(isa, text)
        if not belongs(isa, code, text):
            problems.append(f"{member}: {function}: not {isa}: {text.strip()}")
    # A disassembly that this script cannot read must not pass for a clean one.
    if count < 500 or (isa != "reference" and wide < 100) or (isa in OWN and own < 1):
        problems.append(f"only {count} instructions, {wide} wide, {own} of {isa} alone")

    exported = re.compile(r"npuenc_\w+_init_" + isa)
    for line in run("nm", "-P", archive).splitlines():
        fields = line.split()
        if len(fields) < 2 or line.endswith("]:"):
            continue
        name, kind = fields[:2]
        # A linker keeps one copy of these, and it may be the one an old CPU cannot run.
        if kind in "wWvVu":
            problems.append(f"weak symbol: {name}")
        elif kind == "U" and name not in ALLOWED_UNDEFINED and not name.startswith("npuenc_"):
            problems.append(f"calls {name}")
        elif kind.isupper() and kind != "U" and not exported.fullmatch(name) and not (
                isa == "reference" and re.fullmatch(r"npuenc_kernels_(init|isas)", name)):
            problems.append(f"not static: {name}")

    sections = run("objdump", "-h", archive)
    for name, size in re.findall(r"^ +\d+ (\.\S+) +([0-9a-f]+) ", sections, re.M):
        if re.match(r"\.(init_array|preinit_array|ctors)", name):
            problems.append(f"static initialiser: {name}")
        if re.match(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)", name) and int(size, 16):
            problems.append(f"writable data: {int(size, 16)} bytes of {name}")

    for problem in problems[:20]:
        print(problem)
    print(f"{isa}: {count} instructions, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
