# SPDX-License-Identifier: MIT
"""The release tarball, as `meson dist` makes it, and the source package made of it."""

import shutil
import subprocess
from pathlib import Path

from .report import Failure
from .roots import run

ROOT = Path(__file__).resolve().parents[2]


def release(work, log):
    """The tarball of the commit that is checked out."""
    changed = subprocess.run(["git", "-C", ROOT, "status", "--porcelain"], check=False,
                             capture_output=True, text=True)
    if changed.returncode or changed.stdout:
        raise Failure("the release is made of a commit: commit or stash what git status shows")
    build = work / "release"
    run(["meson", "setup", "-Dtests=disabled", "-Dtools=disabled", "-Dxrt=disabled", build, ROOT],
        log)
    run(["meson", "dist", "-C", build, "--no-tests"], log)
    tarball, = (build / "meson-dist").glob("*.tar.xz")
    return tarball


def source_tree(tarball, work, log):
    """The directory of the source package, beside it the tarball under Debian's name."""
    name, version = tarball.name.removesuffix(".tar.xz").rsplit("-", 1)
    shutil.copy(tarball, work / f"{name}_{version}.orig.tar.xz")
    run(["tar", "--extract", "--file", tarball, "--directory", work, "--no-same-owner"], log)
    tree = work / f"{name}-{version}"
    shutil.copytree(tree / "tools" / "packaging" / "debian", tree / "debian")
    return tree
