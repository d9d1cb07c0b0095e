#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The committed instruction table is what make_table.py makes of the facts.

usage: check_table.py MAKE_TABLE COMMITTED FACTS_DIR; NPUENC_NPU_FACTS counts more than FACTS_DIR
"""
import os
import pathlib
import subprocess
import sys

SKIPPED = 77


def main():
    make_table, committed, default = sys.argv[1:]
    facts = pathlib.Path(os.environ.get("NPUENC_NPU_FACTS", default))
    if not (facts / "aie2-isa.json").exists():
        print(f"no facts in {facts}")
        return SKIPPED
    made = subprocess.run([sys.executable, make_table, facts], capture_output=True, text=True,
                          check=True).stdout
    if made != pathlib.Path(committed).read_text():
        print(f"{committed} is not what {make_table} makes")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
