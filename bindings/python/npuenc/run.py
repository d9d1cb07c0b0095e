# SPDX-License-Identifier: MIT
"""One call seen from outside."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Optional

from . import _raw
from .calls import make_run
from .errors import check
from .handle import Handle, Owner
from .info import OpInfo, Stats, ask
from .values import Status

if TYPE_CHECKING:
    from .context import Context

_SLICE_NS = 50_000_000


def wait(run: Handle, timeout: Optional[float]) -> int:
    """The call's status, PENDING when time ran out. In slices, between which Ctrl-C is heard."""
    deadline = None if timeout is None else time.monotonic() + timeout
    sliced = threading.current_thread() is threading.main_thread()
    while True:
        left = -1 if deadline is None else max(0, int((deadline - time.monotonic()) * 1e9))
        is_last = left >= 0 and (left <= _SLICE_NS or not sliced)
        status: int = _raw.npuenc_run_wait(run.pointer,
                                           left if is_last or not sliced else _SLICE_NS)
        if status != Status.PENDING or is_last:
            return status


class Run(Owner):
    """Watches one call of its context at a time: give it as `run` to the call, and use it from
    another thread meanwhile. It serves any number of calls one after another."""

    def __init__(self, context: Context) -> None:
        self._handle = make_run(context._opened())

    @classmethod
    def _of(cls, context: Handle) -> Run:
        run = cls.__new__(cls)
        run._handle = make_run(context)
        return run

    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until the run's call has ended, at most `timeout` seconds (else PendingError), and
        raises what that call failed with. Without a call in flight it is the last one's."""
        check(wait(self._opened(), timeout))

    def cancel(self) -> None:
        """Asks the call in flight, if there is one, to end with CanceledError."""
        handle = self._opened()
        _raw.npuenc_run_cancel(handle.pointer)

    def progress(self) -> tuple[int, int]:
        """How many of the call's steps are done, and how many there are."""
        handle = self._opened()
        status, done, total = _raw.npuenc_run_progress(handle.pointer)
        check(status)
        return done, total

    def stats(self) -> Stats:
        """What the last call took; BusyError while one is in flight."""
        return ask(Stats, _raw.npuenc_run_stats, self._opened())

    def ops(self) -> list[OpInfo]:
        """The operators of that call in the order in which they first ran."""
        handle = self._opened()
        status, count = _raw.npuenc_run_op_count(handle.pointer)
        check(status)
        return [ask(OpInfo, _raw.npuenc_run_op_get, handle, i) for i in range(count)]
