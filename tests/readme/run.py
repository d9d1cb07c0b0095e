# SPDX-License-Identifier: MIT
"""The README's C program, as printed: it compiles without a warning, and its states are the
command's. Its programs in other languages are those that the tests of the bindings run."""

import argparse
import pathlib
import struct
import subprocess
import sys
import tempfile

import tone
from markdown import ROOT, programs, read

sys.path.insert(0, str(ROOT / "tests" / "command"))
import random_model  # noqa: E402  pylint: disable=wrong-import-position

README = read("README.md")
# What compiles or runs the first program in a language's own README.
TESTS = {"rust": "npuenc/src/lib.rs", "go": "test", "csharp": "test",
         "python": "tests/test_package.py"}


def fail(text):
    sys.exit(f"FAIL: {text}")


def states_of_the_command(npuenc, model, work):
    recording, states = tone.write(work / "tone.wav"), work / "tone.npy"
    subprocess.run([npuenc, "encode", "--model", str(model), "--output", str(states),
                    str(recording)], check=True, stdout=subprocess.DEVNULL)
    data = states.read_bytes()
    return data[10 + struct.unpack_from("<H", data, 8)[0]:]


def test_program(arguments, work):
    found = programs("c", README)
    if len(found) != 1:
        fail(f"expected one C program in the README, found {len(found)}")
    source, program = work / "states.c", work / "states"
    source.write_text(found[0], "utf-8")
    library = pathlib.Path(arguments.library).resolve()
    subprocess.run([*arguments.compiler, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror",
                    "-Wno-missing-field-initializers", f"-I{ROOT / 'include'}", str(source),
                    str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program)], check=True)

    model = random_model.write(work / "model")
    pcm = tone.pcm()
    ran = subprocess.run([str(program), str(model)], input=pcm, check=True, stdout=subprocess.PIPE)
    if ran.stdout != states_of_the_command(arguments.npuenc, model, work):
        fail("the program's states are not the command's")

    ran = subprocess.run([str(program), str(work / "absent")], input=pcm, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False)
    if ran.returncode != 1 or ran.stdout or b"absent" not in ran.stderr:
        fail("the program does not report a model that is not there")


def test_bindings():
    """The first program in a language's own README is compiled and run by that language's test."""
    for language, test in TESTS.items():
        own = pathlib.Path("bindings", language)
        if programs(language, README) != programs(language, read(own / "README.md"))[:1]:
            fail(f"the {language} program is not the first one of {own / 'README.md'}")
        if "README.md" not in read(own / test):
            fail(f"{own / test} does not use the program of {own / 'README.md'}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--npuenc", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--compiler", required=True, nargs="+")
    arguments = parser.parse_args()
    test_bindings()
    with tempfile.TemporaryDirectory(prefix="npuenc-readme-") as work:
        test_program(arguments, pathlib.Path(work))


if __name__ == "__main__":
    main()
