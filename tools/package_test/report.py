# SPDX-License-Identifier: MIT
"""What was checked, and what came of it."""

import contextlib
import sys
import time


class Failure(Exception):
    """A check that failed, or something without which none can be made."""


class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self._done = {}
        self._began = time.monotonic()

    def step(self, text):
        print(f"\n== {text} ({time.monotonic() - self._began:.0f} s)", flush=True)

    @contextlib.contextmanager
    def check(self, name):
        """Counts what is done inside as one check, which fails by a Failure. Its name begins with what
        it is a check of."""
        began = time.monotonic()
        try:
            yield
        except Failure as failure:
            self.failed += 1
            print(f"FAILED  {name}: {failure}", flush=True)
            subject, _, what = name.partition(": ")
            self.done(subject, f"FAILED: {what}")
        else:
            self.passed += 1
            print(f"passed  {name} ({time.monotonic() - began:.0f} s)", flush=True)

    def skip(self, name, reason):
        self.skipped += 1
        print(f"skipped {name}: {reason}", flush=True)

    def done(self, subject, what):
        """Keeps what was done for the summary."""
        self._done.setdefault(subject, []).append(what)

    def close(self):
        print("\n== what was done")
        for subject, done in self._done.items():
            print(f"{subject}: {'; '.join(done)}")
        print(f"\n{time.monotonic() - self._began:.0f} s")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.stdout.flush()
        return 1 if self.failed or not self.passed else 0
