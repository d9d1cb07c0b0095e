# SPDX-License-Identifier: MIT
"""The raw layers that are committed are, to the byte, what tools/bindings makes of the header with
the pinned SWIG, and no file of another header is left among them."""

import argparse
import difflib
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

from environment import LANGUAGES, ROOT, SKIPPED

SWIG_IS_ABSENT = 3


def tool():
    """tools/bindings as a module: it knows what a generated file looks like."""
    loader = importlib.machinery.SourceFileLoader("bindings", str(ROOT / "tools" / "bindings"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bindings", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def tracked(directory):
    """What is committed of it, or all of it in a tree that is not Git's."""
    result = subprocess.run(["git", "-C", directory, "ls-files", "-z", "--cached", "--others",
                             "--exclude-standard"], check=False, capture_output=True, text=True)
    if result.returncode == 0:
        return [directory / name for name in result.stdout.split("\0") if name]
    return [path for path in directory.rglob("*") if path.is_file()]


def first_difference(expected, found):
    lines = difflib.unified_diff(*(data.decode("utf-8", "replace").splitlines()
                                   for data in (found, expected)), "committed", "generated",
                                 n=0, lineterm="")
    return "\n    ".join(list(lines)[:8])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", default=LANGUAGES)
    languages = parser.parse_args().languages
    swig = subprocess.run([ROOT / "tools" / "python-env", "swig", "--print-path"], check=False,
                          stdout=subprocess.DEVNULL)
    if swig.returncode == SWIG_IS_ABSENT:
        print("the pinned SWIG is not there: tools/python-env swig gets it")
        return SKIPPED
    module = tool()
    wrong = []
    with tempfile.TemporaryDirectory(prefix="npuenc-bindings-") as scratch:
        scratch = pathlib.Path(scratch)
        if subprocess.run([ROOT / "tools" / "bindings", "--output", scratch, *languages],
                          check=False).returncode != 0:
            return 1
        generated = {path.relative_to(scratch): path.read_bytes()
                     for path in module.files_of(scratch)}
    for name, expected in generated.items():
        if not (ROOT / name).is_file():
            wrong.append(f"{name} is not there")
        elif (found := (ROOT / name).read_bytes()) != expected:
            wrong.append(f"{name} is not what the header gives:\n    "
                         + first_difference(expected, found))
    for language in languages:
        for path in tracked(ROOT / "bindings" / language):
            if (path.suffix in module.COMMENTS and path.is_file() and module.is_generated(path)
                    and path.relative_to(ROOT) not in generated):
                wrong.append(f"{path.relative_to(ROOT)} is left over: nothing generates it")
    for line in wrong:
        print(f"FAIL: {line}")
    if wrong:
        print("tools/bindings writes them anew")
    else:
        print(f"{len(generated)} files are as generated")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
