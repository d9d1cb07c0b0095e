# SPDX-License-Identifier: MIT
"""A second of a sound at 16 kHz."""

import math
import struct
import wave

RATE = 16000


def pcm():
    """16-bit mono."""
    return b"".join(struct.pack("<h", int(9000 * math.sin(0.2 * i + 3 * math.sin(0.001 * i))))
                    for i in range(RATE))


def write(path):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm())
    return path
