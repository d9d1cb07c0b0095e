# SPDX-License-Identifier: MIT
"""Packages in a clean system: installed, looked at, used by their autopkgtests, and removed."""

import re
import shutil

from . import layout
from .report import Failure
from .roots import Root, run

# autopkgtest in a root, with the network of this system for apt.
IN_ROOT = """set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
exec "$@"
"""


def names_of(debs):
    return sorted(deb.name.split("_")[0] for deb in debs.glob("*.deb") if "-dbgsym_" not in deb.name)


def left_in(root):
    """What has npuenc in its name where packages put files."""
    return [str(path.relative_to(root)) for place in ("etc", "usr", "var/lib")
            for path in (root / place).rglob("*")
            if "npuenc" in path.name.lower()]


def test(report, suite, source, clean, debs, logs):
    log = logs / f"{suite}-use.log"
    names = names_of(debs)
    with Root(clean, log) as root:
        root.give(debs, "/debs", owner=0)
        installed = False
        with report.check(f"{suite}: installs into a clean system: {' '.join(names)}"):
            root.install("binutils", *(f"/debs/{deb.name}" for deb in sorted(debs.glob("*.deb"))
                                       if "-dbgsym_" not in deb.name))
            installed = True
            report.done(suite, f"installed: {' '.join(names)}")
        if not installed:
            return
        with report.check(f"{suite}: files are where they belong, and hardened"):
            layout.test_installed(root, names)
            report.done(suite, "files in place, and hardened")
        with report.check(f"{suite}: nothing is left when the packages are purged"):
            root.run("apt-get", "purge", "-q", "--yes", *names)
            if left := left_in(root.path):
                raise Failure(", ".join(left))
            report.done(suite, "purged without a trace")

    with Root(clean, log) as root:
        root.install("dpkg-dev")
        passed = []
        for name, result in autopkgtest(root, source, debs, logs / f"{suite}-autopkgtest"):
            if result.startswith("SKIP"):
                report.skip(f"{suite}: autopkgtest {name}", result.removeprefix("SKIP "))
                report.done(suite, f"autopkgtest {name} skipped")
                continue
            with report.check(f"{suite}: autopkgtest {name}"):
                if not result.startswith("PASS"):
                    raise Failure(f"{result}, see {logs}/{suite}-autopkgtest")
                passed.append(name)
        if passed:
            report.done(suite, f"autopkgtests passed: {' '.join(passed)}")


def autopkgtest(root, source, debs, output):
    """(test, result) of every test of the source package, with the packages installed in a root."""
    shutil.rmtree(output, ignore_errors=True)
    failure = ""
    try:
        run(["unshare", "--mount", "sh", "-c", IN_ROOT, "in-root", root.path,
             "autopkgtest", "--no-built-binaries", f"--output-dir={output}",
             *(deb for deb in sorted(debs.glob("*.deb")) if "-dbgsym_" not in deb.name),
             f"{source}/", "--", "chroot", root.path], root.log)
    except Failure as problem:
        failure = str(problem)
    summary = output / "summary"
    return results_of((source / "debian/tests/control").read_text("utf-8"),
                      summary.read_text("utf-8") if summary.exists() else "",
                      failure or "it was not run")


def results_of(control, summary, failure):
    """(test, result) of every test in debian/tests/control: the summary's, or else the failure."""
    results = dict(re.findall(r"^(\S+) +((?:PASS|FAIL|SKIP|FLAKY).*)$", summary, re.MULTILINE))
    return [(name, results.get(name, failure))
            for name in re.findall(r"^Tests: (\S+)$", control, re.MULTILINE)]
