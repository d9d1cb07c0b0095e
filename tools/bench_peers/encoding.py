# SPDX-License-Identifier: MIT
"""The whole encoder: npuenc in turn with each peer of the same precision."""

import contextlib

from . import entrants, machine, ratios, table
from .duel import Duel, WARM_UP, pause
from .failure import Failure, Missing, Unsupported
from .native import say
from .process import Worker

TRIAL = 3


def plural(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


REFUSALS = (Failure, Missing, Unsupported, ValueError)


def refusal(error):
    """What a row says of an engine that cannot take part."""
    kind = {Missing: "missing", Unsupported: "not supported"}.get(type(error), "failed")
    return {"kind": kind, "error": str(error)}


class Absent(Exception):
    """An engine that cannot take part, and the row of the report that says so."""

    def __init__(self, row):
        super().__init__(row["error"])
        self.row = row


def job_of(entrant, model, threads):
    """What the entrant's worker is told. An engine that cannot be prepared is missing."""
    try:
        work = entrant.job(model)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise Missing(f"could not be prepared: {error}".splitlines()[0]) from error
    return {"engine": entrant.engine, "mel": str(model.mel()), "shape": model.shape,
            "threads": threads, "cpus": machine.processors(threads), **work}


def fastest_variant(entrant, job):
    """The variant that was fastest in a few runs in turn."""
    if len(entrant.variants) == 1:
        return entrant.variants[0]
    times = {}
    with contextlib.ExitStack() as stack:
        workers = {variant: stack.enter_context(Worker(job, variant.environment))
                   for variant in entrant.variants}
        for _ in range(WARM_UP + TRIAL):
            for variant, worker in workers.items():
                times.setdefault(variant.name, []).append(worker.run())
                pause()
    best = min(entrant.variants, key=lambda variant: min(times[variant.name]))
    say(f"{entrant.label}: " + ", ".join(f"{name} {min(values):.0f} ms"
                                         for name, values in times.items()))
    return best


def start(entrant, model, threads, stack):
    """A worker, checked, and its row for the report; or Absent."""
    row = {"engine": entrant.engine, "title": entrant.label, "precision": entrant.precision,
           "model": model.name, "threads": threads}
    try:
        job = job_of(entrant, model, threads)
        variant = fastest_variant(entrant, job)
        worker = stack.enter_context(Worker(job, variant.environment))
        row |= worker.facts | {"variant": variant.name}
        row |= model.accuracy(worker.result())
    except REFUSALS as error:
        raise Absent(row | refusal(error)) from error
    return worker, row


def count(settings, models):
    """How many measurements there will be: every peer, and npuenc where it has none."""
    alone = set(settings.precisions) - {peer.precision for peer in settings.peers}
    return len(models) * len(settings.threads) * (len(settings.peers) + len(alone))


class Encoding:
    """Fills the lists `engines` and `comparisons` of the report."""

    def __init__(self, settings, models):
        self.settings, self.models = settings, models
        self.engines, self.comparisons = [], []
        # What is to be said again when the probe's best rate is known for good.
        self.unsettled = []

    def run(self):
        for threads in self.settings.threads:
            with self.settings.start_probe(threads) as probe:
                for model in self.models:
                    for precision in self.settings.precisions:
                        self.run_group(probe, model, threads, precision)
        for settle in self.unsettled:
            settle()

    def settle(self, row, duels, side):
        """Adds an engine's times, now and when all is over."""
        def again():
            row.update(ratios.figures([run for duel in duels for run in duel.runs(side)]))
        again()
        self.unsettled.append(again)
        if "median_ms" not in row:
            row |= {"kind": "not reached", "error": "the time limit came first"}

    def run_group(self, probe, model, threads, precision):
        """One npuenc and its peers, one after the other."""
        peers = [peer for peer in self.settings.peers if peer.precision == precision]
        ours = None
        with contextlib.ExitStack() as stack:
            try:
                ours, row = start(entrants.npuenc(precision, self.settings.library), model,
                                  threads, stack)
            except Absent as absent:
                say(f"{model.name}, {plural(threads)}: npuenc {precision}: {absent}")
                row = absent.row
            self.engines.append(row)
            duels = [self.run_peer(probe, model, threads, peer, ours) for peer in peers]
            if ours is not None:
                if not peers:
                    duels = [Duel(probe, ours, None, self.settings.tolerance).run(
                        self.settings.ratios, self.settings.share())]
                row["peak_bytes"] = ours.peak_bytes()
                self.settle(row, [duel for duel in duels if duel], 0)

    def run_peer(self, probe, model, threads, peer, ours):
        """One duel, which is returned; None when the peer cannot take part."""
        seconds = self.settings.share()
        with contextlib.ExitStack() as stack:
            try:
                theirs, row = start(peer, model, threads, stack)
            except Absent as absent:
                say(f"{model.name}, {plural(threads)}: {peer.label}: {absent}")
                self.engines.append(absent.row)
                return None
            duel = Duel(probe, ours, theirs, self.settings.tolerance)
            duel.run(self.settings.ratios, seconds)
            row["peak_bytes"] = theirs.peak_bytes()
        self.engines.append(row)
        self.settle(row, [duel], 1)
        if "error" in row:
            return duel
        comparison = {"model": model.name, "threads": threads, "precision": peer.precision,
                      "peer": peer.label}
        if ours is None:
            say(f"{model.name}, {plural(threads)}: {peer.label}: {row['median_ms']:.1f} ms")
            self.comparisons.append(comparison | {"verdict": "not supported"})
            return duel
        comparison |= duel.summary(self.settings.ratios)
        self.unsettled.append(lambda: comparison.update(duel.summary(self.settings.ratios)))
        say(f"{model.name}, {plural(threads)}, {peer.precision}: npuenc / {peer.label}: "
            f"{table.ratio_text(comparison)}, {comparison['ratios']} quiet of "
            f"{comparison['pairs']} pairs in {comparison['seconds']:.0f} s")
        self.comparisons.append(comparison)
        return duel
