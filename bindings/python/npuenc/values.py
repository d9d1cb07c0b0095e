# SPDX-License-Identifier: MIT
"""The header's values. One from another version of the library stays the int that it is."""

import enum
from typing import TypeVar, Union

from . import _raw


class Status(enum.IntEnum):
    OK = _raw.NPUENC_OK
    INTERNAL = _raw.NPUENC_E_INTERNAL
    INVALID = _raw.NPUENC_E_INVALID
    NOMEM = _raw.NPUENC_E_NOMEM
    NOT_FOUND = _raw.NPUENC_E_NOT_FOUND
    UNSUPPORTED = _raw.NPUENC_E_UNSUPPORTED
    TOO_NEW = _raw.NPUENC_E_TOO_NEW
    BAD_MODEL = _raw.NPUENC_E_BAD_MODEL
    IO = _raw.NPUENC_E_IO
    DEVICE = _raw.NPUENC_E_DEVICE
    BUSY = _raw.NPUENC_E_BUSY
    CANCELED = _raw.NPUENC_E_CANCELED
    TIMEOUT = _raw.NPUENC_E_TIMEOUT
    BUFFER = _raw.NPUENC_E_BUFFER
    FORKED = _raw.NPUENC_E_FORKED
    PENDING = _raw.NPUENC_E_PENDING
    CTX_LOST = _raw.NPUENC_E_CTX_LOST


class DeviceType(enum.IntEnum):
    AUTO = _raw.NPUENC_DEVICE_AUTO
    """The first NPU that is usable, else the CPU."""
    CPU = _raw.NPUENC_DEVICE_CPU
    NPU = _raw.NPUENC_DEVICE_NPU
    """An NPU or an error: never the CPU instead."""


class Precision(enum.IntEnum):
    """What products are computed in."""
    AUTO = _raw.NPUENC_PRECISION_AUTO
    F32 = _raw.NPUENC_PRECISION_F32
    BF16 = _raw.NPUENC_PRECISION_BF16
    INT8 = _raw.NPUENC_PRECISION_INT8
    BF16X2 = _raw.NPUENC_PRECISION_BF16X2
    """Reported, not to be asked for."""


class LogLevel(enum.IntEnum):
    OFF = _raw.NPUENC_LOG_OFF
    DEFAULT = _raw.NPUENC_LOG_DEFAULT
    ERROR = _raw.NPUENC_LOG_ERROR
    WARN = _raw.NPUENC_LOG_WARN
    INFO = _raw.NPUENC_LOG_INFO
    DEBUG = _raw.NPUENC_LOG_DEBUG


Value = TypeVar("Value", bound=enum.IntEnum)


def known(kind: type[Value], value: int) -> Union[Value, int]:
    try:
        return kind(value)
    except ValueError:
        return value
