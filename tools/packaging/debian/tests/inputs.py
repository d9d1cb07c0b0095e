# SPDX-License-Identifier: MIT
"""Writes what the tests encode, into the working directory: a model of random weights, and a tone."""

import math
import struct
import sys
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "command"))
import random_model  # noqa: E402  pylint: disable=wrong-import-position

random_model.write("model")
with wave.open("tone.wav", "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(16000)
    out.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(0.2 * i)))
                             for i in range(16000)))
