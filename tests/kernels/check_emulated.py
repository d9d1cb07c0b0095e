#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the checks of the kernels on CPUs that this machine is not, under qemu-user: those without
AVX have to run no instruction of AVX2 and one with AVX2 none of what came after it, and all have to
refuse these.

usage: check_emulated.py CHECK
"""
import platform
import shutil
import subprocess
import sys

PASSED, REFUSED = 0, 77
BEYOND_AVX2 = ["avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx"]
EXPECTED = [
    ("Nehalem", "reference", PASSED),  # Denverton has all of its instructions
    *((cpu, isa, REFUSED) for cpu in ("Nehalem", "Denverton") for isa in ["avx2", *BEYOND_AVX2]),
    ("Haswell", "avx2", PASSED),
    *(("Haswell", isa, REFUSED) for isa in BEYOND_AVX2),
]


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    qemu = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if platform.machine() != "x86_64" or not qemu:
        print("skipped: needs an x86-64 machine and qemu-x86_64 (Debian: qemu-user)")
        return 77
    failed = False
    for cpu, isa, status in EXPECTED:
        result = subprocess.run(
            [qemu, "-cpu", cpu, sys.argv[1], "--isa", isa, "--quick", "--emulated"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        right = result.returncode == status
        print(f"{cpu}, {isa}: {'ok' if right else 'FAILED'}, status {result.returncode}")
        if not right:
            print(result.stdout)
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
