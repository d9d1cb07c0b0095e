# SPDX-License-Identifier: MIT
"""The process of one engine with one model: `python -m bench_peers.worker JOB`.

JOB is a JSON object: the engine's name, and what its Engine takes. Answers are JSON objects, one a
line. First {"ready": ...}, or {"missing" | "unsupported" | "failed": reason} and the end; then one
for each line on standard input:

    run N         {"ms": time of one run}, the mean of N without a pause
    result PATH   {} after a run whose result is in PATH (.npy, float32)
    memory        {"peak_bytes": largest resident set so far}
"""

import importlib
import json
import os
import pathlib
import sys
import time

from .failure import Failure, Missing, Unsupported


def peak_bytes():
    for line in pathlib.Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    return None


def load(job):
    """The engine, and what is known of it before the first run."""
    if job.get("cpus"):
        os.sched_setaffinity(0, job["cpus"])
    try:
        module = importlib.import_module(f".engines.{job['engine']}", __package__)
    except (ImportError, OSError) as error:
        raise Missing(str(error)) from error
    before, began = peak_bytes(), time.perf_counter()
    engine = module.Engine(job)
    return engine, {"version": engine.version, "load_ms": 1e3 * (time.perf_counter() - began),
                    "import_bytes": before}


def answer(engine, words):
    if words[0] == "run":
        repeats = int(words[1])
        began = time.perf_counter()
        for _ in range(repeats):
            engine.run()
        return {"ms": 1e3 * (time.perf_counter() - began) / repeats}
    if words[0] == "result":
        import numpy as np  # pylint: disable=import-outside-toplevel
        engine.run()
        np.save(words[1], np.asarray(engine.result(), np.float32))
        return {}
    if words[0] == "memory":
        return {"peak_bytes": peak_bytes()}
    raise Failure(f"unknown request {words[0]}")


def main():
    # Libraries that print do so on standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message):
        print(json.dumps(message), file=out, flush=True)

    try:
        engine, facts = load(json.loads(sys.argv[1]))
        say({"ready": facts})
        for line in sys.stdin:
            say(answer(engine, line.rstrip("\n").split(" ", 1)))
    except (Missing, Unsupported) as why:
        say({type(why).__name__.lower(): str(why)})
    except Failure as error:
        say({"failed": str(error)})
    except Exception as error:  # pylint: disable=broad-exception-caught
        say({"failed": f"{type(error).__name__}: {error}".splitlines()[0]})


if __name__ == "__main__":
    main()
