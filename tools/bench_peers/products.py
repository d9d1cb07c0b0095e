# SPDX-License-Identifier: MIT
"""npuenc's products and attention beside oneDNN's and OpenBLAS's, at Whisper's shapes."""

import contextlib
import dataclasses
import math

from . import machine, native, ratios
from .cases import CASES
from .duel import Duel
from .failure import Failure, Missing, Unsupported
from .native import say
from .process import Worker

# A run is repeated until it takes this long, or the clock and the pipe would be in the figures.
LEAST_MS = 15

# The largest difference of two results, as a share of the largest value: sums in another order;
# roundings of bf16 and int8 in other places.
AGREEMENT = {"f32": 1e-4, "bf16": 0.02, "s8": 0, "int8": 1e-3}


@dataclasses.dataclass(frozen=True)
class Rival:
    engine: str
    label: str
    library: str

    def takes(self, case):
        return self.engine == "onednn_products" or (case.type == "f32" and case.kind != "attention")

    def job(self, case, threads):
        job = {"engine": self.engine, "case": dataclasses.asdict(case), "threads": threads,
               "cpus": machine.processors(threads)}
        return job | ({"native": str(native.onednn())} if self.engine == "onednn_products" else {})

    def environment(self, threads):
        """OpenBLAS's threads wait for more work by spinning, for up to 2^26 cycles: into npuenc's
        turn. 2^20 are enough between calls, and over when the other begins."""
        return ({"OMP_NUM_THREADS": str(threads)} if self.engine == "onednn_products" else
                {"OPENBLAS_THREAD_TIMEOUT": "20"})


RIVALS = [Rival("onednn_products", "oneDNN", "onednn"),
          Rival("openblas_products", "OpenBLAS", "openblas")]


def note(case, rival):
    """Where the two do not do quite the same."""
    if case.type == "int8":
        return ("from f32 to f32; the scale of each row npuenc finds and multiplies by, oneDNN is "
                "given and leaves out")
    if case.kind == "attention" and rival.engine == "onednn_products":
        return "oneDNN: matmul, softmax, matmul, the scores in memory in the operands' type"
    return None


def disagreement(ours, theirs):
    """The largest difference, as a share of the largest value."""
    import numpy as np  # pylint: disable=import-outside-toplevel
    theirs = theirs.reshape(ours.shape)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def measure(settings, probe, case, rival, threads, versions, seconds):
    """One row of the report."""
    entry = {"case": case.title, "threads": threads, "peer": rival.label,
             "note": note(case, rival)}
    with contextlib.ExitStack() as stack:
        try:
            theirs = stack.enter_context(Worker(rival.job(case, threads),
                                                rival.environment(threads)))
        except (Failure, Missing) as error:
            return entry | {"verdict": "missing", "error": str(error)}
        try:
            ours = stack.enter_context(Worker({
                "engine": "npuenc_products", "library": str(settings.library), "threads": threads,
                "case": dataclasses.asdict(case), "cpus": machine.processors(threads)}))
        except Unsupported as error:
            return entry | {"verdict": "not supported", "error": str(error)}
        versions |= {"npuenc": ours.facts["version"], rival.library: theirs.facts["version"]}
        entry["disagreement"] = disagreement(ours.result(), theirs.result())
        if not entry["disagreement"] <= AGREEMENT[case.type]:
            return entry | {"verdict": "results differ", "error":
                            f"the results differ by {entry['disagreement']:.2g} of the largest"}
        shortest = min(worker.run() for worker in (ours, theirs, ours, theirs))
        duel = Duel(probe, ours, theirs, settings.tolerance,
                    repeats=max(1, math.ceil(LEAST_MS / shortest)))
        entry |= duel.run(settings.ratios, seconds).summary(settings.ratios)
    for side, name in enumerate(("ours", "theirs")):
        figures = ratios.figures(duel.runs(side))
        if "median_ms" in figures:
            figures["gops"] = 2e-6 * case.multiply_adds / figures["median_ms"]
        entry[name] = figures
    return entry


PAIRINGS = [(case, rival) for case in CASES for rival in RIVALS if rival.takes(case)]


def count(settings, _models):
    """How many measurements there will be."""
    return len(PAIRINGS) * len(settings.threads)


def run(settings, versions):
    """The list `products` of the report; adds to its versions."""
    result = []
    for threads in settings.threads:
        with settings.start_probe(threads) as probe:
            for case, rival in PAIRINGS:
                say(f"products: {case.title} beside {rival.label}, threads: {threads}")
                result.append(measure(settings, probe, case, rival, threads, versions,
                                      settings.share()))
    return result
