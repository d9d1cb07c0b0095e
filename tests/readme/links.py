# SPDX-License-Identifier: MIT
"""What the Markdown files refer to exists: the files and headings of their relative links, and the
paths in the README's code. Other sites are not visited."""

import re
import sys
import urllib.parse

import markdown

CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
LINK = re.compile(r"\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+[\"'(][^)]*)?\)")
DEFINITION = re.compile(r"^\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
HTML = re.compile(r"<[^>]*\b(?:href|src)=[\"']([^\"']+)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)(?:\s+#+)?\s*$", re.MULTILINE)
PATH = re.compile(r"`((?:src|kernels|bindings|docs|tests|tools|include)/[\w./-]+)`")


def anchors(text):
    """Of the headings, as GitHub makes them."""
    found = set()
    for heading in HEADING.findall(markdown.prose(text)):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words).strip().lower().replace(" ", "-")
        number = 0
        while (anchor := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(anchor)
    return found


def targets(text):
    text = CODE.sub("", markdown.prose(text))
    return LINK.findall(text) + DEFINITION.findall(text) + HTML.findall(text)


def missing_of(path, text):
    """What is wrong with the links of a file."""
    for target in targets(text):
        url = urllib.parse.urlsplit(target)
        if url.scheme or url.netloc:
            continue
        file = markdown.ROOT / path
        if url.path:
            file = file.parent / urllib.parse.unquote(url.path)
        if not file.exists():
            yield f"{path}: {target}: there is no such file"
        elif markdown.ROOT not in file.resolve().parents:
            yield f"{path}: {target}: leads out of the source tree"
        elif url.fragment and url.fragment not in anchors(file.read_text("utf-8")):
            yield f"{path}: {target}: there is no such heading"


def main():
    missing = [problem for path in markdown.files()
               for problem in missing_of(path, markdown.read(path))]
    missing += [f"README.md: {path}: there is no such file"
                for path in PATH.findall(markdown.read("README.md"))
                if not (markdown.ROOT / path).exists()]
    if missing:
        sys.exit("\n".join(["FAIL:", *missing]))


if __name__ == "__main__":
    main()
