# SPDX-License-Identifier: MIT
"""The command line: what to run, in what order, and where the report goes."""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import time
import wave

from . import abi, cache, chart, entrants, machine, native, process, ratios, table
from .failure import Failure, Missing

MODELS = ["tiny.en", "base"]
EPILOG = """\
What is compared: one window of 30 s, log-mel to encoder states, the log-mel being given. Every
engine has the same weights, converted here, and its states are compared with a float64 encoder
before it is timed. Each runs in a process of its own that loads the model and then waits; only one
works at a time. For two engines A and B the order is probe A B probe B A probe ..., and a ratio
counts when the arithmetic probes on both sides of it say that the machine was giving its full rate.

The first run installs the engines from PyPI into a private environment (0.9 GB), builds whisper.cpp
for this processor, fetches the models and converts them: some minutes. All of it stays below
${XDG_CACHE_HOME:-~/.cache}/npuenc.

Exit status: 0 done, 1 could not be done, 2 wrong usage."""


def positive(kind, least, most, what):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least} to {most}")
        return value
    return parse


def parser():
    result = argparse.ArgumentParser(
        prog="bench-peers", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        description="Compare npuenc's encoder with other engines on this machine: its time, "
        "interleaved with theirs, and its accuracy.")
    what = result.add_argument_group("what to compare; each may be given several times")
    what.add_argument("--model", action="append", choices=MODELS, help="default: both")
    what.add_argument("--threads", action="append", metavar="N",
                      type=positive(int, 1, 1024, "a number of threads"),
                      help="default: 1 and 2; one a physical core at most")
    what.add_argument("--precision", action="append", choices=entrants.PRECISIONS,
                      help="default: all")
    what.add_argument("--peer", action="append", choices=[*entrants.ENGINES, "none"],
                      help="default: all; none: npuenc alone")
    what.add_argument("--recording", type=pathlib.Path, metavar="FILE",
                      help="16 kHz, mono, 16-bit WAV of at most 30 s; default: the longest of "
                      "Debian's pocketsphinx-testdata, and for --accuracy all five; one that is "
                      "given needs a line in the file `transcription` beside it there")
    sections = result.add_argument_group("sections; without one the encoders are compared")
    sections.add_argument("--encode", action="store_true", help="the encoders, beside others")
    sections.add_argument("--products", action="store_true",
                          help="npuenc_linear, npuenc_matmul and npuenc_attention at Whisper's "
                          "shapes beside oneDNN and OpenBLAS")
    sections.add_argument("--second-thread", action="store_true",
                          help="npuenc's speed-up from one thread to two beside that of the "
                          "arithmetic probe")
    sections.add_argument("--batch", action="store_true",
                          help="what a window takes npuenc in a call of 2, 4 and 8, beside as many "
                          "calls of one")
    sections.add_argument("--accuracy", action="store_true",
                          help="how far every engine's states are from a float64 encoder's, and "
                          "the words that one decoder makes of them; nothing is timed")
    how = result.add_argument_group("how")
    how.add_argument("--library", type=pathlib.Path, metavar="FILE",
                     help="libnpuenc.so; default: a release build of this tree in build-bench/")
    how.add_argument("--ratios", default=30, metavar="N",
                     type=positive(int, 6, 100000, "a number of ratios"),
                     help="quiet ratios that a figure takes, at least 6, below which a median "
                     "has no 95 %% interval (default: 30)")
    how.add_argument("--minutes", default=60.0, metavar="M",
                     type=positive(float, 0.01, 10000, "a time in minutes"),
                     help="time limit of the measurements, shared evenly by those that are left; "
                     "what is not reached by then is said (default: 60)")
    how.add_argument("--tolerance", default=4.0, metavar="PERCENT",
                     type=positive(float, 0.1, 100, "a percentage"),
                     help="how far below its best the probe may be (default: 4)")
    how.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything measured")
    how.add_argument("--svg", type=pathlib.Path, metavar="FILE",
                     help="draw the encoders' times and ratios")
    how.add_argument("--from-json", type=pathlib.Path, metavar="FILE",
                     help="measure nothing: print and draw an earlier run's --json")
    return result


def parsed(words):
    """Checked as far as it can be before anything slow begins."""
    the_parser = parser()
    arguments = the_parser.parse_args(words)
    arguments.model = arguments.model or MODELS
    arguments.precision = [precision for precision in entrants.PRECISIONS
                           if precision in (arguments.precision or entrants.PRECISIONS)]
    cores = len(machine.physical_cores())
    if arguments.threads is None:
        arguments.threads = [1, 2][:cores]
    if max(arguments.threads) > cores and arguments.from_json is None:
        the_parser.error(f"--threads {max(arguments.threads)}: this process may run on {cores} "
                         "physical cores, and more threads than that measure the scheduler")
    if arguments.second_thread and cores < 2:
        the_parser.error("--second-thread needs two physical cores")
    sections = (arguments.encode, arguments.products, arguments.second_thread, arguments.batch,
                arguments.accuracy)
    arguments.encode = arguments.encode or not any(sections)
    for path in filter(None, (arguments.library, arguments.recording, arguments.from_json)):
        if not path.is_file():
            the_parser.error(f"{path} is not there")
    for path in filter(None, (arguments.json, arguments.svg)):
        if path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
            the_parser.error(f"{path} cannot be written")
    return arguments


