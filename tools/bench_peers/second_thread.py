# SPDX-License-Identifier: MIT
"""What the second thread brings: npuenc's speed-up from one thread to two beside that of arithmetic
on registers, which no memory and no lock can slow down, at the same moments."""

import contextlib
import statistics
import time

from . import entrants, ratios
from .duel import WARM_UP, pause
from .encoding import Absent, start
from .native import say


def moment(workers, probes):
    """One run with one thread and one with two, each after a probe of its own: npuenc's speed-up,
    the probe's, and a Pair of each run for the gate. The probe's rate is that of its
    slowest processor, so two of them do twice as much."""
    rates, times, waits = [], [], []
    for worker, probe in zip(workers, probes):
        rates.append(probe.rate())
        before = worker.scheduled_ns()[1]
        times.append(worker.run())
        waited = worker.scheduled_ns()[1] - before
        waits.append(waited / (1e6 * times[-1] * len(probe.cpus)))
        pause()
    after = [probe.rate() for probe in probes]
    speedup, probe_speedup = times[0] / times[1], 2 * (rates[1] + after[1]) / (rates[0] + after[0])
    pairs = [ratios.Pair(speedup, probe_speedup, rate, end, wait)
             for rate, end, wait in zip(rates, after, waits)]
    return speedup, probe_speedup, pairs


def measure(settings, model, precision, seconds):
    entry = {"model": model.name, "precision": precision}
    with contextlib.ExitStack() as stack:
        try:
            workers = [start(entrants.npuenc(precision, settings.library), model, threads,
                             stack)[0] for threads in (1, 2)]
        except Absent as absent:
            return entry | {"error": f"{absent.row['kind']}: {absent}"}
        probes = [stack.enter_context(settings.start_probe(threads)) for threads in (1, 2)]
        for worker in workers:
            for _ in range(WARM_UP):
                worker.run()
        moments, began = [], time.monotonic()

        def quiet():
            return [(one, two) for one, two, pairs in moments
                    if all(pair.is_quiet(probe.best, settings.tolerance)
                           for pair, probe in zip(pairs, probes))]

        while len(quiet()) < settings.ratios and time.monotonic() - began < seconds:
            moments.append(moment(workers, probes))
    counted = quiet()
    summary = ratios.summary([one / two for one, two in counted], settings.ratios)
    # Here more is better, and falling short of the probe is what is to be known.
    summary["verdict"] = {"ahead": "short of it", "behind": "above it"}.get(summary["verdict"],
                                                                            summary["verdict"])
    return entry | summary | {
        "pairs": len(moments),
        "speedup": statistics.median([one for one, _ in counted]) if counted else None,
        "probe_speedup": statistics.median([two for _, two in counted]) if counted else None}


def count(settings, models):
    """How many measurements there will be."""
    return len(models) * len(settings.precisions)


def run(settings, models):
    """The list `second_thread` of the report."""
    result = []
    for model in models:
        for precision in settings.precisions:
            say(f"second thread: {model.name} {precision}")
            result.append(measure(settings, model, precision, settings.share()))
    return result
