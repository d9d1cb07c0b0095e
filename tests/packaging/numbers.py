# SPDX-License-Identifier: MIT
"""Whatever says the version, the soname's number or the symbols says what the project says; where it
does not, update-numbers sees it and makes it so."""

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
        # Of bindings, not what has been built there.
        for path in ("bindings", "docs", "include", "src/abi", "tools/packaging"):
            shutil.copytree(ROOT / path, self.tree / path,
                            ignore=shutil.ignore_patterns("target", "build", "bin", "obj"))
        shutil.copy(ROOT / "meson.build", self.tree)

    def update(self, *options):
        return subprocess.run(
            [sys.executable, self.tree / "tools/packaging/update-numbers", *options],
            check=False, capture_output=True, text=True)

    def change(self, path, pattern, replacement):
        file = self.tree / path
        text = re.sub(pattern, replacement, file.read_text("utf-8"), count=1)
        self.assertNotEqual(text, file.read_text("utf-8"))
        file.write_text(text, "utf-8")

    def text(self, path):
        return (self.tree / path).read_text("utf-8")

    def news(self, *titles):
        (self.tree / "NEWS.md").write_text("".join(f"## {title}\n\n" for title in titles), "utf-8")

    @staticmethod
    def version():
        return re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text("utf-8"))[1]

    def debian(self, name):
        return self.text(f"tools/packaging/debian/{name}")

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
        self.news("7.8.9", self.version())
        self.change("meson.build", r"version: '[\d.]+'", "version: '7.8.9'")
        self.expect_change("debian/changelog", "npuenc.spec", "npuenc.h", "Cargo.toml",
                           "pyproject.toml", "NpuEnc.csproj", "go/README.md", "packaging.md")
        self.assertRegex(self.debian("changelog"), r"\Anpuenc \(7\.8\.9-1\) [^\0]*\nnpuenc \(")
        self.assertRegex(self.text("tools/packaging/npuenc.spec"),
                         r"\n%changelog\n\* .* - 7\.8\.9-1\n- .*\n\n\* .* - [\d.]+-1\n")
        self.assertRegex(self.text("include/npuenc/npuenc.h"),
                         r"MAJOR 7\n#define NPUENC_VERSION_MINOR 8\n#define NPUENC_VERSION_PATCH 9\n")
        self.assertIn('AssemblyVersion("7.8.0.0")',
                      self.text("bindings/csharp/NpuEnc/Assembly.cs"))

    def test_a_version_after_one_that_was_not_released(self):
        self.news("7.8.9", f"{self.version()} (not released)")
        self.change("meson.build", r"version: '[\d.]+'", "version: '7.8.9'")
        self.expect_change("debian/changelog", "npuenc.spec")
        for path in ("debian/changelog", "npuenc.spec"):
            text = self.text(f"tools/packaging/{path}")
            self.assertIn("7.8.9-1", text)
            self.assertNotIn(f"{self.version()}-1", text)

    def test_a_new_soname(self):
        self.change("src/abi/meson.build", r"soversion = '\d+'", "soversion = '77'")
        self.expect_change("debian/control", "dlopen.rs", "packaging.md")
        self.assertIn('b"libnpuenc.so.77\\0"', self.text("bindings/rust/npuenc-sys/src/dlopen.rs"))
        self.assertIn("\nPackage: libnpuenc77\n", self.debian("control"))
        self.assertIn("libnpuenc.so", self.debian("libnpuenc77.install"))
        self.assertTrue(
            self.debian("libnpuenc77.symbols").startswith("libnpuenc.so.77 libnpuenc77 "))

    def test_a_file_without_its_number(self):
        self.change("bindings/python/pyproject.toml", r'version = "', 'Version = "')
        checked = self.update("--check")
        self.assertEqual(checked.returncode, 1)
        self.assertIn("bindings/python/pyproject.toml has no", checked.stderr)

    def test_a_new_function(self):
        self.change("src/abi/npuenc.map", r"npuenc_open;", "npuenc_open;\n    npuenc_openmost;")
        self.expect_change()
        symbols, = (self.tree / "tools/packaging/debian").glob("*.symbols")
        self.assertRegex(symbols.read_text("utf-8"), r"\n npuenc_openmost@NPUENC_[\d.]+ [\d.]+\n")


if __name__ == "__main__":
    unittest.main()
