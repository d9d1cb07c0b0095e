#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every function of the header, and no other, is in the version script; a test calls it, and the
news of the version that its symbol has name it."""

import argparse
import re
import sys
from pathlib import Path


def without_comments(path):
    return re.sub(r"/\*.*?\*/", "", Path(path).read_text(encoding="utf-8"), flags=re.DOTALL)


def nodes_of(version_script):
    """{version: its functions}"""
    nodes = re.findall(r"^NPUENC_(\S+) \{(.*?)^\}", without_comments(version_script),
                       flags=re.DOTALL | re.MULTILINE)
    return {version: re.findall(r"^\s*(\w+);", body, flags=re.MULTILINE) for version, body in nodes}


def news_of(path):
    """{version: its text}, the newest first; patches belong to the version that they are of."""
    sections = re.findall(r"^## (\d+\.\d+)(.*?)(?=^## |\Z)", Path(path).read_text("utf-8"),
                          flags=re.DOTALL | re.MULTILINE)
    news = {}
    for version, text in sections:
        news[version] = news.get(version, "") + text
    return news


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("header")
    parser.add_argument("map")
    parser.add_argument("news")
    parser.add_argument("tests", nargs="+")
    arguments = parser.parse_args()

    header = without_comments(arguments.header)
    functions = re.findall(r"^NPUENC_API[^;(]*?\b(npuenc_\w+)\(", header, flags=re.MULTILINE)
    nodes = nodes_of(arguments.map)
    mapped = [name for names in nodes.values() for name in names]
    news = news_of(arguments.news)
    code = "".join(without_comments(test) for test in arguments.tests)
    called = set(re.findall(r"\b(npuenc_\w+)\(", code))

    wrong = []
    if len(functions) < 30 or len(functions) != len(set(functions)):
        wrong.append(f"{len(functions)} functions in {arguments.header}")
    for name in sorted(set(functions) ^ set(mapped)):
        wrong.append(f"{name} is not in both the header and {arguments.map}")
    for version, names in nodes.items():
        if names != sorted(names):
            wrong.append(f"NPUENC_{version} in {arguments.map} is not in order")
        for name in names:
            if f"`{name}`" not in news.get(version, ""):
                wrong.append(f"{name} is not in the section on {version} of {arguments.news}")
    newest = ".".join(re.search(rf"VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR"))
    if newest != next(iter(news)):
        wrong.append(f"the header is of {newest}, but not the first section of {arguments.news}")
    for name in sorted(set(functions) - called):
        wrong.append(f"{name} is called by no test")
    print("\n".join(wrong) or f"{len(functions)} functions in header, map, tests and news")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
