# SPDX-License-Identifier: MIT
"""tools/bench-peers without engines: statistics, which ratios count, turns, accuracy, table,
drawing, errors.

    run.py --compiler COMMAND...
"""

import argparse
import contextlib
import io
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
# pylint: disable=wrong-import-position
from bench_peers import (  # noqa: E402
    abi, accuracy, batch, chart, command, duel, entrants, native, prepared, process, ratios, table, worker)
from bench_peers.failure import Failure, Missing, Unsupported  # noqa: E402

COMPILER = ["c++"]


def binomial_coverage(n, k):
    """The probability that the k-th smallest and k-th largest of n enclose the median."""
    return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2 ** n


class Statistics(unittest.TestCase):
    def test_interval_of_known_sizes(self):
        """As in printed tables of the sign test's interval, e.g. Conover, table A3."""
        for n, expected in ((6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (10, (2, 9)), (15, (4, 12)),
                            (20, (6, 15)), (30, (10, 21)), (100, (40, 61))):
            self.assertEqual(ratios.median_interval(list(range(n, 0, -1))), expected)

    def test_no_interval_of_few(self):
        for n in range(6):
            self.assertIsNone(ratios.median_interval([1.0] * n))

    def test_interval_is_the_narrowest_that_covers(self):
        for n in range(6, 200):
            low, high = ratios.median_interval(list(range(1, n + 1)))
            self.assertEqual(low, n + 1 - high)
            self.assertGreaterEqual(binomial_coverage(n, low), 0.95)
            self.assertLess(binomial_coverage(n, low + 1), 0.95)

    def test_verdicts(self):
        def verdict(values, wanted=10):
            return ratios.summary(values, wanted)["verdict"]
        self.assertEqual(verdict([0.9] * 10), "ahead")
        self.assertEqual(verdict([1.1] * 10), "behind")
        self.assertEqual(verdict([1.0] * 10), "level")
        self.assertEqual(verdict([0.9, 1.1] * 5), "level")
        # The interval of 10 is from the second to the ninth: one outlier does not decide.
        self.assertEqual(verdict([0.9] * 9 + [2.0]), "ahead")
        self.assertEqual(verdict([0.9] * 8 + [2.0] * 2), "level")
        self.assertEqual(verdict([0.9] * 9), "too few")
        self.assertEqual(verdict([], 1), "too few")

    def test_summary_gives_the_figures_of_too_few(self):
        summary = ratios.summary([0.5, 0.7, 0.6], 30)
        self.assertEqual((summary["median"], summary["low"], summary["ratios"], summary["wanted"]),
                         (0.6, None, 3, 30))

    def test_figures_are_of_quiet_runs(self):
        self.assertEqual(ratios.figures([(5.0, True), (1.0, False), (7.0, True), (6.0, True)]),
                         {"runs": 4, "quiet_runs": 3, "min_ms": 5.0, "median_ms": 6.0})
        self.assertEqual(ratios.figures([(5.0, False), (1.0, False)]),
                         {"runs": 2, "quiet_runs": 0, "min_ms": 1.0, "median_ms": 3.0})
        self.assertNotIn("median_ms", ratios.figures([]))


class Gate(unittest.TestCase):
    def test_both_probes_count(self):
        def is_quiet(before, after, waited=0.0):
            return ratios.Pair(1, 1, before, after, waited).is_quiet(100, 0.04)
        self.assertTrue(is_quiet(96, 96))
        self.assertFalse(is_quiet(95.9, 100))
        self.assertFalse(is_quiet(100, 95.9))

    def test_waiting_counts(self):
        self.assertTrue(ratios.Pair(1, 1, 100, 100, ratios.MAX_WAIT).is_quiet(100, 0.04))
        self.assertFalse(ratios.Pair(1, 1, 100, 100, ratios.MAX_WAIT + 0.001).is_quiet(100, 0.04))


class FakeProbe:
    def __init__(self, log, rates):
        self.log, self.rates, self.best, self.cpus = log, list(rates), 0.0, [0, 1]

    def rate(self):
        self.log.append("probe")
        value = self.rates.pop(0) if len(self.rates) > 1 else self.rates[0]
        self.best = max(self.best, value)
        return value


class FakeWorker:
    """Takes a fixed time; can wait for processors, and use them when it is not its turn."""

    def __init__(self, log, name, milliseconds, waits=(), idles=0):
        self.log, self.name, self.milliseconds = log, name, milliseconds
        self.waits, self.idles, self.had, self.waited = list(waits), idles, 0, 0

    def run(self, repeats=1):
        self.log.append(self.name * repeats)
        self.waited += self.waits.pop(0) if self.waits else 0
        return self.milliseconds

    def scheduled_ns(self):
        self.had += self.idles
        return self.had, self.waited


class Turns(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.object(duel, "PAUSE", 0)
        patch.start()
        self.addCleanup(patch.stop)
        self.log = []

    def fight(self, rates, wanted, seconds=math.inf, one_only=False, clock=None, **keywords):
        first = FakeWorker(self.log, "A", 9.0, **keywords)
        second = None if one_only else FakeWorker(self.log, "B", 10.0)
        clock = clock or (lambda: 0.0)
        fight = duel.Duel(FakeProbe(self.log, rates), first, second, 0.04, clock=clock)
        return fight.run(wanted, seconds)

    def test_order_alternates_between_probes(self):
        self.fight([100], 3)
        self.assertEqual(self.log, ["A", "A", "B", "B", "probe", "A", "B", "probe", "B", "A",
                                    "probe", "A", "B", "probe"])

    def test_ratio_is_first_to_second_in_either_order(self):
        self.assertEqual([pair.ratio for pair in self.fight([100], 4).pairs], [0.9] * 4)

    def test_noisy_pairs_do_not_count(self):
        fight = self.fight([100, 100, 50, 100, 100, 100], 3)
        self.assertEqual(len(fight.pairs), 5)
        self.assertEqual([pair.before for pair in fight.quiet()], [100, 100, 100])

    def test_a_better_rate_discounts_what_was_before(self):
        fight = self.fight([50, 50, 50, 100, 100], 3)
        self.assertEqual([pair.before for pair in fight.quiet()], [100, 100, 100])

    def test_a_summary_is_by_the_best_rate_of_now(self):
        fight = self.fight([50], 8)
        self.assertEqual(fight.summary(8)["verdict"], "ahead")
        fight.probe.best = 100
        self.assertEqual((fight.summary(8)["verdict"], fight.summary(8)["ratios"]), ("too few", 0))
        self.assertEqual(len(fight.summary(8)["samples"]), 8)

    def test_a_run_that_waited_does_not_count(self):
        fight = self.fight([100], 2, waits=[0, 0, 0.03 * 2 * 9e6, 0.01 * 2 * 9e6])
        self.assertEqual([round(pair.waited, 4) for pair in fight.pairs], [0.03, 0.01, 0])
        self.assertEqual(len(fight.quiet()), 2)

    def test_time_limit(self):
        times = iter(range(1000))
        fight = self.fight([100, 50], 1000, seconds=7, clock=lambda: float(next(times)))
        self.assertLess(len(fight.pairs), 10)
        summary = fight.summary(1000)
        self.assertEqual((summary["verdict"], summary["ratios"]), ("too few", 0))

    def test_one_alone(self):
        fight = self.fight([100], 2, one_only=True)
        self.assertEqual(self.log, ["A", "A", "probe", "A", "probe", "A", "probe"])
        self.assertEqual(fight.runs(0), [(9.0, True)] * 2)

    def test_runs_say_whether_they_were_quiet(self):
        fight = self.fight([100, 50, 100, 100], 1)
        self.assertEqual(fight.runs(1), [(10.0, False), (10.0, False), (10.0, True)])

    def test_windows_in_a_call_are_beside_as_many_calls_of_one(self):
        together = batch.PerWindow(FakeWorker(self.log, "A", 27.0), 3)
        alone = batch.PerWindow(FakeWorker(self.log, "B", 10.0), 1)
        fight = duel.Duel(FakeProbe(self.log, [100]), together, alone, 0.04, repeats=3)
        fight.run(2, math.inf)
        self.assertEqual(self.log[-7:], ["probe", "A", "BBB", "probe", "BBB", "A", "probe"])
        self.assertEqual([pair.ratio for pair in fight.pairs], [0.9] * 2)

    def test_idle_use_is_seen(self):
        self.assertEqual(self.fight([100], 4).summary(4)["idle_share"], 0)
        self.assertGreater(self.fight([100], 4, idles=1e6).summary(4)["idle_share"], 0.04)


def example_report():
    """Every kind of row there is."""
    def engine(name, title, precision, median, **more):
        return {"engine": name, "title": title, "precision": precision, "model": "base",
                "threads": 1, "version": "1", "load_ms": 12.0, "variant": "as installed",
                "cosine": 0.99991, "worst_frame": 0.98, "max_abs": 0.25, "peak_bytes": 1 << 28,
                "runs": 40, "quiet_runs": 30, "min_ms": median - 1, "median_ms": median} | more

    def comparison(precision, peer, values, pairs=40):
        return {"model": "base", "threads": 1, "precision": precision, "peer": peer,
                "idle_share": 0.0, "pairs": pairs, "seconds": 9.0} | ratios.summary(values, 30)
    return {
        "machine": {"cpu": "A <CPU> & more", "family_model_stepping": "1/2/3", "cores": 2,
                    "isa": ["avx2"], "hypervisor": True, "system": "Linux"},
        "versions": {"whisper_cpp": "1.8", "npuenc": "0.9"},
        "input": {"recording": "speech.wav", "seconds": 7.1},
        "method": {"ratios": 30, "tolerance": 0.04, "confidence": 0.95},
        "missing": [{"peer": "Absentee", "reason": "no such package"}],
        "engines": [
            {"engine": "npuenc", "title": "npuenc", "precision": "int8", "model": "base",
             "threads": 1, "kind": "not supported", "error": "f32 only"},
            engine("openvino", "OpenVINO int8", "int8", 164.0, quiet_runs=0),
            engine("npuenc", "npuenc", "f32", 400.0),
            engine("openvino", "OpenVINO f32", "f32", 500.0),
            engine("onnxruntime", "ONNX Runtime f32", "f32", 200.0, variant="a faster setting"),
            engine("ctranslate2", "CTranslate2", "f32", 404.0),
            engine("whisper_cpp", "whisper.cpp", "f32", 800.0)],
        "comparisons": [
            {"model": "base", "threads": 1, "precision": "int8", "peer": "OpenVINO int8",
             "verdict": "not supported"},
            comparison("f32", "OpenVINO f32", [0.8] * 30),
            comparison("f32", "ONNX Runtime f32", [2.0] * 30) | {"idle_share": 0.5},
            comparison("f32", "CTranslate2", [0.95, 1.05] * 15),
            comparison("f32", "whisper.cpp", [0.5] * 8)],
        "products": [
            {"case": "linear f32 2×3→4", "threads": 1, "peer": "oneDNN", "note": "a note",
             "ours": {"runs": 3, "quiet_runs": 3, "median_ms": 1.5, "gops": 90.0},
             "theirs": {"runs": 3, "quiet_runs": 3, "median_ms": 3.0, "gops": 45.0}, "pairs": 31,
             "idle_share": 0.3}
            | ratios.summary([0.5] * 30, 30),
            {"case": "linear int8 2×3→4", "threads": 1, "peer": "oneDNN", "note": None,
             "verdict": "missing", "error": "no compiler"}],
        "second_thread": [
            {"model": "base", "precision": "f32", "speedup": 1.9, "probe_speedup": 2.0, "pairs": 30}
            | ratios.summary([0.95] * 30, 30) | {"verdict": "short of it"},
            {"model": "base", "precision": "int8", "error": "not supported: f32 only"}],
        "batch": [
            {"model": "base", "precision": "f32", "threads": 1, "batch": 2, "pairs": 31,
             "together": {"runs": 31, "quiet_runs": 30, "median_ms": 450.0},
             "alone": {"runs": 31, "quiet_runs": 30, "median_ms": 500.0},
             "hours_per_hour": 66.7} | ratios.summary([0.9] * 30, 30),
            {"model": "base", "precision": "f32", "threads": 1, "batch": 4,
             "error": "the time limit came first"}],
        "accuracy": [
            {"engine": "npuenc", "title": "npuenc bf16", "precision": "bf16", "model": "tiny.en",
             "version": "0.9", "cosine": 0.99995, "worst_frame": 0.97, "max_abs": 0.333,
             "errors": 3, "words": 71, "same": 4, "recordings": [{}] * 5},
            {"engine": "openvino", "title": "OpenVINO bf16", "precision": "bf16",
             "model": "tiny.en", "kind": "failed", "error": "a state is not finite"}]}


class Text(unittest.TestCase):
    def setUp(self):
        self.text = table.render(example_report())

    def line(self, *words):
        found = [line for line in self.text.splitlines() if all(word in line for word in words)]
        self.assertEqual(len(found), 1, f"{words} in\n{self.text}")
        return found[0]

    def test_verdicts_with_intervals(self):
        self.line("OpenVINO f32", "0.800 [0.800, 0.800] ahead")
        self.line("ONNX Runtime f32", "2.000 [2.000, 2.000] behind")
        self.line("CTranslate2 ", "1.000 [0.950, 1.050] level")
        self.line("whisper.cpp ", "0.500 [0.500, 0.500] too few (8 of 40 quiet)")

    def test_an_engine_has_its_figures(self):
        self.assertEqual(self.line("OpenVINO f32").split(),
                         "OpenVINO f32 499.0 500.0 0.800 [0.800, 0.800] ahead 0.999910 0.9800 0.25 "
                         "12 256".split())

    def test_what_is_not_there_is_said(self):
        self.assertEqual(self.line("MISSING"), "MISSING: Absentee: no such package")
        self.line("npuenc: not supported", "–")
        self.line("npuenc: f32 only")
        self.line("linear int8", "no compiler")
        self.line("base int8", "not supported: f32 only")

    def test_busy_times_are_marked(self):
        self.line("OpenVINO int8", "~163.0", "~164.0", "not supported")
        self.assertNotIn("~", self.line("OpenVINO f32"))

    def test_remarks(self):
        self.line("ONNX Runtime f32: fastest with a faster setting")
        self.line("ONNX Runtime f32: the engine whose turn it was not used 50 %")
        self.line("linear f32: a note")
        self.line("linear f32 2×3→4, oneDNN: the library whose turn it was not used 30 %")

    def test_other_sections(self):
        self.line("linear f32 2×3→4, 1 thr", "1.500", "3.000", "90", "45", "ahead")
        self.line("base f32", "1.900", "2.000", "short of it")
        self.line("base f32, 1 thr", "450.0", "500.0", "67", "0.900 [0.900, 0.900] ahead")
        self.line("base f32, 1 thr", "the time limit came first")

    def test_accuracy(self):
        self.line("== accuracy, tiny.en")
        self.assertEqual(self.line("npuenc bf16").split(),
                         "npuenc bf16 0.999950 0.9700 0.33 4.2 4 of 5".split())
        self.line("OpenVINO bf16: failed", "–")
        self.line("OpenVINO bf16: a state is not finite")

    def test_accuracy_alone_says_nothing_of_times(self):
        report = {name: part for name, part in example_report().items()
                  if name in ("machine", "versions", "method", "accuracy")}
        self.assertNotIn("ratio", table.render(report))
        self.assertIn("ratio", self.text)

    def test_columns_are_straight(self):
        lines = [line for line in self.text.splitlines() if "0.999910" in line and "f32" in line]
        self.assertEqual(len({line.index("0.999910") for line in lines}), 1)


class FakeModel:
    """Its states are what its worker was told to hear."""
    name, directory, shape = "tiny.en", "models", [1500, 384]
    figures = {"one": (0.99, 0.9, 1.0), "two": (0.98, 0.95, 3.0), "three": (0.97, 0.8, 2.0)}

    def __init__(self, recording="three"):
        self.recording = recording

    def hearing(self, recording):
        return FakeModel(recording.stem)

    def mel(self):
        return f"mel of {self.recording}"

    def accuracy(self, states):
        if states != f"states of {self.mel()}":
            raise ValueError(f"{states} beside those of {self.recording}")
        return dict(zip(("cosine", "worst_frame", "max_abs"), self.figures[self.recording]))


class FakeListener:
    def hears(self, _states, recording):
        return {"transcript": "said", "errors": len(recording.stem), "words": 10,
                "same": recording.stem != "two"}


class Accuracy(unittest.TestCase):
    RECORDINGS = [pathlib.Path(f"{name}.wav") for name in FakeModel.figures]

    def setUp(self):
        self.jobs = []
        self.states = lambda job: f"states of {job['mel']}"
        patch = mock.patch.object(accuracy, "Worker", self.worker)
        patch.start()
        self.addCleanup(patch.stop)

    def worker(self, job, environment):
        self.jobs.append((job, environment))
        started = mock.MagicMock(facts={"version": "1.2"})
        started.__enter__.return_value = started
        started.result = lambda: self.states(job)
        return started

    def row(self, variants=(entrants.AS_INSTALLED,)):
        entrant = entrants.Entrant("engine", "Engine bf16", "bf16", lambda model: {}, variants)
        return accuracy.measure(entrant, FakeModel(), self.RECORDINGS, FakeListener())

    def test_the_worst_of_each_and_the_words_of_all(self):
        row = self.row()
        self.assertEqual(
            {name: row[name] for name in ("cosine", "worst_frame", "max_abs", "errors", "words",
                                          "same", "version", "title", "model")},
            {"cosine": 0.97, "worst_frame": 0.8, "max_abs": 3.0, "errors": 11, "words": 30,
             "same": 2, "version": "1.2", "title": "Engine bf16", "model": "tiny.en"})
        self.assertEqual([clip["recording"] for clip in row["recordings"]],
                         ["one.wav", "two.wav", "three.wav"])
        self.assertEqual(row["recordings"][1]["worst_frame"], 0.95)

    def test_an_engine_is_as_installed(self):
        self.row((entrants.AS_INSTALLED, entrants.Variant("faster", {"SETTING": "1"})))
        self.assertEqual([(job["threads"], environment) for job, environment in self.jobs],
                         [(1, {})] * 3)

    def test_weights_are_calibrated_on_all_recordings_whichever_is_heard(self):
        def weights_of(recordings, heard):
            model = prepared.Model.__new__(prepared.Model)
            model.name, model.model_digest = "tiny.en", "digest"
            model.digests = {path: f"digest of {path}" for path in recordings}
            return model.hearing(heard).openvino("int8")
        with (mock.patch.object(prepared, "version", lambda _package: "1"),
              mock.patch.object(prepared.cache, "kept", lambda *key: pathlib.Path(key[1]))):
            one, *_, three = self.RECORDINGS
            self.assertEqual(weights_of(self.RECORDINGS, one), weights_of(self.RECORDINGS, three))
            self.assertNotEqual(weights_of(self.RECORDINGS, one), weights_of([one], one))

    def test_an_engine_that_cannot_has_no_figures(self):
        def fails(error):
            def states(job):
                if "two" in job["mel"]:
                    raise error
                return f"states of {job['mel']}"
            return states
        for error, kind in ((Unsupported("f32 only"), "not supported"),
                            (Missing("gone"), "missing"), (Failure("died"), "failed"),
                            (ValueError("not finite"), "failed")):
            self.states = fails(error)
            row = self.row()
            self.assertEqual((row["kind"], row["error"]), (kind, str(error)))
            self.assertNotIn("cosine", row)

    def test_every_engine_with_every_model(self):
        peers = [entrants.Entrant("peer", f"Peer {precision}", precision, lambda model: {})
                 for precision in ("f32", "int8")]
        settings = command.Settings("library", None, [1], ["int8", "f32"], peers, 30, 0.04, 1.0)
        model = FakeModel()
        with (mock.patch.object(accuracy, "Listener", lambda *_: FakeListener()),
              mock.patch.object(accuracy, "say")):
            rows = accuracy.run(settings, [model, model], self.RECORDINGS)
        self.assertEqual([row["title"] for row in rows],
                         ["npuenc int8", "Peer int8", "npuenc f32", "Peer f32"] * 2)
        self.assertEqual({row.get("error") for row in rows}, {None})

    def test_words_are_compared_with_those_of_the_models_own_encoder(self):
        oracle = types.SimpleNamespace(
            transcripts=lambda decoder, recordings: {path.stem: {"transcript": f"{decoder} {path}"}
                                                     for path in recordings},
            heard_in=lambda decoder, states, recording: {"transcript": f"{decoder} {states}"})
        decoders = types.SimpleNamespace(Decoder=lambda directory: f"decoder of {directory}")
        with mock.patch.dict(sys.modules, {"ctranslate2_states": oracle, "transcript": decoders}):
            listener = accuracy.Listener(types.SimpleNamespace(directory="models"),
                                         self.RECORDINGS)
        self.assertEqual(listener.hears("one.wav", self.RECORDINGS[0]),
                         {"transcript": "decoder of models one.wav", "same": True})
        self.assertFalse(listener.hears("one.wav", self.RECORDINGS[1])["same"])


SVG = "{http://www.w3.org/2000/svg}"


class Drawing(unittest.TestCase):
    def setUp(self):
        self.root = xml.etree.ElementTree.fromstring(chart.render(example_report()))
        self.texts = [element.text for element in self.root.iter(SVG + "text")]

    def test_all_is_in_the_picture(self):
        width, height = (float(part) for part in self.root.get("viewBox").split()[2:])
        for element in self.root.iter():
            for name in ("x", "x1", "x2", "cx"):
                self.assertTrue(0 <= float(element.get(name, 0)) <= width)
            for name in ("y", "y1", "y2", "cy"):
                self.assertTrue(0 <= float(element.get(name, 0)) <= height)
        # A letter of 12 is about 6.5 wide.
        for text in self.root.iter(SVG + "text"):
            if text.get("text-anchor") == "start":
                self.assertLess(float(text.get("x")) + 6.5 * len(text.text), width + 10, text.text)

    def test_bars_are_as_long_as_times(self):
        bars = sorted(float(each.get("width")) for each in self.root.iter(SVG + "rect"))[:-1]
        times = [164, 200, 400, 404, 500, 800]
        self.assertEqual(len(bars), len(times))
        for bar, time in zip(bars, times):
            self.assertAlmostEqual(bar / bars[-1], time / 800, places=3)

    def test_dots_are_on_their_side_of_one(self):
        middle = sum(chart.RATIOS) / 2
        xs = [float(dot.get("cx")) for dot in self.root.iter(SVG + "circle")]
        signs = [(x > middle + 0.1) - (x < middle - 0.1) for x in xs]
        self.assertEqual(signs, [-1, 1, 0, -1])

    def test_axis_is_logarithmic(self):
        axis = chart.RatioAxis([{"median": 2.0}])
        self.assertAlmostEqual(axis.x(1) - axis.x(0.5), axis.x(2) - axis.x(1))
        self.assertEqual(axis.x(1e-9), chart.RATIOS[0])

    def test_words(self):
        for words in ("npuenc", "not supported", "npuenc: not supported", "~164.0 ms", "400.0 ms",
                      "0.800 [0.800, 0.800]", "0.500 [0.500, 0.500] of 8"):
            self.assertIn(words, self.texts)
        self.assertIn("A <CPU> & more, 2 cores, virtual; whisper.cpp 1.8, npuenc 0.9", self.texts)

    def test_nothing_timed(self):
        report = example_report()
        del report["engines"], report["comparisons"]
        self.assertIn("no encoder was timed", chart.render(report))


def run_command(*words, main=command.main):
    """Exit status, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(words))
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()


class CommandLine(unittest.TestCase):
    def setUp(self):
        """Nothing is to be installed or measured here, even when a check is broken."""
        patch = mock.patch.object(command, "enter_environment",
                                  side_effect=Failure("went on to the engines"))
        patch.start()
        self.addCleanup(patch.stop)

    def test_help(self):
        status, out, _ = run_command("--help")
        self.assertEqual(status, 0)
        self.assertIn("Exit status", out)
        ran = subprocess.run([sys.executable, str(ROOT / "tools" / "bench-peers"), "--help"],
                             check=False, capture_output=True, text=True)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))

    def test_wrong_usage(self):
        for words, reason in (
                (["--model", "huge"], "invalid choice"), (["--peer", "nobody"], "invalid choice"),
                (["--ratios", "5"], "from 6"), (["--ratios", "many"], "'many'"),
                (["--minutes", "0"], "from 0.01"), (["--minutes", "nan"], "'nan'"),
                (["--threads", "0"], "from 1"), (["--threads", "1024"], "physical cores"),
                (["--library", "/nonexistent.so"], "is not there"),
                (["--recording", "/nonexistent.wav"], "is not there"),
                (["--json", "/nonexistent/report.json"], "cannot be written"),
                (["--svg", "/"], "cannot be written"), (["surplus"], "unrecognized")):
            status, _, err = run_command(*words)
            self.assertEqual(status, 2, words)
            self.assertIn(reason, err)

    def test_right_usage_goes_on(self):
        for words in ([], ["--model", "base", "--ratios", "6", "--threads", "1", "--peer", "none"]):
            status, _, err = run_command(*words)
            self.assertEqual((status, err), (1, "bench-peers: went on to the engines\n"))

    def test_a_section_stands_for_itself(self):
        self.assertFalse(command.parsed(["--accuracy"]).encode)
        self.assertTrue(command.parsed(["--accuracy", "--encode"]).encode)
        self.assertTrue(command.parsed([]).encode)

    def test_accuracy_needs_the_recordings_words(self):
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(prepared, "Model"):
            recording = pathlib.Path(directory) / "speech.wav"
            recording.write_bytes(b"")
            words = pathlib.Path(directory) / "transcription"
            arguments = command.parsed(["--accuracy", "--recording", str(recording)])
            for text in (None, "<s> other words </s> (other)\n"):
                if text is not None:
                    words.write_text(text, "utf-8")
                with self.assertRaisesRegex(Failure, "speech.wav cannot be used.*transcription"):
                    command.inputs(arguments)
            words.write_text("<s> these words </s> (speech)\n", "utf-8")
            self.assertEqual(command.inputs(arguments)[0], [recording])

    def test_an_earlier_report(self):
        with tempfile.TemporaryDirectory() as directory:
            source, again, drawing = (pathlib.Path(directory) / name
                                      for name in ("in.json", "out.json", "out.svg"))
            source.write_text(json.dumps(example_report()), "utf-8")
            status, out, _ = run_command("--from-json", str(source), "--json", str(again), "--svg",
                                         str(drawing))
            self.assertEqual((status, out), (0, table.render(example_report())))
            self.assertEqual(json.loads(again.read_text("utf-8")), example_report())
            self.assertEqual(drawing.read_text("utf-8"), chart.render(example_report()))
            for wrong in ("", "[]", '{"machine": 1}', *(
                    json.dumps(example_report() | {section: [{"model": "base"}]})
                    for section in ("engines", "accuracy"))):
                source.write_text(wrong, "utf-8")
                status, out, err = run_command("--from-json", str(source))
                self.assertEqual((status, out), (1, ""), wrong)
                self.assertIn("is not a report", err)

    def test_a_peer_that_cannot_be_had_is_named(self):
        def fails(_model):
            raise Missing("no compiler\nmore")
        good = entrants.Entrant("good", "Good", "f32", lambda model: {})
        bad = entrants.Entrant("bad", "Bad", "f32", fails)
        settings = command.Settings(None, None, [1], ["f32"], [bad, good], 30, 0.04, 1.0)
        self.assertEqual(command.prepare(settings, ["a model"]),
                         [{"peer": "Bad", "reason": "no compiler"}])
        self.assertEqual(settings.peers, [good])

    def test_time_is_shared_evenly(self):
        settings = command.Settings(None, None, [], [], [], 30, 0.04, 1.0)
        with mock.patch("time.monotonic", lambda: 100.0):
            settings.begin(4)
            self.assertEqual(settings.share(), 15)
        with mock.patch("time.monotonic", lambda: 130.0):
            self.assertEqual(settings.share(), 10)
        with mock.patch("time.monotonic", lambda: 200.0):
            self.assertEqual(settings.share(), 0)

    def test_every_peer_has_a_precision_of_npuenc(self):
        for peer in entrants.PEERS:
            self.assertIn(peer.precision, entrants.PRECISIONS)
            self.assertTrue((ROOT / f"tools/bench_peers/engines/{peer.engine}.py").is_file())


class Processes(unittest.TestCase):
    def test_an_engine_that_is_not_installed(self):
        with self.assertRaisesRegex(Missing, "no_such_engine"):
            process.Worker({"engine": "no_such_engine"})

    def test_a_worker_that_dies(self):
        with mock.patch.object(sys, "executable", "/bin/false"):
            with self.assertRaisesRegex(Failure, "worker of none ended with 1"):
                process.Worker({"engine": "none"})

    def test_worker_repeats(self):
        engine = mock.Mock()
        reply = worker.answer(engine, ["run", "3"])
        self.assertEqual(engine.run.call_count, 3)
        self.assertGreaterEqual(reply["ms"], 0)
        self.assertGreater(worker.answer(engine, ["memory"])["peak_bytes"], 1 << 20)
        with self.assertRaises(Failure):
            worker.answer(engine, ["dance"])

    def test_settings_of_others_do_not_reach_workers(self):
        with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "7", "OPENBLAS_CORETYPE": "X",
                                          "KEPT": "1"}):
            clean = process.machine.clean_environment({"CT2_FORCE_CPU_ISA": "AVX512"})
        self.assertNotIn("OMP_NUM_THREADS", clean)
        self.assertNotIn("OPENBLAS_CORETYPE", clean)
        self.assertEqual((clean["KEPT"], clean["CT2_FORCE_CPU_ISA"]), ("1", "AVX512"))


class Compiled(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        patch = mock.patch.dict(os.environ, {"XDG_CACHE_HOME": directory.name,
                                             "CXX": " ".join(COMPILER)})
        patch.start()
        self.addCleanup(patch.stop)

    def test_probe(self):
        program = native.probe()
        self.assertEqual(native.probe(), program)
        with process.Probe(program, 1) as probe:
            rates = [probe.rate() for _ in range(3)]
            self.assertGreater(min(rates), 0)
            self.assertGreaterEqual(probe.best, max(rates))

    def test_what_does_not_compile_is_missing_and_not_kept(self):
        with mock.patch.object(native, "SOURCES", self.directory):
            source = self.directory / "wrong.cpp"
            source.write_text("int main() { return nothing; }\n", "utf-8")
            with self.assertRaisesRegex(Missing, "compiling wrong.cpp failed.*nothing"):
                native.made("wrong")
            self.assertEqual(list(self.directory.glob("npuenc/peers/native-wrong-*")), [])
            source.write_text("int main() { return 0; }\n", "utf-8")
            self.assertTrue(native.made("wrong").is_file())

    def test_no_compiler(self):
        with mock.patch.dict(os.environ, {"CXX": "no-such-compiler"}):
            with self.assertRaisesRegex(Failure, "no C\\+\\+ compiler"):
                native.probe()

    def test_structs_are_those_of_the_header(self):
        names = {"OpenOptions": "open_options", "ContextInfo": "ctx_info",
                 "ModelOptions": "model_options", "EncodeDesc": "encode_desc",
                 "MatmulDesc": "matmul_desc", "WeightDesc": "weight_desc",
                 "LinearDesc": "linear_desc", "AttentionDesc": "attention_desc"}
        self.assertEqual(set(names), {struct.__name__ for struct in abi.Struct.__subclasses__()})
        lines, expected = [], []
        for ours, theirs in names.items():
            struct = getattr(abi, ours)
            lines.append(f'printf("%zu\\n", sizeof(npuenc_{theirs}));')
            expected.append(abi.ctypes.sizeof(struct))
            for field, _ in struct._fields_:
                lines.append(f'printf("%zu\\n", offsetof(npuenc_{theirs}, {field}));')
                expected.append(getattr(struct, field).offset)
        for ours, theirs in [("OK", "NPUENC_OK"), ("UNSUPPORTED", "NPUENC_E_UNSUPPORTED"),
                             ("DEVICE_CPU", "NPUENC_DEVICE_CPU"),
                             ("INPUT_MEL_F32", "NPUENC_INPUT_MEL_F32"),
                             *((f"TYPES {name}", f"NPUENC_{name.upper()}") for name in abi.TYPES),
                             *((f"PRECISIONS {name}", f"NPUENC_PRECISION_{name.upper()}")
                               for name in abi.PRECISIONS)]:
            table_name, _, key = ours.partition(" ")
            value = getattr(abi, table_name)
            lines.append(f'printf("%d\\n", (int){theirs});')
            expected.append(value[key] if key else value)
        source, program = self.directory / "structs.cpp", self.directory / "structs"
        source.write_text("#include <npuenc/npuenc.h>\n#include <cstdio>\nint main() {\n"
                          + "\n".join(lines) + "\n}\n", "utf-8")
        subprocess.run([*COMPILER, f"-I{ROOT / 'include'}", str(source), "-o", str(program)],
                       check=True)
        found = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
        self.assertEqual([int(line) for line in found.split()], expected)

    def test_requirements_are_pinned(self):
        text = (ROOT / "tools/requirements/peers.txt").read_text("utf-8")
        for line in text.splitlines():
            self.assertRegex(line, r"^(#.*|[\w.-]+==[\w.]+(; [\w ]+ == \"\w+\")?)$")


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--compiler", nargs="+", default=COMPILER)
    ARGUMENTS = PARSER.parse_args()
    COMPILER[:] = ARGUMENTS.compiler
    unittest.main(argv=[sys.argv[0], "-v"])
