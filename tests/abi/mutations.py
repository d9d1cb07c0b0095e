#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tests of the ABI see every kind of change: each is made to copies of the header and the
version script, to the code or to the link, and those tests that must see it do.

A changed library is not npuenc but stubs, an empty body for every prototype of the header: to these
tests they are the same, which the first case proves, as it changes nothing and nothing is seen."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import baseline
import library
import values


@dataclass
class Case:
    what: str
    seen_by: str
    edits: Sequence = ()  # (old, new), old being in the header or in the version script
    code: str = ""  # more of the library
    link: Sequence = ()  # arguments


CASES = [
    Case("nothing", ""),

    Case("field in the middle", "values baseline",
         [("uint32_t n_columns;", "uint32_t more, n_columns;")]),
    Case("field at the end", "values baseline",
         [("} npuenc_encode_desc;", "uint32_t more; } npuenc_encode_desc;")]),
    Case("field removed", "values baseline", [("uint64_t memory_bytes;", "")]),
    Case("field renamed", "values baseline", [("uint32_t n_columns;", "uint32_t n_rows;")]),
    Case("fields swapped", "values baseline", [("uint32_t m, n, k;", "uint32_t n, m, k;")]),
    Case("type of a field", "baseline", [("int32_t log_level;", "uint32_t log_level;")]),
    Case("length of an array", "values baseline", [("char name[64]", "char name[72]")]),

    Case("type of an argument", "values baseline", [("int64_t timeout_ns", "int32_t timeout_ns")]),
    Case("argument added", "values baseline",
         [("npuenc_close(npuenc_ctx* ctx", "npuenc_close(npuenc_ctx* ctx, int32_t how")]),
    Case("type of a result", "values baseline",
         [("size_t npuenc_last_error", "int32_t npuenc_last_error")]),
    Case("type of a callback's argument", "baseline",
         [("int32_t level, const char*", "int64_t level, const char*")]),
    Case("argument added to a callback", "baseline",
         [("int32_t level, const char*", "int32_t level, int32_t line, const char*")]),

    Case("const added to a handle", "values baseline",
         [("npuenc_close(npuenc_ctx*", "npuenc_close(const npuenc_ctx*")]),
    Case("const dropped from a handle", "values baseline",
         [("npuenc_run_progress(const npuenc_run*", "npuenc_run_progress(npuenc_run*")]),
    Case("const dropped from a buffer", "values", [("const void* pcm", "void* pcm")]),
    Case("const dropped in a callback", "baseline", [("const char* message", "char* message")]),

    Case("value of an enumerator", "values", [("NPUENC_S8 = 3", "NPUENC_S8 = 6")]),
    Case("enumerator removed", "values", [("NPUENC_E_PENDING = -15,", "")]),
    Case("enumerator added", "values", [("NPUENC_F16 = 5", "NPUENC_F16 = 5, NPUENC_F64 = 6")]),
    Case("value of a macro", "values", [("B_SHARED 2u", "B_SHARED 4u")]),
    Case("type of a macro", "values", [("B_SHARED 2u", "B_SHARED 2")]),
    Case("version", "values", [("VERSION_MINOR ", "VERSION_MINOR 1")]),

    Case("function removed", "values baseline library",
         [("NPUENC_API void npuenc_run_cancel(npuenc_run* run);", "")]),
    Case("function added", "values baseline library",
         [("NPUENC_API void npuenc_run_cancel",
           "NPUENC_API void npuenc_more(void);\nNPUENC_API void npuenc_run_cancel"),
          ("npuenc_mel;", "npuenc_mel; npuenc_more;")]),
    Case("function without a prototype", "baseline library",
         [("npuenc_mel;", "npuenc_mel; npuenc_more;")], 'extern "C" void npuenc_more() {}'),
    Case("function that is not exported", "baseline library", [("npuenc_run_cancel;", "")]),
    Case("variable exported", "baseline library",
         [("npuenc_mel;", "npuenc_mel; npuenc_more;")], 'extern "C" { int npuenc_more; }'),
    Case("version node", "baseline library", [(" {\n  global:", "_more {\n  global:")]),
    Case("soname", "baseline library", link=["-Wl,-soname,libmore.so.0"]),

    Case("library needed", "library", link=["-Wl,--no-as-needed", "-lresolv"]),
    Case("executable stack", "library", link=["-Wl,-z,execstack"]),
    Case("no RELRO", "library", link=["-Wl,-z,norelro"]),
    Case("symbols bound late", "library", link=["-Wl,-z,lazy"]),
    Case("path to search", "library", link=["-Wl,-rpath,/opt/lib"]),
    Case("text relocation", "library", code='asm(".text; .quad npuenc_mel; .previous");',
         link=["-Wl,-z,notext"]),
    Case("static initialiser", "library", code="uint32_t version = npuenc_version();"),
    Case("static TLS", "library",
         code='[[gnu::tls_model("initial-exec")]] thread_local int more;'
              'int* address_of_more() { return &more; }'),
    Case("output", "library", code='#include <stdio.h>\nvoid say() { puts("npuenc"); }'),
]


