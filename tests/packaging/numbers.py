# SPDX-License-Identifier: MIT
"""tools/packaging says the version, the soname's number and the symbols that the project says; where
it does not, update-numbers sees it and makes it so."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Numbers(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory(prefix="npuenc-numbers-")
        self.addCleanup(work.cleanup)
        self.tree = Path(work.name)
        shutil.copytree(ROOT / "tools/packaging", self.tree / "tools/packaging")
        for path in ("meson.build", "src/abi/meson.build", "src/abi/npuenc.map"):
            (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, self.tree / path)

    def update(self, *options):
        return subprocess.run(
            [sys.executable, self.tree / "tools/packaging/update-numbers", *options],
            check=False, capture_output=True, text=True)

    def change(self, path, pattern, replacement):
        file = self.tree / path
        text = re.sub(pattern, replacement, file.read_text("utf-8"), count=1)
        self.assertNotEqual(text, file.read_text("utf-8"))
        file.write_text(text, "utf-8")

    def debian(self, name):
        return (self.tree / "tools/packaging/debian" / name).read_text("utf-8")

    def expect_change(self, *names):
        """It is seen, named, and gone after an update."""
        checked = self.update("--check")
        self.assertEqual(checked.returncode, 1, checked)
        for name in names:
            self.assertIn(f"{name} is not", checked.stdout)
        self.assertEqual(self.update().returncode, 0)
        self.assertEqual(self.update("--check").returncode, 0)

    def test_all_are_those_of_the_project(self):
        checked = self.update("--check")
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def test_a_new_version(self):
        self.change("meson.build", r"version: '[\d.]+'", "version: '7.8.9'")
        self.expect_change("debian/changelog", "npuenc.spec")
        self.assertRegex(self.debian("changelog"), r"\Anpuenc \(7\.8\.9-1\) [^\0]*\nnpuenc \(")

    def test_a_new_soname(self):
        self.change("src/abi/meson.build", r"soversion: '\d+'", "soversion: '77'")
        self.expect_change("debian/control")
        self.assertIn("\nPackage: libnpuenc77\n", self.debian("control"))
        self.assertIn("libnpuenc.so", self.debian("libnpuenc77.install"))
        self.assertTrue(
            self.debian("libnpuenc77.symbols").startswith("libnpuenc.so.77 libnpuenc77 "))

    def test_a_new_function(self):
        self.change("src/abi/npuenc.map", r"npuenc_open;", "npuenc_open;\n    npuenc_openmost;")
        self.expect_change()
        symbols, = (self.tree / "tools/packaging/debian").glob("*.symbols")
        self.assertRegex(symbols.read_text("utf-8"), r"\n npuenc_openmost@NPUENC_[\d.]+ [\d.]+\n")


if __name__ == "__main__":
    unittest.main()
