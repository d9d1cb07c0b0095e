# SPDX-License-Identifier: MIT
"""npuenc's throughput with several windows in a call: what a window takes there and one by one, in
adjacent runs of as many windows."""

import contextlib

from . import entrants, machine, ratios
from .duel import Duel
from .failure import Failure, Unsupported
from .native import say
from .process import Worker

SIZES = (2, 4, 8)
WINDOW_SECONDS = 30


class PerWindow:
    """A worker whose calls take `batch` windows each, by the time of a window."""

    def __init__(self, worker, batch):
        self.worker, self.batch = worker, batch

    def run(self, windows):
        return self.worker.run(windows // self.batch) / self.batch

    def scheduled_ns(self):
        return self.worker.scheduled_ns()


def measure(settings, model, threads, precision, batch):
    entry = {"model": model.name, "threads": threads, "precision": precision, "batch": batch}
    seconds = settings.share()
    job = entrants.npuenc(precision, settings.library).job(model) | {
        "engine": "npuenc", "mel": str(model.mel()), "shape": model.shape, "threads": threads,
        "cpus": machine.processors(threads)}
    with contextlib.ExitStack() as stack:
        probe = stack.enter_context(settings.start_probe(threads))
        try:
            together, alone = (PerWindow(stack.enter_context(Worker(job | {"batch": size})), size)
                               for size in (batch, 1))
        except (Failure, Unsupported) as error:
            return entry | {"error": str(error)}
        duel = Duel(probe, together, alone, settings.tolerance, repeats=batch)
        duel.run(settings.ratios, seconds)
    if not duel.pairs:
        return entry | {"error": "the time limit came first"}
    figures = ratios.figures(duel.runs(0))
    return entry | duel.summary(settings.ratios) | {
        "together": figures, "alone": ratios.figures(duel.runs(1)),
        "hours_per_hour": 1e3 * WINDOW_SECONDS / figures["median_ms"]}


def count(settings, models):
    """How many measurements there will be."""
    return len(models) * len(settings.threads) * len(settings.precisions) * len(SIZES)


def run(settings, models):
    """The list `batch` of the report."""
    result = []
    for threads in settings.threads:
        for model in models:
            for precision in settings.precisions:
                for batch in SIZES:
                    say(f"batches: {model.name} {precision}, threads: {threads}, windows: {batch}")
                    result.append(measure(settings, model, threads, precision, batch))
    return result
