# SPDX-License-Identifier: MIT
"""The driver's side of its helpers: workers, one for each engine and model, and the probe. They
wait on a pipe and use no processor until asked."""

import json
import pathlib
import subprocess
import sys
import tempfile

from . import cache, machine
from .failure import Failure, Missing, Unsupported

# Taken before anything is measured by them, to know what the machine can do.
FIRST_RATES = 50

REASONS = {"missing": Missing, "unsupported": Unsupported, "failed": Failure}


class Worker:
    """A process that has an engine with a model loaded. Ends with its `with` block."""

    def __init__(self, job, environment=None):
        # pylint: disable=consider-using-with
        self.stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        environment = machine.clean_environment(environment)
        environment["PYTHONPATH"] = str(cache.TOOLS)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench_peers.worker", json.dumps(job)], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr, text=True)
        self.name = job["engine"]
        try:
            self.facts = self.answer()["ready"]
        except BaseException:
            self.close()
            raise

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.stderr.seek(0)
            said = self.stderr.read().strip().splitlines()
            raise Failure(f"the worker of {self.name} ended with {self.process.returncode}"
                          + (f": {said[-1]}" if said else ""))
        reply = json.loads(line)
        for word, kind in REASONS.items():
            if word in reply:
                raise kind(reply[word])
        return reply

    def ask(self, request):
        try:
            print(request, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # why it ended is in the answer
        return self.answer()

    def run(self, repeats=1):
        """Time of one run in ms, the mean when it is repeated."""
        return self.ask(f"run {repeats}")["ms"]

    def result(self):
        import numpy as np  # pylint: disable=import-outside-toplevel
        with tempfile.TemporaryDirectory(prefix="npuenc-peers-") as directory:
            path = pathlib.Path(directory) / "result.npy"
            self.ask(f"result {path}")
            return np.load(path)

    def peak_bytes(self):
        return self.ask("memory")["peak_bytes"]

    def scheduled_ns(self):
        """What all its threads had of processors so far, and how long they waited for one."""
        had = waited = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                figures = (task / "schedstat").read_text("ascii").split()
                had, waited = had + int(figures[0]), waited + int(figures[1])
            except (OSError, IndexError, ValueError):
                pass  # a thread that has just ended, or a kernel without these figures
        return had, waited

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Probe:
    """How fast the machine is now, on the processors that a number of threads use."""

    def __init__(self, program, threads):
        # pylint: disable=consider-using-with
        self.cpus = machine.processors(threads)
        self.process = subprocess.Popen([str(program), *map(str, self.cpus)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.best = 0.0
        for _ in range(FIRST_RATES):
            self.rate()

    def rate(self):
        """GFLOPS of the slowest processor; remembers the best."""
        print(file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failure("the arithmetic probe has ended")
        self.best = max(self.best, float(line))
        return float(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
