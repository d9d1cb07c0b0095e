# SPDX-License-Identifier: MIT
"""How a call is made: with its handles held, and so that Ctrl-C ends it where it can be ended."""

import threading
from typing import Any, Callable, Optional

from . import _raw
from .errors import check, error_of
from .handle import Handle

Progress = Callable[[int, int], object]

_SLICE = 0.05  # seconds between two looks at the progress


def make_run(context: Handle) -> Handle:
    status, pointer = _raw.npuenc_run_create(context.pointer)
    check(status)
    return Handle(pointer, _end_run, context)


def _end_run(pointer: Any) -> None:
    _raw.npuenc_run_cancel(pointer)
    _raw.npuenc_run_free(pointer)


def perform(function: Callable[..., int], owner: Handle, arguments: tuple[Any, ...],
            run: Optional[Handle]) -> None:
    """function(owner, *arguments, run)."""
    check(function(owner.pointer, *arguments, run.pointer if run is not None else None))


def perform_watched(function: Callable[..., int], owner: Handle, arguments: tuple[Any, ...],
                    run: Handle, progress: Optional[Progress]) -> None:
    """The same on a thread of its own, so that this one can hear Ctrl-C and tell of the progress:
    Python runs signal handlers on the main thread only, between two of its own instructions."""
    failure: list[BaseException] = []
    finished: list[bool] = []
    ended = threading.Lock()
    ended.acquire()

    def work() -> None:
        try:
            status = function(owner.pointer, *arguments, run.pointer)
            if status != 0:
                failure.append(error_of(status))
        except BaseException as problem:
            failure.append(problem)
        finally:
            finished.append(True)
            ended.release()

    threading.Thread(target=work, name="npuenc").start()
    try:
        while not ended.acquire(timeout=_SLICE):
            if progress is not None:
                _report(run, progress)
    except BaseException:
        # Until it has ended: cancelling before it has begun would be for nothing. The lock does not
        # tell: an interrupt may come just when it has been acquired.
        while not finished:
            _raw.npuenc_run_cancel(run.pointer)
            ended.acquire(timeout=0.01)
        raise
    if failure:
        raise failure[0]
    if progress is not None:
        _report(run, progress)


def _report(run: Handle, progress: Progress) -> None:
    status, done, total = _raw.npuenc_run_progress(run.pointer)
    check(status)
    if total:
        progress(done, total)


