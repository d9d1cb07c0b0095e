# SPDX-License-Identifier: MIT
"""A project that has npuenc as a subproject takes the library, and nothing that it did not ask for.
It is only configured here: tools/package-test builds and runs it."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def targets_of(work, *options):
    """{name: type} of all that would be built of npuenc."""
    build = work / "build"
    shutil.rmtree(build, ignore_errors=True)
    done = subprocess.run(["meson", "setup", build, work / "project", *options], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"FAIL: the project cannot be configured:\n{done.stdout}")
    printed = subprocess.run(["meson", "introspect", build, "--targets"], check=True,
                             stdout=subprocess.PIPE, text=True)
    return {(target["name"], target["type"]): "/tests/" in target["defined_in"]
            for target in json.loads(printed.stdout)}


def expect(condition, text):
    if not condition:
        sys.exit(f"FAIL: {text}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True, nargs="+")
    arguments = parser.parse_args()
    if not shutil.which("meson"):
        print("there is no meson in PATH")
        return 77
    os.environ["CC"] = " ".join(arguments.compiler)
    # One that is installed would be taken.
    os.environ["PKG_CONFIG_LIBDIR"] = os.environ.get("PKG_CONFIG_LIBDIR", "")

    with tempfile.TemporaryDirectory(prefix="npuenc-subproject-") as directory:
        work = Path(directory)
        shutil.copytree(ROOT / "tests/packaging/subproject", work / "project")
        (work / "project/subprojects").mkdir()
        (work / "project/subprojects/npuenc").symlink_to(ROOT)

        shared = targets_of(work)
        expect(("product", "executable") in shared, "the program is not built")
        expect(("npuenc", "shared library") in shared, "the library is not built")
        expect(("npuenc", "executable") not in shared, "the command is built unasked")
        expect(not any(shared.values()), "tests are built unasked")

        static = targets_of(work, "-Dnpuenc:default_library=static")
        expect(("npuenc", "static library") in static, "the static library is not built")
        expect(("npuenc", "shared library") not in static, "the shared library is built unasked")

        command = targets_of(work, "-Dnpuenc:tools=auto", "-Dnpuenc:tests=enabled")
        expect(any(command.values()), "tests that are asked for are not built")
    return 0


if __name__ == "__main__":
    sys.exit(main())