def stubs_of(header):
    yield "#include <npuenc/npuenc.h>"
    for prototype in values.prototypes_of(header):
        body = "{}" if prototype.startswith("void ") else "{ return 0; }"
        yield f'extern "C" {prototype} {body}'


def build(case, arguments, work):
    """The case's header and its library."""
    texts = {"npuenc/npuenc.h": Path(arguments.header).read_text("utf-8"),
             "npuenc.map": Path(arguments.map).read_text("utf-8")}
    for old, new in case.edits:
        (name,) = [name for name, text in texts.items() if old in text]
        texts[name] = texts[name].replace(old, new, 1)
    header, version_script = [work / name for name in texts]
    header.parent.mkdir()
    for name, text in texts.items():
        (work / name).write_text(text, "utf-8")
    code = work / "stubs.cpp"
    code.write_text("\n".join([*stubs_of(header), case.code, ""]), "utf-8")

    # The arguments of the library's own link have the version script that is in the tree.
    link = [argument for argument in arguments.link if "--version-script" not in argument]
    soname = library.Record(arguments.baseline).soname
    built = work / soname
    subprocess.run([*arguments.compiler, "-std=c++20", "-g", "-fPIC", "-shared", f"-I{work}", code,
                    *link, f"-Wl,--version-script={version_script}", f"-Wl,-soname,{soname}",
                    *case.link, "-o", built], check=True)
    return header, built


def seen(header, built, arguments):
    """{test: what it says}, of those that see a change."""
    expected = Path(arguments.values).read_text("utf-8").splitlines()
    said = {
        "values": values.changes(expected, values.values_of(arguments.compiler, header)),
        "baseline": baseline.changes(
            arguments.baseline, baseline.dump_of(built, header.parent.parent)).splitlines(),
        "library": list(library.complaints(
            library.Library(built), library.functions_of(header),
            library.Record(arguments.baseline), release=True)),
    }
    return {test: lines for test, lines in said.items() if lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for file in ("header", "map", "values", "baseline"):
        parser.add_argument(f"--{file}", required=True)
    parser.add_argument("--compiler", nargs="+", required=True)
    parser.add_argument("--link", action="append", default=[])
    arguments = parser.parse_args()

    wrong = 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as work:
            said = seen(*build(case, arguments, Path(work)), arguments)
        expected = set(case.seen_by.split())
        # A libabigail of another version may see more, but no test sees what is not there.
        right = expected <= said.keys() and (expected or not said)
        wrong += not right
        print(f"{case.what}: seen by {', '.join(said) or 'none'}"
              + ("" if right else f", EXPECTED {case.seen_by or 'none'}: {said}"))
    print(f"{len(CASES)} changes, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
