# SPDX-License-Identifier: MIT
"""What the tests read out of Markdown files."""

import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files(root=ROOT):
    """All of the source tree, as paths below it; what is built in it is not."""
    found = []
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if name[0] != "." and name != "target" and
                    not pathlib.Path(directory, name, "meson-private").exists()]
        found += [pathlib.Path(directory, name).relative_to(root) for name in names
                  if name.endswith(".md")]
    return sorted(found)


def read(path):
    return (ROOT / path).read_text("utf-8")


def blocks(text):
    """Each fenced block: its language, empty if it has none, and what is in it."""
    return [(re.split(r"\W", info.strip(), maxsplit=1)[0], content)
            for info, content in FENCED.findall(text)]


def programs(language, text):
    return [content for name, content in blocks(text) if name == language]


def prose(text):
    """Without the fenced blocks."""
    return FENCED.sub("", text)
