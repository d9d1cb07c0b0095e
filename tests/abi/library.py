#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What libnpuenc.so is as a file: what it exports, needs, imports and does when it is loaded."""

import argparse
import re
import shutil
import sys
from pathlib import Path

import values

NEEDED = re.compile(r"(libc|libm|libstdc\+\+|libgcc_s|libpthread|ld-linux[a-z0-9-]*)\.so\.\d+")

# npuenc ends no program, prints nothing, changes no signal handlers, and asks the environment by
# secure_getenv alone. What libstdc++ itself does behind its functions is not seen here, and
# std::terminate is not forbidden: the destructor of std::thread, an inline function, names it.
FORBIDDEN = """
    abort exit _exit _Exit quick_exit atexit at_quick_exit __cxa_atexit __assert_fail
    __stack_chk_fail_local printf vprintf fprintf vfprintf puts putchar putc fputc fputs fwrite
    perror psignal dprintf vdprintf syslog vsyslog write stdout stderr
    __printf_chk __fprintf_chk __vfprintf_chk __vprintf_chk __syslog_chk
    getenv setenv putenv unsetenv clearenv environ __environ
    signal sigaction sigaltstack bsd_signal sysv_signal raise kill
    system popen fork vfork execve execvp posix_spawn posix_spawnp setlocale srand
    longjmp siglongjmp _longjmp __longjmp_chk
    gets strcpy strcat sprintf vsprintf
    _ZSt4cout _ZSt4cerr _ZSt4clog _ZSt5wcout _ZSt5wcerr
    _ZNSt8ios_base4InitC1Ev _ZSt21__glibcxx_assert_failPKciS0_S0_
""".split()


def functions_of(header):
    return {re.match(r"[^(]*?\b(npuenc_\w+)\(", prototype)[1]
            for prototype in values.prototypes_of(header)}


class Record:
    """What tests/abi/baseline.abi says of the library as a file."""

    def __init__(self, baseline):
        text = Path(baseline).read_text("utf-8")
        self.soname = re.search(r"<abi-corpus [^>]*soname='([^']*)'", text)[1]
        self.symbols = {f"{name}@@{node}" for name, node in re.findall(
            r"<elf-symbol name='(\w+)' version='([^']*)' is-default-version='yes'", text)}


class Library:
    def __init__(self, path):
        self.dynamic = values.output_of("readelf", "-Wd", path)
        self.segments = values.output_of("readelf", "-Wl", path)
        self.sections = values.output_of("readelf", "-WS", path)
        self.is_arm64 = "AArch64" in values.output_of("readelf", "-Wh", path)
        table = values.output_of("readelf", "-W", "--dyn-syms", path)
        self.symbols = [line.split() for line in table.splitlines() if re.match(r"\s*\d+:", line)]

    def tags(self, tag):
        return re.findall(rf"\({tag}\)\s+(?:.*: )?\[?([^\]\n]*)\]?", self.dynamic)

    def defined(self):
        return [s[7] for s in self.symbols if len(s) > 7 and s[6] not in ("UND", "ABS")
                and s[3] != "SECTION"]

    def undefined(self):
        return {s[7].split("@")[0] for s in self.symbols if len(s) > 7 and s[6] == "UND"}


def complaints(library, functions, record, release):
    exported = set(library.defined())
    for name in sorted(functions - {symbol.split("@")[0] for symbol in exported}):
        yield f"{name} is in the header, but not exported"
    for symbol in sorted(exported):
        if symbol.split("@")[0] not in functions:
            yield f"{symbol} is exported, but not in the header"
    if gone := sorted(record.symbols - exported):
        yield f"no longer exported: {', '.join(gone)}; {values.RENEW}"
    if new := sorted(exported - record.symbols):
        yield f"newly exported: {', '.join(new)}; {values.RENEW}"

    if library.tags("SONAME") != [record.soname]:
        yield f"the soname is {library.tags('SONAME')}, expected {record.soname}; {values.RENEW}"
    for name in library.tags("NEEDED"):
        if not NEEDED.fullmatch(name):
            yield f"{name} is needed"
    flags = " ".join(library.tags("FLAGS") + library.tags("FLAGS_1"))
    for flag in ("BIND_NOW", "NODELETE"):
        if flag not in flags:
            yield f"{flag} is not set"
    if "STATIC_TLS" in flags:
        yield "static TLS, of which a program has little left when it calls dlopen"
    if "TEXTREL" in library.dynamic:
        yield "text relocations"
    for tag in ("RPATH", "RUNPATH"):
        for path in library.tags(tag):
            yield f"{tag} is {path}"
    if "GNU_RELRO" not in library.segments:
        yield "no RELRO"
    stack = re.search(r"GNU_STACK.*", library.segments)
    if not stack or re.search(r"\bRWE\b", stack.group()):
        yield "the stack is executable"
    if re.search(r"LOAD.*\bRWE\b", library.segments):
        yield "a segment can be written and executed"

    # The compiler's own start-up files put one function there (frame_dummy), and its library for
    # ARM another, which asks for the kind of atomic instructions (init_have_lse_atomics).
    own = 16 if library.is_arm64 else 8
    size = sum(map(int, re.findall(r"INIT_ARRAYSZ\)\s+(\d+)", library.dynamic)))
    if size > own or " .ctors " in library.sections:
        yield f"static initialisers: .init_array has {size} bytes, expected {own}"

    forbidden = set(FORBIDDEN) - (set() if release else {"__assert_fail"})
    for name in sorted(library.undefined() & forbidden):
        yield f"{name} is used"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--debug", action="store_true", help="assert() is allowed")
    parser.add_argument("library")
    parser.add_argument("header")
    parser.add_argument("baseline")
    arguments = parser.parse_args()
    if not shutil.which("readelf"):
        print("there is no readelf here")
        return 77
    functions = functions_of(arguments.header)
    if len(functions) < 30:
        print(f"{arguments.header} cannot be read: {len(functions)} functions")
        return 1
    found = list(complaints(Library(arguments.library), functions, Record(arguments.baseline),
                            not arguments.debug))
    print("\n".join(found) or f"{len(functions)} functions, nothing else")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
