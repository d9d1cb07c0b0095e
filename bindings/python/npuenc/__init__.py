# SPDX-License-Identifier: MIT
"""The Whisper speech encoder on AMD NPUs and on CPUs: recorded speech to encoder states.

    states = npuenc.Encoder("ggml-base.bin")(pcm)

is all that most programs need. Below it are Context (a device and its operators), Model, Weight,
Run (one call: cancel, progress, statistics) and Pending (a call in the background).

NumPy arrays go in and come out in place: what has another type or layout than a call takes is an
error, never copied. bfloat16, which NumPy lacks, is held in uint16.
"""

from .context import Context
from .encoder import Encoder
from .errors import (BadModelError, BufferSizeError, BusyError, CanceledError, ContextLostError,
                     DeviceError, DeviceTimeoutError, Error, ForkedError, InternalError,
                     InvalidError, NotFoundError, OutOfMemoryError, PendingError, ReadError,
                     TooNewError, UnsupportedError)
from .info import ContextInfo, DeviceInfo, ModelInfo, OpInfo, Stats
from .library import devices, mel_size, version, version_string
from .model import Model
from .pending import Pending
from .run import Run
from .values import DeviceType, LogLevel, Precision, Status
from .weight import Weight

__version__ = "1.0.0"

__all__ = [
    "BadModelError", "BufferSizeError", "BusyError", "CanceledError", "Context", "ContextInfo",
    "ContextLostError", "DeviceError", "DeviceInfo", "DeviceTimeoutError", "DeviceType", "Encoder",
    "Error", "ForkedError", "InternalError", "InvalidError", "LogLevel", "Model", "ModelInfo",
    "NotFoundError", "OpInfo", "OutOfMemoryError", "Pending", "PendingError", "Precision",
    "ReadError", "Run", "Stats", "Status", "TooNewError", "UnsupportedError", "Weight", "devices",
    "mel_size", "version", "version_string",
]
