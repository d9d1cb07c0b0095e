# SPDX-License-Identifier: MIT
"""The checks of tools/package-test see what they are there for."""

import contextlib
import io
import re
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
# pylint: disable=wrong-import-position
from package_test import debs, layout, rpm, use  # noqa: E402
from package_test.report import Failure, Report  # noqa: E402

TRIPLET = "riscv64-linux-gnu"


class Files(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory(prefix="npuenc-checks-")
        self.addCleanup(work.cleanup)
        self.work = Path(work.name)

    def file(self, name, text="text"):
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def test_packages_that_differ(self):
        first = [self.file("1/a.deb"), self.file("1/b.deb")]
        debs.same(first, [self.file("2/a.deb"), self.file("2/b.deb")])
        with self.assertRaisesRegex(Failure, "b.deb"):
            debs.same(first, [self.file("3/a.deb"), self.file("3/b.deb", "another text")])
        with self.assertRaisesRegex(Failure, "b.deb"):
            debs.same(first, [self.file("4/a.deb")])

    def test_overrides(self):
        self.file("a.lintian-overrides", "# why\na: tag\na: same-tag\n")
        self.assertEqual(list(debs.unexplained_overrides(self.work)),
                         ["a.lintian-overrides: a: same-tag"])

    def test_tests_and_packages(self):
        for name in ("a_1-1_amd64.deb", "a-dbgsym_1-1_amd64.deb", "b_1-1_all.deb"):
            self.file(name)
        self.assertEqual(use.names_of(self.work), ["a", "b"])

    def test_what_is_left(self):
        self.file("usr/lib/other/libother.so")
        self.file("home/npuenc")
        self.assertEqual(use.left_in(self.work), [])
        self.file("usr/lib/mono/gac/NpuEnc/1/other.dll")
        self.assertEqual(use.left_in(self.work), ["usr/lib/mono/gac/NpuEnc"])


class Autopkgtest(unittest.TestCase):
    def test_results(self):
        control = "Tests: a\nDepends: b\n\nTests: c-d\n\nTests: e\n"
        self.assertEqual(
            use.results_of(control, "a     PASS\nc-d   FAIL non-zero exit\nblame: x\n", "lost"),
            [("a", "PASS"), ("c-d", "FAIL non-zero exit"), ("e", "lost")])


class Layout(unittest.TestCase):
    def test_places(self):
        self.assertEqual(layout.misplaced("libnpuenc0", [
            f"usr/lib/{TRIPLET}/libnpuenc.so.0", f"usr/lib/{TRIPLET}/libnpuenc.so.0.9.0",
            "usr/share/doc/libnpuenc0/copyright"], TRIPLET), [])
        for path in ("usr/lib/libnpuenc.so.0", f"usr/lib/{TRIPLET}/libnpuenc.so",
                     "usr/share/doc/npuenc/copyright", "usr/bin/npuenc"):
            self.assertEqual(layout.misplaced("libnpuenc0", [path], TRIPLET),
                             [f"libnpuenc0 has {path}"])
        self.assertTrue(layout.misplaced("npuenc-more", [], TRIPLET))

    def test_manual(self):
        self.assertEqual(layout.without_manual(["usr/bin/a", "usr/share/man/man1/a.1.gz"]), [])
        self.assertEqual(layout.without_manual(["usr/bin/a"]), ["usr/bin/a has no manual"])

    def test_hardening(self):
        hard = ("  GNU_STACK      0x000000 0x0 0x0 0x000000 0x000000 RW  0x10\n  GNU_RELRO\n"
                " 0x1e (FLAGS) BIND_NOW\n (FLAGS_1) Flags: NOW PIE\n __stack_chk_fail@GLIBC_2.4\n"
                " __memcpy_chk@GLIBC_2.3.4\n")
        self.assertEqual(layout.soft("a", hard, False), [])
        for lost in ("GNU_RELRO", "NOW", "PIE", "__stack_chk_fail", "__memcpy_chk", "RW "):
            self.assertEqual(len(layout.soft("a", hard.replace(lost, ""), False)), 1, lost)
        self.assertEqual(layout.soft("a", re.sub("__.*\n", "", hard), False), [])


class Rpm(unittest.TestCase):
    def test_names(self):
        self.assertEqual(
            list(rpm.common(["./usr/lib/x86_64-linux-gnu/a.so", "/usr/lib64/a.so",
                             "./usr/share/man/man1/a.1.gz", "./usr/share/doc/a/b",
                             "/usr/lib/mono/gac/A/1.0/A.dll", "/usr/lib/cli/a/A.dll"])),
            ["/usr/lib/a.so", "/usr/lib/a.so", "/usr/share/man/man1/a.1", "/usr/lib/cli/a/A.dll"])

    def test_contents(self):
        rpm.compare({"npuenc": {"/a"}}, {"libnpuenc0": {"/a"}})
        for rpms, found in (({"npuenc": set()}, "npuenc has no /a"),
                            ({"npuenc": {"/a", "/b"}}, "npuenc has /b"),
                            ({"npuenc": {"/a"}, "npuenc-c": set()}, "npuenc-c")):
            with self.assertRaisesRegex(Failure, found):
                rpm.compare(rpms, {"libnpuenc0": {"/a"}})


class Verdict(unittest.TestCase):
    def test_counts(self):
        report = Report()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            with report.check("here: good"):
                report.done("here", "something")
            self.assertEqual(report.close(), 0)
            with report.check("here: bad"):
                raise Failure("for a reason")
            report.skip("other", "no time")
            self.assertEqual(report.close(), 1)
        self.assertIn("FAILED  here: bad: for a reason", printed.getvalue())
        self.assertIn("\nhere: something; FAILED: bad\n", printed.getvalue())
        self.assertTrue(printed.getvalue().endswith("\n1 passed, 1 failed, 1 skipped\n"))
        with contextlib.redirect_stdout(printed):
            self.assertEqual(Report().close(), 1, "nothing was checked")


if __name__ == "__main__":
    unittest.main()
