# SPDX-License-Identifier: MIT
"""A call in the background."""

from __future__ import annotations

from types import TracebackType
from typing import Optional

from . import _raw
from .arrays import Array
from .errors import Error, error_of
from .handle import Handle
from .run import Run, wait
from .values import Status


class Pending:
    """The states to be of Model.submit. It keeps the memory of the input and of the result in place
    until the call has ended; dropped before, it cancels the call and waits for its end."""

    run: Run
    """For progress, statistics and operators."""

    def __init__(self, run: Run, handle: Handle, array: Array, out: Array) -> None:
        self.run = run
        self._handle = handle
        self._out = out
        self._views: list[memoryview] = [array.data, out.data]
        self._failure: Optional[Error] = None

    def done(self) -> bool:
        return not self._views or self._look(0.0) != Status.PENDING

    def result(self, timeout: Optional[float] = None) -> Array:
        """The states, waiting for them at most `timeout` seconds (else PendingError). Raises what
        the call failed with. Ctrl-C ends the wait, not the call."""
        if self._views and self._look(timeout) == Status.PENDING:
            raise error_of(Status.PENDING)
        if self._failure is not None:
            raise self._failure
        return self._out

    def cancel(self) -> None:
        """Asks the call to end with CanceledError; nothing if it has ended."""
        if self._views:
            _raw.npuenc_run_cancel(self._handle.pointer)

    def close(self) -> None:
        """Cancels the call if it is in flight, and waits for its end."""
        if self._views:
            _raw.npuenc_run_cancel(self._handle.pointer)
            self._settle(_raw.npuenc_run_wait(self._handle.pointer, -1))

    def _look(self, timeout: Optional[float]) -> int:
        return self._settle(wait(self._handle, timeout))

    def _settle(self, status: int) -> int:
        if status != Status.PENDING and self._views:
            if status != 0:
                self._failure = error_of(status)
            self._views = []
        return status

    def __enter__(self) -> Pending:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
