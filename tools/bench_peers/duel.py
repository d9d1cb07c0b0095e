# SPDX-License-Identifier: MIT
"""Two workers in turn, the probe between each two runs of a pair."""

import dataclasses
import time

from . import ratios

# Threads that wait by spinning have stopped by then; the same for both sides.
PAUSE = 0.005
WARM_UP = 2


def pause():
    time.sleep(PAUSE)


class Duel:
    """Pairs of adjacent runs of two workers, their order alternating. With one worker only (the
    other cannot do this work) its runs are timed in the same way."""

    def __init__(self, probe, first, second, tolerance, repeats=1, clock=time.monotonic):
        self.probe, self.workers, self.tolerance = probe, (first, second), tolerance
        self.repeats, self.clock = repeats, clock
        self.pairs = []
        self.idle_ns = self.others_ns = 0
        self.began = self.ended = clock()

    def timed(self, worker, others):
        """Time of one run, and the share of it that the worker's threads waited for a processor.
        What the other worker used of processors meanwhile is added up."""
        waited, idle = worker.scheduled_ns()[1], sum(other.scheduled_ns()[0] for other in others)
        milliseconds = worker.run(self.repeats)
        nanoseconds = 1e6 * milliseconds * self.repeats
        waited = worker.scheduled_ns()[1] - waited
        self.idle_ns += sum(other.scheduled_ns()[0] for other in others) - idle
        self.others_ns += nanoseconds * len(others)
        pause()
        return milliseconds, waited / nanoseconds / len(self.probe.cpus)

    def pair(self, before):
        """One pair between two probes; the rate after it, which is the one before the next."""
        order = [worker for worker in self.workers if worker is not None]
        if len(self.pairs) % 2:
            order.reverse()
        took = {worker: self.timed(worker, [other for other in order if other is not worker])
                for worker in order}
        after = self.probe.rate()
        pause()
        first, second = (took[worker][0] if worker else None for worker in self.workers)
        self.pairs.append(ratios.Pair(first, second, before, after,
                                      max(waited for _, waited in took.values())))
        return after

    def quiet(self):
        return ratios.quiet(self.pairs, self.probe.best, self.tolerance)

    def run(self, wanted, seconds):
        """Until there are enough quiet pairs, or time is up."""
        for worker in self.workers:
            for _ in range(WARM_UP if worker else 0):
                worker.run(self.repeats)
                pause()
        self.began = self.clock()
        rate = self.probe.rate()
        while len(self.quiet()) < wanted and self.clock() - self.began < seconds:
            rate = self.pair(rate)
        self.ended = self.clock()
        return self

    def runs(self, side):
        """Times of the first (0) or second (1) worker, each with whether its pair was quiet."""
        counted = set(map(id, self.quiet()))
        return [((pair.first, pair.second)[side], id(pair) in counted) for pair in self.pairs]

    def summary(self, wanted):
        """The ratio first : second, by the best rate that the probe has reached by now, and every
        pair, with its times in ms, rates in GFLOPS and share of waiting."""
        result = ratios.summary([pair.ratio for pair in self.quiet()], wanted)
        return result | {"pairs": len(self.pairs), "seconds": self.ended - self.began,
                         "probe_best": self.probe.best,
                         "samples": [dataclasses.astuple(pair) for pair in self.pairs],
                         "idle_share": self.idle_ns / self.others_ns if self.others_ns else 0.0}