@dataclasses.dataclass
class Settings:
    """What the sections need of the command line."""
    library: pathlib.Path
    probe: pathlib.Path
    threads: list
    precisions: list
    peers: list
    ratios: int
    tolerance: float
    minutes: float
    left: int = 0
    end: float = 0.0

    def begin(self, measurements):
        """The time limit runs from now, and is to serve so many."""
        self.left, self.end = measurements, time.monotonic() + 60 * self.minutes

    def share(self):
        """Seconds for the next measurement: an even part of what is left."""
        seconds = max(0.0, self.end - time.monotonic()) / max(1, self.left)
        self.left -= 1
        return seconds

    def start_probe(self, threads):
        return process.Probe(self.probe, threads)


def chosen_peers(arguments):
    engines = arguments.peer or entrants.ENGINES
    return [peer for peer in entrants.PEERS
            if peer.engine in engines and peer.precision in arguments.precision]


def prepare(settings, models):
    """Everything slow that is not measured. Peers that cannot be had are left out, with reasons."""
    missing = {}
    for peer in list(settings.peers):
        try:
            for model in models:
                peer.job(model)
        except (Missing, ImportError, OSError, RuntimeError, ValueError) as error:
            missing[peer.label] = str(error).splitlines()[0]
            settings.peers.remove(peer)
    return [{"peer": peer, "reason": reason} for peer, reason in missing.items()]


def inputs(arguments):
    """The recordings, the longest last, and each model with them."""
    # pylint: disable=import-outside-toplevel
    from . import prepared
    import transcript  # prepared knows where it is
    recordings = [arguments.recording] if arguments.recording else prepared.recordings()
    models = [prepared.Model(name, recordings) for name in dict.fromkeys(arguments.model)]
    try:
        models[0].mel()
        for recording in recordings if arguments.accuracy else []:
            transcript.recorded_transcript(recording)
    except (OSError, ValueError, EOFError, wave.Error) as error:
        raise Failure(f"{recordings[-1]} cannot be used: {error}") from error
    return recordings, models


def measured(arguments):
    """The report of what was asked for."""
    # pylint: disable=import-outside-toplevel
    from . import accuracy, batch, encoding, products, second_thread
    settings = Settings(
        library=(arguments.library or native.npuenc()).resolve(), probe=native.probe(),
        threads=arguments.threads, precisions=arguments.precision, peers=chosen_peers(arguments),
        ratios=arguments.ratios, tolerance=arguments.tolerance / 100, minutes=arguments.minutes)
    report = {
        "machine": machine.description(),
        "versions": {"npuenc": abi.Library(settings.library, 1).version()},
        "method": {"ratios": settings.ratios, "tolerance": settings.tolerance,
                   "confidence": ratios.CONFIDENCE, "minutes": settings.minutes}}
    recordings, models = [], []
    timed = arguments.encode or arguments.second_thread or arguments.batch
    if timed or arguments.accuracy:
        recordings, models = inputs(arguments)
    if timed:
        report["input"] = models[0].description()
    if arguments.encode or arguments.accuracy:
        report["missing"] = prepare(settings, models)
    sections = [section for section, wanted in (
        (encoding, arguments.encode), (products, arguments.products),
        (second_thread, arguments.second_thread), (batch, arguments.batch)) if wanted]
    settings.begin(sum(section.count(settings, models) for section in sections))
    if arguments.encode:
        section = encoding.Encoding(settings, models)
        section.run()
        report |= {"engines": section.engines, "comparisons": section.comparisons}
    if arguments.products:
        report["products"] = products.run(settings, report["versions"])
    if arguments.second_thread:
        report["second_thread"] = second_thread.run(settings, models)
    if arguments.batch:
        report["batch"] = batch.run(settings, models)
    if arguments.accuracy:
        report["accuracy"] = accuracy.run(settings, models, recordings)
    report["versions"] |= {row["engine"]: row["version"]
                           for row in report.get("engines", []) + report.get("accuracy", [])
                           if "version" in row}
    return report


def write(path, text):
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from error
    native.say(f"wrote {path}")


def read_report(path):
    try:
        report = json.loads(path.read_text("utf-8"))
        table.render(report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path} is not a report of bench-peers: {error!r}") from error
    return report


def main(words=None):
    arguments = parsed(words)
    try:
        if arguments.from_json:
            report = read_report(arguments.from_json)
        else:
            enter_environment()
            report = measured(arguments)
        print(table.render(report), end="")
        if arguments.json:
            write(arguments.json, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        if arguments.svg:
            write(arguments.svg, chart.render(report))
    except (Failure, Missing) as error:
        native.say(error)
        return 1
    return 0


def enter_environment():
    """Go on in the private environment."""
    import subprocess  # pylint: disable=import-outside-toplevel
    made = subprocess.run([sys.executable, str(cache.TOOLS / "python-env"), "peers"], check=False,
                          stdout=subprocess.PIPE, text=True)
    if made.returncode != 0:
        raise Failure("the engines could not be installed, see above")
    python = made.stdout.splitlines()[-1]
    if not os.path.samefile(pathlib.Path(python).parent, pathlib.Path(sys.executable).parent):
        os.execv(python, [python, *sys.argv])
