# SPDX-License-Identifier: MIT
"""npuenc's throughput: 1 to 8 windows in one call, all sizes in turn."""

import contextlib
import time

from . import entrants, machine, ratios
from .duel import WARM_UP, pause
from .failure import Failure, Unsupported
from .native import say
from .process import Worker

SIZES = range(1, 9)
WINDOW_SECONDS = 30

# No ratio is claimed here, and a round of all sizes encodes 36 windows.
QUIET_RUNS = 6


def measure(settings, model, threads, precision, seconds):
    entry = {"model": model.name, "threads": threads, "precision": precision}
    job = entrants.npuenc(precision, settings.library).job(model) | {
        "engine": "npuenc", "mel": str(model.mel()), "shape": model.shape, "threads": threads,
        "cpus": machine.processors(threads)}
    with contextlib.ExitStack() as stack:
        probe = stack.enter_context(settings.start_probe(threads))
        try:
            workers = {size: stack.enter_context(Worker(job | {"batch": size})) for size in SIZES}
        except (Failure, Unsupported) as error:
            return entry | {"error": str(error)}
        for worker in workers.values():
            for _ in range(WARM_UP):
                worker.run()
        runs, began, rate = {size: [] for size in SIZES}, time.monotonic(), probe.rate()

        def quiet(size):
            return [run for run in runs[size] if run.is_quiet(probe.best, settings.tolerance)]

        while (min(len(quiet(size)) for size in SIZES) < QUIET_RUNS
               and time.monotonic() - began < seconds):
            for size, worker in workers.items():
                waited = worker.scheduled_ns()[1]
                took = worker.run()
                waited = worker.scheduled_ns()[1] - waited
                pause()
                after = probe.rate()
                waited /= 1e6 * took * threads
                runs[size].append(ratios.Pair(took, None, rate, after, waited))
                rate = after
    if not runs[SIZES[-1]]:
        return entry | {"error": "the time limit came first"}
    entry["sizes"] = []
    for size in SIZES:
        figures = ratios.figures([(run.first, run in quiet(size)) for run in runs[size]])
        entry["sizes"].append(figures | {
            "batch": size, "hours_per_hour": 1e3 * size * WINDOW_SECONDS / figures["median_ms"]})
    return entry


def count(settings, models):
    """How many measurements there will be."""
    return len(models) * len(settings.threads) * len(settings.precisions)


def run(settings, models):
    """The list `batch` of the report."""
    result = []
    for threads in settings.threads:
        for model in models:
            for precision in settings.precisions:
                say(f"batches: {model.name} {precision}, threads: {threads}")
                result.append(measure(settings, model, threads, precision, settings.share()))
    return result
