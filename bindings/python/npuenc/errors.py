# SPDX-License-Identifier: MIT
"""A status of the library as an exception: Error, and for every status one of its own, which is
also the built-in one that Python code would catch, where there is one."""

from typing import Union

from . import _raw
from .values import Status, known


class Error(Exception):
    """A call of the library failed. status says how, detail is its line about what went wrong."""

    status: Union[Status, int]
    detail: str

    def __init__(self, status: int, detail: str = "") -> None:
        text: str = _raw.npuenc_status_string(status)
        super().__init__(f"{text}: {detail}" if detail else text)
        self.status = known(Status, status)
        self.detail = detail

    def __reduce__(self) -> tuple[type["Error"], tuple[int, str]]:
        return type(self), (int(self.status), self.detail)


class InternalError(Error):
    """A defect of npuenc: please report it."""


class InvalidError(Error, ValueError):
    """An argument is out of its documented range."""


class OutOfMemoryError(Error, MemoryError):
    """Memory or threads could not be had."""


class NotFoundError(Error, FileNotFoundError):
    """No such device or file."""


class UnsupportedError(Error):
    """Valid, but not on this device or in this build."""


class TooNewError(Error):
    """A file of a later version."""


class BadModelError(Error, ValueError):
    """A model file is damaged or not a Whisper encoder."""


class ReadError(Error, OSError):
    """A file could not be read."""


class DeviceError(Error):
    """The device, its driver or its firmware failed this call."""


class BusyError(Error):
    """The run is in use by another call, or the device by others."""


class CanceledError(Error):
    """Run.cancel or Pending.cancel ended the call."""


class DeviceTimeoutError(Error, TimeoutError):
    """The device did not answer in time; the call is over."""


class BufferSizeError(Error, ValueError):
    """A buffer is smaller than the shape needs."""


class ForkedError(Error):
    """The object was made before fork() by the parent process."""


class PendingError(Error, TimeoutError):
    """A wait ran out of time; the call goes on, its buffers in use."""


class ContextLostError(Error):
    """The context cannot go on after a failure; open a new one."""


_KINDS: dict[int, type[Error]] = {
    Status.INTERNAL: InternalError,
    Status.INVALID: InvalidError,
    Status.NOMEM: OutOfMemoryError,
    Status.NOT_FOUND: NotFoundError,
    Status.UNSUPPORTED: UnsupportedError,
    Status.TOO_NEW: TooNewError,
    Status.BAD_MODEL: BadModelError,
    Status.IO: ReadError,
    Status.DEVICE: DeviceError,
    Status.BUSY: BusyError,
    Status.CANCELED: CanceledError,
    Status.TIMEOUT: DeviceTimeoutError,
    Status.BUFFER: BufferSizeError,
    Status.FORKED: ForkedError,
    Status.PENDING: PendingError,
    Status.CTX_LOST: ContextLostError,
}


def last_error() -> str:
    text = bytearray(512)
    length: int = _raw.npuenc_last_error(text)
    if length >= len(text):
        text = bytearray(length + 1)
        _raw.npuenc_last_error(text)
    return text[:length].decode("utf-8", "replace")


def error_of(status: int) -> Error:
    """To be asked for on the thread that made the call."""
    return _KINDS.get(status, Error)(status, last_error())


def check(status: int) -> None:
    if status != 0:
        raise error_of(status)
