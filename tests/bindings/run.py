# SPDX-License-Identifier: MIT
"""Runs bindings/LANGUAGE/test in the environment that it expects, on the committed raw layer or on
one that the system's SWIG generates."""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import environment


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", choices=environment.LANGUAGES)
    parser.add_argument("--build", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--system-swig", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="npuenc-bindings-") as scratch:
        scratch = pathlib.Path(scratch)
        env = environment.of_build(arguments.build, arguments.work, scratch)
        if arguments.system_swig:
            swig = shutil.which("swig")
            if swig is None:
                print("there is no swig: Debian's package has this name")
                return environment.SKIPPED
            env["NPUENC_RAW"] = str(scratch / "raw")
            subprocess.run([swig, "-version"], check=True)
            subprocess.run([environment.ROOT / "tools" / "bindings", "--swig", swig, "--output",
                            env["NPUENC_RAW"], arguments.language], check=True)
        test = environment.ROOT / "bindings" / arguments.language / "test"
        return subprocess.run([test], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
