# SPDX-License-Identifier: MIT
"""The README's C program, as printed: it compiles without a warning, and its states are the
command's. Its programs in other languages are those that the tests of the bindings run. Its files
exist, and so do those that it names."""

import argparse
import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "command"))
import random_model  # noqa: E402  pylint: disable=wrong-import-position

README = (ROOT / "README.md").read_text("utf-8")


def fail(text):
    sys.exit(f"FAIL: {text}")


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def tone():
    """A second of a sound, 16-bit."""
    return b"".join(struct.pack("<h", int(9000 * math.sin(0.2 * i + 3 * math.sin(0.001 * i))))
                    for i in range(16000))


def states_of_the_command(npuenc, model, pcm, work):
    recording, states = work / "tone.wav", work / "tone.npy"
    with wave.open(str(recording), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(pcm)
    subprocess.run([npuenc, "encode", "--model", str(model), "--output", str(states),
                    str(recording)], check=True, stdout=subprocess.DEVNULL)
    data = states.read_bytes()
    return data[10 + struct.unpack_from("<H", data, 8)[0]:]


def test_program(arguments, work):
    programs = blocks("c")
    if len(programs) != 1:
        fail(f"expected one C program in the README, found {len(programs)}")
    source, program = work / "states.c", work / "states"
    source.write_text(programs[0], "utf-8")
    library = pathlib.Path(arguments.library).resolve()
    subprocess.run([*arguments.compiler, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror",
                    "-Wno-missing-field-initializers", f"-I{ROOT / 'include'}", str(source),
                    str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program)], check=True)

    model = random_model.write(work / "model")
    pcm = tone()
    ran = subprocess.run([str(program), str(model)], input=pcm, check=True, stdout=subprocess.PIPE)
    if ran.stdout != states_of_the_command(arguments.npuenc, model, pcm, work):
        fail("the program's states are not the command's")

    ran = subprocess.run([str(program), str(work / "absent")], input=pcm, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False)
    if ran.returncode != 1 or ran.stdout or b"absent" not in ran.stderr:
        fail("the program does not report a model that is not there")


def test_bindings():
    """The first program in a language's own README is compiled and run by that language's test."""
    for language in ("rust", "go", "csharp", "python"):
        own = (ROOT / "bindings" / language / "README.md").read_text("utf-8")
        if blocks(language) != blocks(language, own)[:1]:
            fail(f"the {language} program is not the first one of bindings/{language}/README.md")


def test_links():
    missing = [target for target in re.findall(r"\]\(([^):#]+)\)", README)
               if not (ROOT / target).exists()]
    missing += [path for path in re.findall(r"`((?:src|kernels|bindings|tests|tools|include)/[\w./-]+)`",
                                            README) if not (ROOT / path).exists()]
    missing += [line.split()[0] for block in blocks("sh") for line in block.splitlines()
                if line.startswith("tools/") and not os.access(ROOT / line.split()[0], os.X_OK)]
    if missing:
        fail(f"the README names what is not there: {', '.join(missing)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--npuenc", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--compiler", required=True, nargs="+")
    arguments = parser.parse_args()
    test_links()
    test_bindings()
    with tempfile.TemporaryDirectory(prefix="npuenc-readme-") as work:
        test_program(arguments, pathlib.Path(work))


if __name__ == "__main__":
    main()
