# SPDX-License-Identifier: MIT
"""The library's messages, in the `logging` module."""

import atexit
import logging
import os
from typing import Callable

from . import _raw
from .values import LogLevel

Handler = Callable[[int, str], object]

logger = logging.getLogger("npuenc")

_LEVELS: dict[int, int] = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARN: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}

atexit.register(_raw.npuenc_log_end)
os.register_at_fork(after_in_child=_raw.npuenc_log_forked)


def to_logger(level: int, message: str) -> None:
    logger.log(_LEVELS.get(level, logging.DEBUG), "%s", message)


def level_of_logger() -> LogLevel:
    """What the logger would let through now."""
    for level in (LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARN, LogLevel.ERROR):
        if logger.isEnabledFor(_LEVELS[level]):
            return level
    return LogLevel.OFF
