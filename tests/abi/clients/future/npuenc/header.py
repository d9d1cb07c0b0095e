#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The public header of a version to come: every struct has grown by one field at its end."""

import argparse
import re
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("header", help="of now")
    parser.add_argument("output")
    arguments = parser.parse_args()
    text = Path(arguments.header).read_text("utf-8")
    text, structs = re.subn(r"^(typedef struct (npuenc_\w+) \{.*?)^\} \2;",
                            r"\1    uint64_t of_the_future;\n} \2;", text,
                            flags=re.MULTILINE | re.DOTALL)
    if structs != text.count("    uint32_t struct_size;"):
        raise SystemExit("not every struct begins with struct_size")
    Path(arguments.output).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
