# SPDX-License-Identifier: MIT
"""How a call is made: with its handles held and, where it may take long, so that Ctrl-C ends it."""

import threading
from typing import Any, Callable, Optional

from . import _raw
from .errors import check, error_of
from .handle import Handle

Progress = Callable[[int, int], object]

LONG = 1 << 28
"""Multiply-adds from which a call may take more than some milliseconds."""

_SLICE = 0.05  # seconds between two looks at the progress


def make_run(context: Handle) -> Handle:
    status, pointer = _raw.npuenc_run_create(context.pointer)
    check(status)
    return Handle(pointer, _raw.npuenc_run_free, context)


def perform(function: Callable[..., int], owner: Handle, arguments: tuple[Any, ...],
            run: Optional[Handle], context: Handle, work: int,
            progress: Optional[Progress] = None) -> None:
    """function(owner, *arguments, run). Python runs signal handlers on the main thread only, between
    two of its own instructions: a long call of that thread is made by another one meanwhile."""
    if progress is None and (work < LONG
                             or threading.current_thread() is not threading.main_thread()):
        status = function(owner.pointer, *arguments, run.pointer if run is not None else None)
        if status != 0:
            raise error_of(status)
        return
    _watch(function, owner, arguments, run if run is not None else make_run(context), progress)


def _watch(function: Callable[..., int], owner: Handle, arguments: tuple[Any, ...], run: Handle,
           progress: Optional[Progress]) -> None:
    failure: list[BaseException] = []
    ended = threading.Lock()
    ended.acquire()

    def work() -> None:
        try:
            status = function(owner.pointer, *arguments, run.pointer)
            if status != 0:
                failure.append(error_of(status))
        except BaseException as problem:  # pylint: disable=broad-except
            failure.append(problem)
        finally:
            ended.release()

    threading.Thread(target=work, name="npuenc").start()
    try:
        while not ended.acquire(timeout=_SLICE):
            if progress is not None:
                _report(run, progress)
    except BaseException:
        # Until it has ended: cancelling before it has begun would be for nothing.
        while not ended.acquire(timeout=0.01):
            _raw.npuenc_run_cancel(run.pointer)
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


