#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What callers compile in from the public header: macros, enumerators, the sizes of structs and the
offsets of their fields, and prototypes. Prints them, a line each, or compares them with a file.

Enumerators and structs are those that the compiler writes into debug information, so that none can
be forgotten here. Prototypes are kept since libabigail takes const void* and void* for the same."""

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RENEW = "if that is meant, run tools/abi-baseline and see docs/abi.md"


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def prototypes_of(header):
    code = re.sub(r"/\*.*?\*/", "", Path(header).read_text("utf-8"), flags=re.DOTALL)
    return [" ".join(found.split())
            for found in re.findall(r"^NPUENC_API\b([^;]*);", code, flags=re.MULTILINE)]


def macros_of(compiler, header):
    text = output_of(*compiler, "-x", "c", "-std=c99", "-E", "-dM", header)
    return re.findall(r"^#define (NPUENC_\w+) (.+)$", text, flags=re.MULTILINE)


def debug_entries(compiler, header):
    """(depth, tag, attributes) of every entry that DWARF has of the header, in its order."""
    with tempfile.TemporaryDirectory() as work:
        binary = f"{work}/header.o"
        output_of(*compiler, "-x", "c", "-std=c99", "-gdwarf-4",
                  "-fno-eliminate-unused-debug-types", "-c", header, "-o", binary)
        text = output_of("readelf", "--wide", "--debug-dump=info", binary)
    entries = []
    for line in text.splitlines():
        if entry := re.match(r"\s*<(\d+)><\w+>: Abbrev Number: \d+ \(DW_TAG_(\w+)\)", line):
            entries.append((int(entry[1]), entry[2], {}))
        elif entries and (attribute := re.match(r"\s*<\w+>\s+DW_AT_(\w+)", line)):
            entries[-1][2][attribute[1]] = line.split()[-1]
    return entries


def enumerators_and_structs(compiler, header):
    parent = ""
    for depth, tag, attributes in debug_entries(compiler, header):
        name = attributes.get("name", "")
        if depth == 1:
            parent = name if name.startswith("npuenc_") else ""
            if parent and tag == "structure_type" and "byte_size" in attributes:
                yield f"struct {name}: {attributes['byte_size']} bytes"
        elif parent and tag == "enumerator":
            yield f"enum {parent}: {name} = {attributes['const_value']}"
        elif parent and tag == "member":
            yield f"field {parent}.{name}: at {attributes['data_member_location']}"


def values_of(compiler, header):
    lines = [f"macro {name} = {value}" for name, value in sorted(macros_of(compiler, header))]
    lines += enumerators_and_structs(compiler, header)
    lines += [f"function {prototype}" for prototype in prototypes_of(header)]
    return lines


def changes(expected, found):
    """Lines that are gone, with -, and that are new, with +."""
    return [line for line in difflib.unified_diff(expected, found, n=0, lineterm="")
            if not line.startswith(("---", "+++", "@@"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expect", metavar="FILE")
    parser.add_argument("header")
    parser.add_argument("compiler", nargs="+")
    arguments = parser.parse_args()
    values = values_of(arguments.compiler, arguments.header)
    if not arguments.expect:
        print("\n".join(values))
        return 0
    changed = changes(Path(arguments.expect).read_text("utf-8").splitlines(), values)
    if changed:
        print(f"the header differs from {Path(arguments.expect).name}; {RENEW}:")
    print("\n".join(changed) or f"{len(values)} values are as they were")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
