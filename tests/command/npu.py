#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the npuenc command with an NPU: the virtual one, below XRT as it is."""

import collections
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import random_model
from programs import PROGRAMS, main

TIMEOUT = 1800  # seconds, for a single run


def run_on_npu(*arguments, prefix=None, preload=(), **changes):
    """The command on a virtual NPU of its own."""
    launcher = [PROGRAMS.run_with_xrt, "--prefix", prefix or PROGRAMS.xrt_prefix,
                "--virtual-npu", PROGRAMS.virtual_npu]
    for library in preload:
        launcher += ["--preload", library]
    return run_command(*launcher, PROGRAMS.npuenc, *arguments, **changes)


def run_command(*command, **changes):
    return subprocess.run(
        list(map(str, command)), check=False, capture_output=True, timeout=TIMEOUT,
        env={**os.environ, "NPUENC_MODULE_PATH": PROGRAMS.module_path,
             "NPUENC_OVERLAY_PATH": PROGRAMS.overlay_path,
             **{name: str(value) for name, value in changes.items()}})


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="npuenc-npu-")
        self.addCleanup(directory.cleanup)
        self.work = pathlib.Path(directory.name)

    def run_command(self, *arguments, expect=0, **changes):
        result = run_on_npu(*arguments, **changes)
        self.assertEqual(result.returncode, expect,
                         f"{arguments}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
        return result

    def read_json(self, *arguments, **options):
        return json.loads(self.run_command(*arguments, "--json", **options).stdout)


class Devices(Case):
    def test_an_npu_is_described(self):
        devices = self.read_json("devices")
        self.assertEqual(devices["auto"], {"device": "npu", "index": 0, "reason": ""})
        npu, = [device for device in devices["devices"] if device["device"] == "npu"]
        self.assertTrue(npu["usable"])
        self.assertIn("NPU", npu["name"])
        self.assertRegex(npu["bus_address"], r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
        self.assertIn("amdxdna", npu["driver"])
        self.assertRegex(npu["firmware"], r"^\d+\.\d+\.\d+")
        self.assertRegex(npu["runtime"], r"^XRT 2\.\d+")
        self.assertGreaterEqual(npu["columns"], 4)
        text = self.run_command("devices").stdout.decode()
        for field in ("name", "bus_address", "driver", "firmware", "runtime"):
            self.assertIn(npu[field], text)

    def test_auto_says_why_it_takes_the_cpu(self):
        devices = self.read_json("devices", VIRTUAL_NPU_FAULT="open")
        self.assertEqual(devices["auto"]["device"], "cpu")
        npu = devices["devices"][1]
        self.assertFalse(npu["usable"])
        self.assertIn("render", npu["reason"])
        self.assertIn(npu["reason"], devices["auto"]["reason"])


class Doctor(Case):
    def sick(self, words, run=run_on_npu, **changes):
        """There is an NPU that cannot be used, and it is said why: as text and as JSON."""
        result = run("doctor", "--json", **changes)
        self.assertEqual(result.returncode, 1, result.stderr)
        report = json.loads(result.stdout)
        self.assertFalse(report["well"])
        npu, = report["npus"]
        self.assertFalse(npu["opened"])
        said = [finding["text"] + ": " + finding["cure"]
                for finding in npu["findings"] + report["runtime"]["findings"]
                if finding["severity"] != "note"] + [npu["failure"]]
        self.assertTrue(any(re.search(words, text) for text in said), f"{words} not in {said}")
        result = run("doctor", **changes)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout.decode(), words)
        self.assertIn("cannot be used", result.stdout.decode().splitlines()[-1])

    def test_well(self):
        report = self.read_json("doctor")
        self.assertTrue(report["well"])
        self.assertEqual(report["verdict"], "an NPU is usable")
        npu, = report["npus"]
        self.assertTrue(npu["usable"] and npu["opened"], npu)
        self.assertEqual(npu["failure"], "")
        self.assertEqual(os.path.realpath(report["runtime"]["module"]),
                         os.path.realpath(PROGRAMS.module_path + "/npuenc-xrt.so"))
        notes = [finding["text"] for finding in report["runtime"]["findings"]]
        self.assertTrue(any(note.startswith("XRT 2.") for note in notes), notes)
        self.assertEqual(sum(note.startswith("overlay ") for note in notes), 6)

    def test_set_up_problems(self):
        for fault, words in (
                ("no-driver", "no kernel driver"),
                ("node-missing", "/dev/accel"),
                ("open", "no permission .*render"),
                ("memlock", "memlock"),
                ("heap", "memory"),
                ("context", "context"),
                ("wrong-data", "self-test: .* instead of"),
                ("error", "self-test: .* failed"),
                ("timeout", "self-test: .*(did not end|time)"),
                ("removed:1", "self-test: .*gone")):
            with self.subTest(fault):
                self.sick(words, VIRTUAL_NPU_FAULT=fault)

    def test_old_firmware_is_told(self):
        """The driver has taken it, so that it may work: a warning."""
        report = self.read_json("doctor", VIRTUAL_NPU_FAULT="firmware-old")
        warnings = {finding["text"]: finding["cure"] for finding in report["npus"][0]["findings"]
                    if finding["severity"] == "warning"}
        text, = [text for text in warnings if "firmware" in text]
        self.assertIn("older than", text)
        self.assertIn("update", warnings[text])

    def test_emulation(self):
        self.sick("XCL_EMULATION_MODE.*unset", XCL_EMULATION_MODE="hw_emu")

    def test_overlay_damaged_or_missing(self):
        overlays = self.work / "overlays"
        overlays.mkdir()
        for path in pathlib.Path(PROGRAMS.overlay_path).iterdir():
            if path.suffix in (".xclbin", ".json"):
                shutil.copy(path, overlays)
        damaged = overlays / "gemm_s8_s32.xclbin"
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        self.sick("gemm_s8_s32.*reinstall", NPUENC_OVERLAY_PATH=overlays)
        damaged.unlink()
        damaged.with_suffix(".json").unlink()
        self.sick("gemm_s8_s32 is not in", NPUENC_OVERLAY_PATH=overlays)

    def test_module_missing(self):
        self.sick("NPUENC_MODULE_PATH", NPUENC_MODULE_PATH=self.work)

    def test_xrt_missing(self):
        """Started by the system's own loader, which has no XRT."""
        if pathlib.Path("/usr/include/xrt").exists():
            self.skipTest("XRT is installed")
        def run(*arguments, **changes):
            return run_command(PROGRAMS.npuenc, *arguments, **changes)

        self.sick("XRT is missing|older than XRT", run, LD_PRELOAD=PROGRAMS.virtual_npu)


class SelfTest(Case):
    def test_report(self):
        """All that the array computes is right, and to the bit what the CPU has for int8."""
        report = self.read_json("selftest", "--device", "npu")
        results = {check["name"]: check["result"] for check in report["checks"]}
        self.assertEqual({name for name, result in results.items() if result != "ok"},
                         {name for name in results if " f32" in name and " to f32" not in name})
        self.assertEqual(set(results.values()), {"ok", "unsupported"})
        cpu = self.read_json("selftest", "--device", "cpu")
        hashes = [{check["name"]: check["hash"] for check in each["checks"]
                   if check["name"].startswith("matmul int8")} for each in (report, cpu)]
        self.assertEqual(len(hashes[0]), 3)
        self.assertEqual(*hashes)
        for overlay in report["overlays"]:
            content = pathlib.Path(PROGRAMS.overlay_path, overlay["name"] + ".xclbin").read_bytes()
            self.assertEqual(overlay["sha256"], hashlib.sha256(content).hexdigest())
        self.assertEqual(len(report["overlays"]), 6)

    def test_text(self):
        """What a person pastes: system, device, driver, firmware, XRT, overlays, checks."""
        text = self.run_command("selftest", "--device", "npu").stdout.decode()
        for words in ("system     Linux", "driver     amdxdna", "firmware   ", "runtime    XRT 2.",
                      "gemm_s8_s32, sha256 ", "unsupported matmul f32", "None of 17 checks failed"):
            self.assertIn(words, text)


class Bench(Case):
    """One run, of a minute or more: everything that can be told from it."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(prefix="npuenc-npu-") as directory:
            work = pathlib.Path(directory)
            model = random_model.write(work / "model")
            result = run_on_npu("bench", "npu", "--json", "--model", model,
                                prefix=cls.counting_prefix(work), preload=[PROGRAMS.count_calls],
                                NPUENC_MODULE_PATH=PROGRAMS.counted_module_path,
                                COUNT_CALLS=work / "calls", VIRTUAL_NPU_REPORT=work / "report")
            if result.returncode != 0:
                raise AssertionError(result.stderr.decode(errors="replace"))
            cls.result = json.loads(result.stdout)
            cls.report = json.loads((work / "report").read_text())
            cls.calls = [json.loads(line) for line in (work / "calls").read_text().splitlines()]

    @staticmethod
    def counting_prefix(work):
        """XRT's, so that synchronisations are system calls: it reads xrt.ini beside the executable,
        which is the loader here."""
        prefix = work / "prefix"
        (prefix / "lib64").mkdir(parents=True)
        (prefix / "usr").symlink_to(pathlib.Path(PROGRAMS.xrt_prefix, "usr"))
        shutil.copy(pathlib.Path(PROGRAMS.xrt_prefix, "lib64", "ld-linux-x86-64.so.2"),
                    prefix / "lib64")
        (prefix / "lib64" / "xrt.ini").write_text("[Debug]\nforce_driver_sync=true\n")
        return prefix

    def rows(self, section, way):
        return [row for row in self.result[section] if row["way"] == way]

    def test_tile_by_tile(self):
        self.assertEqual([(row["calls"], row["submissions"], row["syncs"])
                          for row in self.rows("products", "tile by tile")],
                         [(1, 1, 2), (64, 64, 128), (512, 512, 1024), (32768, 32768, 65536)])
        last = self.rows("products", "tile by tile")[-1]
        self.assertEqual((last["bytes_to_device"], last["bytes_from_device"]),
                         (32768 * 512, 32768 * 256))

    def test_batched(self):
        rows = self.rows("products", "batched")
        self.assertEqual([(row["calls"], row["submissions"], row["syncs"]) for row in rows],
                         [(1, 1, 2)] * 12)
        self.assertEqual([row["name"] for row in rows[-3:]],
                         [f"512 x 512 x 512, {types}" for types in
                          ("int8 to int32", "int8 to int8", "bf16 to f32")])
        self.assertLessEqual(rows[-3]["array"]["simulated_cycles"], 60000)

    def test_attention(self):
        fused, = self.rows("attention", "fused on the array")
        self.assertEqual((fused["submissions"], fused["syncs"], fused["bytes_to_device"],
                          fused["bytes_from_device"]), (1, 2, 12288, 4096))
        for row in self.rows("attention", "fused on the CPU"):
            self.assertEqual((row["submissions"], row["syncs"]), (0, 0))

    def test_layers(self):
        """Of bf16 the array makes GELU in between, and the two products of the MLP are one."""
        self.assertEqual([(layer["precision"], layer["submissions"], layer["syncs"])
                          for layer in self.result["layers"]], [("int8", 4, 8), ("bf16", 3, 6)])

    def test_model(self):
        self.assertEqual([row["name"] for row in self.result["encode"]],
                         [f"base's shape, {layers}, {precision}" for precision in ("int8", "bf16")
                          for layers in ("1 layer", "2 layers", "3 layers")] +
                         ["custom, 30 s, int8", "custom, 30 s, bf16"])
        for row in self.result["encode"]:
            self.assertGreater(row["submissions"], 0)
            self.assertGreater(row["cpu_operators_ms"], 0)

    def test_host_times_add_up(self):
        for row in self.result["products"] + self.result["attention"] + self.result["encode"]:
            parts = sum(row[part + "_ms"] for part in
                        ("pack", "submit", "sync", "unpack", "accumulate"))
            self.assertAlmostEqual(row["host_ms"], parts)
            self.assertGreaterEqual(row["wall_ms"] * 1.001, parts)

    def test_products_alone(self):
        """Of every encode: conv1, conv2, and of each layer four, or three where an MLP is one."""
        rows = self.result["outside_operators"]
        self.assertEqual([row["name"] for row in rows],
                         [row["name"] for row in self.result["encode"]])
        for row, encode in zip(rows, self.result["encode"]):
            self.assertEqual(row["submissions"], encode["submissions"])
            self.assertEqual(row["all_syncs"], 2 * row["all_submissions"] + row["products"])
            parts = sum(row[part + "_ms"] for part in ("pack", "submit", "sync", "unpack"))
            self.assertGreaterEqual(row["all_ms"] * 1.001, parts)
            self.assertGreater(row["cpu_time_ms"], 0)

    def test_clocks(self):
        for row in self.result["products"]:
            array = row["array"]
            self.assertEqual([clock["ghz"] for clock in array["clocks"]], [0.8, 1.03, 1.6])
            self.assertEqual(array["push_cycles"], 2800 * array["pushes"])
            for clock in array["clocks"]:
                self.assertAlmostEqual(clock["ms"] * clock["ghz"] * 1e6, array["simulated_cycles"],
                                       places=3)

    def test_counts_are_the_kernels(self):
        """Of every call that the library makes: what it says and what EXEC_CMD and SYNC_BO were. Of
        those that need a program for the first time the instructions are synchronised too."""
        seen = collections.Counter()
        for call in self.calls:
            if call["call"] in ("open", "load"):
                self.assertEqual(call["said"]["submissions"], 0)
                continue
            self.assertEqual(call["said"]["submissions"], call["counted"]["submissions"], call)
            kind = (call["call"], call["shape"])
            if seen[kind]:
                self.assertEqual(call["said"], call["counted"])
            else:
                self.assertLessEqual(call["said"]["syncs"], call["counted"]["syncs"])
            seen[kind] += 1
        self.assertGreaterEqual(min(seen.values()), 2)

    def test_tiles_are_the_kernels_too(self):
        """What the stand-in counted over all, less what is known of the library's calls."""
        said = sum(call["said"]["submissions"] for call in self.calls)
        self.assertEqual(sum(call["said"]["syncs"] for call in self.calls), 2 * said)
        alone = self.result["outside_operators"]
        alone_submissions = sum(row["all_submissions"] for row in alone)
        alone_syncs = sum(row["all_syncs"] for row in alone)
        tiles = self.result["all_calls"]["submissions"] - said - alone_submissions
        self.assertEqual(tiles, 1 + 64 + 512 + 32768 + 4)  # with one to warm up for each size
        self.assertEqual(self.result["all_calls"]["syncs"], 2 * (said + tiles) + alone_syncs)
        counters = self.report["counters"]
        self.assertEqual(counters["submissions"] -
                         sum(call["counted"]["submissions"] for call in self.calls),
                         tiles + alone_submissions)
        # Beyond them: the program of the tile, what XRT writes to open and configure the array, and
        # of each product alone, at most, its program and three buffers when they are made.
        more = (counters["syncs_to_device"] + counters["syncs_from_device"] -
                sum(call["counted"]["syncs"] for call in self.calls) - 2 * tiles - alone_syncs)
        self.assertIn(more, range(1, 8 + 4 * sum(row["products"] for row in alone)))

    def test_nothing_is_left(self):
        self.assertEqual(set(self.report["left"].values()), {0}, self.report["left"])


if __name__ == "__main__":
    main("Tests of the npuenc command with an NPU.",
         {"npuenc": "the command under test",
          "run_with_xrt": "starts a program on the virtual NPU",
          "xrt_prefix": "what tools/xrt-prefix has made",
          "virtual_npu": "libvirtual-npu.so",
          "module_path": "the directory of npuenc-xrt.so",
          "counted_module_path": "the same where every synchronisation is XRT's",
          "overlay_path": "the directory of the overlays",
          "count_calls": "the module count-calls.so"})
