# SPDX-License-Identifier: MIT
"""The library itself and the devices that it sees."""

from . import _raw
from .errors import check
from .info import DeviceInfo, taken


def version() -> int:
    """The version of the library in use: major << 16 | minor << 8 | patch."""
    number: int = _raw.npuenc_version()
    return number


def version_string() -> str:
    """The same as text, "1.0.0"."""
    text: str = _raw.npuenc_version_string()
    return text


def devices() -> list[DeviceInfo]:
    """The CPU, then every NPU that the system shows, usable or not."""
    status, count = _raw.npuenc_device_count()
    check(status)
    return [_device(i) for i in range(count)]


def _device(i: int) -> DeviceInfo:
    info = _raw.npuenc_device_info()
    check(_raw.npuenc_device_get(i, info))
    return taken(DeviceInfo, info)


def mel_size(n_mels: int = 0, n_frames: int = 0) -> int:
    """The bytes of Context.mel's result; 0: 80 bands, 3000 frames."""
    desc = _raw.npuenc_mel_desc()
    desc.n_mels = n_mels
    desc.n_frames = n_frames
    status, size = _raw.npuenc_mel_size(desc)
    check(status)
    number: int = size
    return number
