#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every function of the header is in the version script and called by a test, and no other is."""

import argparse
import re
import sys
from pathlib import Path


def without_comments(path):
    return re.sub(r"/\*.*?\*/", "", Path(path).read_text(encoding="utf-8"), flags=re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("header")
    parser.add_argument("map")
    parser.add_argument("tests", nargs="+")
    arguments = parser.parse_args()

    header = without_comments(arguments.header)
    functions = re.findall(r"^NPUENC_API[^;(]*?\b(npuenc_\w+)\(", header, flags=re.MULTILINE)
    mapped = re.findall(r"^\s*([\w*]+);", without_comments(arguments.map), flags=re.MULTILINE)
    mapped.remove("*")
    code = "".join(without_comments(test) for test in arguments.tests)
    called = set(re.findall(r"\b(npuenc_\w+)\(", code))

    wrong = []
    if len(functions) < 30 or len(functions) != len(set(functions)):
        wrong.append(f"{len(functions)} functions in {arguments.header}")
    for name in sorted(set(functions) ^ set(mapped)):
        wrong.append(f"{name} is not in both the header and {arguments.map}")
    if mapped != sorted(mapped):
        wrong.append(f"{arguments.map} is not in order")
    for name in sorted(set(functions) - called):
        wrong.append(f"{name} is called by no test")
    print("\n".join(wrong) or f"{len(functions)} functions in header, map and tests")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
