# SPDX-License-Identifier: MIT
"""Who frees what the library hands out, and when."""

from types import TracebackType
from typing import Any, Callable, Optional, TypeVar

Self = TypeVar("Self", bound="Owner")


class Handle:
    """One handle of the library, freed when nobody refers to it any more. A call refers to it until
    it has ended, so that no thread can free it under another's call."""

    __slots__ = ("pointer", "_free", "_kept")

    def __init__(self, pointer: Any, free: Callable[[Any], None], kept: object) -> None:
        self.pointer = pointer
        self._free = free
        self._kept = kept  # what the library needs as long as this handle

    def __del__(self) -> None:
        # Of a ring of garbage what still refers to it may be finalised later: it finds NULL, which
        # is an error.
        pointer, self.pointer = self.pointer, None
        self._free(pointer)


class Owner:
    """What has a handle until it is closed."""

    _handle: Optional[Handle] = None

    @property
    def closed(self) -> bool:
        return self._handle is None

    def close(self) -> None:
        """Closes it; a second time does nothing. Calls of other threads that are in flight go on
        to their end."""
        self._handle = None

    def _opened(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        return handle

    def __enter__(self: Self) -> Self:
        self._opened()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()
