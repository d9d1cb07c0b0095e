# SPDX-License-Identifier: MIT
"""The command line of tools/package-test."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from . import debs, rpm, source, subproject, use
from .report import Failure, Report
from .roots import Root, building_system, cache, clean_system
from .suite import SUITES

USAGE = """usage: tools/package-test [SUITE...]

Makes the release of the commit that is checked out, and Debian's packages of it in clean systems of
the releases of Debian that are named (default: {suites}); in each:

  builds and tests them without a network
  asks lintian
  installs them into another clean system, looks at what is where, and purges them
  runs their autopkgtests: programs in C with the shared and the static library, the command,
  the module for NPUs, the bindings
  builds them again elsewhere: the same to the bit

and in the newest one builds the RPMs, which must have the same files, and a project that has the
release as a subproject of Meson. In the end it says for each what it did.

Needs root, about 5 GB in ${{XDG_CACHE_HOME:-~/.cache}}/npuenc/packages, where the clean systems and
the logs are kept, the Debian packages {tools}, and a Debian mirror, which is the one that apt is
configured with. The last line is the verdict: N passed, N failed, N skipped.
Exit status: 0 nothing failed, 1 something did, 2 wrong usage."""
TOOLS = ("mmdebstrap", "autopkgtest", "meson")


def test(report, suites, work, logs):
    report.step("the release")
    tarball = source.release(work, logs / "release.log")
    (work / "source").mkdir()
    tree = source.source_tree(tarball, work / "source", logs / "release.log")
    print(tarball.name, flush=True)
    for suite in suites:
        report.step(f"{suite}: clean systems")
        log = logs / f"{suite}.log"
        clean = clean_system(suite, log)
        building = building_system(suite, clean, tree / "debian" / "control", log)
        report.step(f"{suite}: packages")
        with Root(building, log) as root:
            kept = debs.test(report, root, suite, tree, logs)
            if not kept:
                continue
            report.step(f"{suite}: use")
            use.test(report, suite, tree, clean, kept, logs)
            if suite == SUITES[-1]:
                report.step("RPMs")
                rpm.test(report, root, suite, tree, tarball, kept, logs)
                report.step("subproject")
                subproject.test(report, root, suite, tree, tarball, logs)
            report.step(f"{suite}: packages again")
            debs.test_again(report, root, suite, tree, kept, logs)


def main(arguments):
    known = {str(suite): suite for suite in SUITES}
    usage = USAGE.format(suites=", ".join(known), tools=", ".join(TOOLS))
    if arguments == ["--help"]:
        print(usage)
        return 0
    if not set(arguments) <= known.keys():
        print(usage, file=sys.stderr)
        return 2
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if os.geteuid() or missing:
        print("package-test: " + ("this needs root" if os.geteuid() else
              f"install {' '.join(missing)}"), file=sys.stderr)
        return 1
    suites = [suite for name, suite in known.items() if not arguments or name in arguments]
    logs = cache() / "logs"
    logs.mkdir(exist_ok=True)
    for log in (log for suite in suites for log in logs.glob(f"{suite}*.log")):
        log.unlink()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="work-", dir=cache()) as work:
        try:
            test(report, suites, Path(work), logs)
        except Failure as failure:
            report.failed += 1
            print(f"FAILED  {failure}")
    return report.close()
