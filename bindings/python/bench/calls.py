# SPDX-License-Identifier: MIT
"""Prints what calls through the package take, in nanoseconds: the fastest of many batches."""

import os
import time
from typing import Callable

import numpy as np

import npuenc

BATCHES, CALLS = 20, 10000


def nanoseconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(BATCHES):
        begun = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter_ns() - begun)
    return best / CALLS


def main() -> None:
    one, out = np.ones((1, 1), np.float32), np.empty((1, 1), np.float32)
    with npuenc.Context(n_threads=1) as context, \
            npuenc.Model(context, os.environ["NPUENC_TEST_MODEL"]) as model:
        print(f"bare {nanoseconds(npuenc.version):.1f}")
        print(f"size {nanoseconds(model.encode_size):.1f}")
        print(f"matmul {nanoseconds(lambda: context.matmul(one, one, out=out)):.1f}")


if __name__ == "__main__":
    main()
