# SPDX-License-Identifier: MIT
"""Ratios of adjacent runs, which of them count, and what they say."""

import dataclasses
import math
import statistics

CONFIDENCE = 0.95

# Of a run's time on its processors, how long its threads may have waited for one that another
# program had.
MAX_WAIT = 0.02


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two adjacent runs in ms; the arithmetic probe's rate before and after them; and the larger
    share of a run's time on its processors in which its threads could have run but had none."""
    first: float
    second: float
    before: float
    after: float
    waited: float = 0.0

    @property
    def ratio(self):
        return self.first / self.second

    def is_quiet(self, best, tolerance):
        """Whether the machine gave its full rate on both sides of the runs, and all of it during
        them: the probe is so short that a busy system still serves it at once."""
        return (min(self.before, self.after) >= (1 - tolerance) * best
                and self.waited <= MAX_WAIT)


def quiet(pairs, best, tolerance):
    return [pair for pair in pairs if pair.is_quiet(best, tolerance)]


def figures(runs):
    """Least and median time of (time, quiet) runs: of the quiet ones, of all when none was."""
    times = [time for time, is_quiet in runs if is_quiet]
    result = {"runs": len(runs), "quiet_runs": len(times)}
    times = times or [time for time, _ in runs]
    if times:
        result |= {"min_ms": min(times), "median_ms": statistics.median(times)}
    return result


def median_interval(values, confidence=CONFIDENCE):
    """Bounds of the median's confidence interval, None when there are too few values for one.

    From order statistics, without an assumption on how the values are distributed: the number of
    values below the median of what they are drawn from is binomial with p = 1/2, so the k-th
    smallest and the k-th largest enclose it with probability 1 - 2 P(B < k). The largest k that
    keeps this at or above `confidence` is taken.
    """
    ordered, n = sorted(values), len(values)
    tail, k = 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2 ** n
        if 2 * tail > 1 - confidence:
            break
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else None


def summary(ratios, wanted):
    """Median, interval and verdict. Of fewer ratios than wanted the figure is given, but no
    verdict."""
    result = {"ratios": len(ratios), "wanted": wanted, "median": None, "low": None, "high": None}
    if ratios:
        result["median"] = statistics.median(ratios)
    if interval := median_interval(ratios):
        result["low"], result["high"] = interval
    if len(ratios) < wanted or interval is None:
        result["verdict"] = "too few"
    elif result["high"] < 1:
        result["verdict"] = "ahead"
    elif result["low"] > 1:
        result["verdict"] = "behind"
    else:
        result["verdict"] = "level"
    return result
