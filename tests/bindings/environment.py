# SPDX-License-Identifier: MIT
"""What the tests and the benches of every language's bindings find in their environment."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "command"))
import random_model  # noqa: E402  pylint: disable=wrong-import-position

LANGUAGES = ("go", "rust", "csharp", "python")
RECORDINGS = pathlib.Path("/usr/share/pocketsphinx/test/data/librivox")
OLDEST_GO = 21  # of Go 1
SKIPPED = 77


def said_by(*command):
    """What a command prints, empty when it fails or is not there."""
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def directory_of_go():
    """Where the Go of tools/python-env is, empty when the one in PATH is new enough or neither is
    there."""
    version = re.match(r"go1\.(\d+)", said_by("go", "env", "GOVERSION"))
    if version and int(version[1]) >= OLDEST_GO:
        return ""
    python = said_by(ROOT / "tools" / "python-env", "--print-path", "go")
    root = python and said_by(pathlib.Path(python).with_name("go"), "env", "GOROOT")
    return root and os.path.join(root, "bin")


def of_build(build, work, scratch):
    """A copy of this process's environment, with the library that was built in `build`. `work` is
    the language's own directory, where caches may stay; what is in `scratch` does not outlive it."""
    build, work = pathlib.Path(build).resolve(), pathlib.Path(work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    own = {
        "NPUENC_SOURCE": ROOT,
        "NPUENC_BUILD": build,
        "NPUENC_WORK": work,
        "NPUENC_COMMAND": build / "tools" / "npuenc" / "npuenc",
        "NPUENC_TEST_MODEL": random_model.write(pathlib.Path(scratch) / "model"),
        "NPUENC_MODEL": said_by(ROOT / "tools" / "fetch-model", "--print-path", "tiny.en") or None,
        "NPUENC_SPEECH": next(iter(sorted(RECORDINGS.glob("*.wav"))), None),
        "NPUENC_RAW": None,
        # npuenc-uninstalled.pc is what pkg-config takes for npuenc there.
        "PKG_CONFIG_PATH": build / "meson-uninstalled",
        "LD_LIBRARY_PATH": build / "src" / "abi",
        "PATH": directory_of_go(),
    }
    environment = {name: value for name, value in os.environ.items() if name not in own}
    for name in ("PKG_CONFIG_PATH", "LD_LIBRARY_PATH", "PATH"):
        own[name] = os.pathsep.join(filter(None, [str(own[name]), os.environ.get(name)]))
    return environment | {name: str(value) for name, value in own.items() if value is not None}
