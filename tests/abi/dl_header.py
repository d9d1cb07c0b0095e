#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""include/npuenc/npuenc_dl.h: a pointer for every function of npuenc.h, and what fills them from a
library that is loaded at run time. Prints it, or compares it with a file."""

import argparse
import re
import sys
from pathlib import Path

import library
import values

TEXT = """\
/* SPDX-License-Identifier: MIT
 *
 * npuenc_dl.h - npuenc for programs that load it at run time and do without it where it is not:
 * a pointer for every function of npuenc.h, all in this file, nothing to link but dlopen.
 *
 *     npuenc_dl npuenc;
 *     if (npuenc_dl_load(&npuenc, NULL) == NPUENC_OK)
 *         status = npuenc.npuenc_open(NULL, &ctx);
 *     else
 *         puts(npuenc.error);
 *
 * Written by tools/abi-baseline from npuenc.h. It is no part of the ABI: it is compiled into the
 * program, and asks the library for the functions that the npuenc.h beside it has.
 */
#ifndef NPUENC_NPUENC_DL_H
#define NPUENC_NPUENC_DL_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "npuenc.h"

#ifdef __cplusplus
extern "C" {{
#endif

#define NPUENC_DL_LIBRARY "{soname}"

typedef struct npuenc_dl {{
    void* library;   /* of dlopen; NULL: not loaded, as are all functions then */
    char error[256]; /* what failed, in words; empty after success */
{members}
}} npuenc_dl;

/* Fills *dl, whatever it held before. path NULL: the library that the system finds under
 * NPUENC_DL_LIBRARY. NPUENC_E_NOT_FOUND: it cannot be loaded. NPUENC_E_UNSUPPORTED: it lacks a
 * function, so is older than npuenc.h or not npuenc. After a failure dl->error says what, and all
 * functions are NULL. Thread-safe for different dl. */
static inline int32_t npuenc_dl_load(npuenc_dl* dl, const char* path) {{
    static const struct {{
        const char* name;
        size_t member;
    }} functions[] = {{
{entries}
    }};
#ifdef __cplusplus
    char* const start = reinterpret_cast<char*>(dl);
#else
    char* const start = (char*)dl;
#endif
    void* library;
    size_t i;
    memset(dl, 0, sizeof *dl);
    library = dlopen(path ? path : NPUENC_DL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {{
        const char* why = dlerror();
        snprintf(dl->error, sizeof dl->error, "%s", why ? why : "the library cannot be loaded");
        return NPUENC_E_NOT_FOUND;
    }}
    for (i = 0; i < sizeof functions / sizeof functions[0]; i++) {{
        void* const function = dlsym(library, functions[i].name);
        if (!function) {{
            memset(dl, 0, sizeof *dl);
            snprintf(dl->error, sizeof dl->error, "%s has no %s", path ? path : NPUENC_DL_LIBRARY,
                     functions[i].name);
            dlclose(library);
            return NPUENC_E_UNSUPPORTED;
        }}
        /* ISO C has no conversion of void* to a function's address; POSIX has them look alike. */
        memcpy(start + functions[i].member, &function, sizeof function);
    }}
    dl->library = library;
    return NPUENC_OK;
}}

/* All handles must have been freed. Does nothing when nothing is loaded. */
static inline void npuenc_dl_unload(npuenc_dl* dl) {{
    if (dl->library)
        dlclose(dl->library);
    memset(dl, 0, sizeof *dl);
}}

#ifdef __cplusplus
}}
#endif
#endif /* NPUENC_NPUENC_DL_H */
"""

WIDTH = 100


def member_of(prototype):
    """The pointer to such a function, broken at commas when it is too long for a line."""
    result, name, arguments = re.fullmatch(r"(.*?)\b(npuenc_\w+)\((.*)\)", prototype).groups()
    line = f"    {result}(*{name})("
    indent = " " * len(line)
    lines = []
    *first, last = arguments.split(", ")
    for argument in [argument + ", " for argument in first] + [last + ");"]:
        if line.endswith(", ") and len(line) + len(argument.rstrip()) > WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += argument
    return "\n".join([*lines, line])


def header_of(prototypes, soname):
    names = [re.search(r"\b(npuenc_\w+)\(", prototype)[1] for prototype in prototypes]
    return TEXT.format(
        soname=soname,
        members="\n".join(map(member_of, prototypes)),
        entries="\n".join(f'        {{"{name}", offsetof(npuenc_dl, {name})}},' for name in names))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expect", metavar="FILE")
    parser.add_argument("header")
    parser.add_argument("baseline", help="has the soname")
    arguments = parser.parse_args()
    text = header_of(values.prototypes_of(arguments.header),
                     library.Record(arguments.baseline).soname)
    if arguments.expect is None:
        sys.stdout.write(text)
        return 0
    expected = Path(arguments.expect).read_text("utf-8").splitlines()
    changed = values.changes(expected, text.splitlines())
    print("\n".join(changed) or f"{arguments.expect} is of this header")
    if changed:
        print(f"- {arguments.expect}, + what the header gives; {values.RENEW}")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
