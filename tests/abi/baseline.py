#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ABI of a library with debug information, as libabigail sees it. Prints it, or compares it
with a file.

libabigail 2.2 finds no change where it should in a library without debug information, with abidw
--header-file, and with abidiff --headers-dir2 for XML. So both sides are XML of the same flags that
is known to have structs. A changed const or a renamed field counts as harmless there, but breaks
the build of callers: --harmless reports them too."""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import values

# A struct that is in every dump of a library whose debug information was read.
STRUCT = "<class-decl name='npuenc_stats' size-in-bits="


def dump_of(library, headers):
    with tempfile.TemporaryDirectory() as work:
        file = Path(work, "abi.xml")
        values.output_of(
            "abidw", "--headers-dir", headers, "--drop-private-types", "--exported-interfaces-only",
            "--no-elf-needed", "--no-show-locs", "--no-comp-dir-path", "--no-corpus-path",
            "--no-parameter-names", "--type-id-style", "hash", "--out-file", file, library)
        text = file.read_text("utf-8")
    if STRUCT not in text:
        sys.exit(f"{library} has no debug information: nothing can be compared")
    # Where a source lies depends on the build directory.
    return re.sub(r" path='[^']*/", " path='", text)


def changes(expected, found):
    """abidiff's report on a file and a dump, empty when they have the same ABI."""
    with tempfile.TemporaryDirectory() as work:
        file = Path(work, "found.abi")
        file.write_text(found, "utf-8")
        done = subprocess.run(["abidiff", "--harmless", expected, file], check=False,
                              capture_output=True, text=True)
    if done.returncode & 3:
        sys.exit(f"abidiff failed: {done.stdout}{done.stderr}")
    return done.stdout.strip() if done.returncode else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expect", metavar="FILE")
    parser.add_argument("library")
    parser.add_argument("headers", help="the directory of the public headers")
    arguments = parser.parse_args()
    dump = dump_of(arguments.library, arguments.headers)
    if not arguments.expect:
        print(dump, end="")
        return 0
    report = changes(arguments.expect, dump)
    if report:
        functions = re.findall(r"\[[ACD]\] 'function [^']*?\b(\w+)\(", report)
        what = ", ".join(dict.fromkeys(functions)) or "the soname or symbols"
        print(f"the ABI of {what} differs from {Path(arguments.expect).name}; {values.RENEW}:")
    print(report or "the ABI is as it was")
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
