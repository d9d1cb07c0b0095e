#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""transcribe_states.py MODEL SPEECH.wav STATES.npy

Encodes a recording, 16-bit mono PCM at 16 kHz, to encoder states: float32 [windows][n_ctx][n_state],
a window being 30 s and the last one continued with silence. Ctrl-C ends it, and nothing is written.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import functools
import os
import struct
import sys
import tempfile
import time
import wave

import numpy as np
import numpy.typing as npt

import npuenc


def read_wav(path: str) -> npt.NDArray[np.int16]:
    try:
        with wave.open(path, "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, 16000):
                raise ValueError(f"{path}: not 16-bit mono PCM at 16 kHz")
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as problem:
        raise ValueError(f"{path}: not a WAV file of PCM: {problem or 'it is cut off'}") from None
    pcm = np.frombuffer(data, "<i2", len(data) // 2)
    if pcm.size == 0:
        raise ValueError(f"{path}: there is no sound in it")
    return pcm


def show(i: int, n_windows: int, done: int, total: int) -> None:
    share = 100 * (i * total + done) // (n_windows * total)
    print(f"\rencoding {share:3d} %", end="", file=sys.stderr, flush=True)


def write_npy(path: str, states: list[npt.NDArray[np.float32]], shape: tuple[int, int]) -> None:
    """All of it or nothing: beside, then renamed. The header is as the npuenc command pads it."""
    text = ("{'descr': '<f4', 'fortran_order': False, 'shape': "
            f"({len(states)}, {shape[0]}, {shape[1]}), }}")
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 182) + text.ljust(181).encode() + b"\n"
    mask = os.umask(0)
    os.umask(mask)
    descriptor, beside = tempfile.mkstemp(dir=os.path.dirname(path) or ".", suffix=".part")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o666 & ~mask)
            file.write(header)
            for window in states:
                file.write(window.data)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def encode(model_path: str, speech_path: str, states_path: str) -> None:
    pcm = read_wav(speech_path)
    with npuenc.Context() as context, npuenc.Model(context, model_path) as model:
        device, info = context.info(), model.info()
        print(f"device: {device.device_name} ({device.isa}), {device.n_threads} threads")
        window = 320 * info.n_ctx
        n_windows = -(-pcm.size // window)
        begun = time.perf_counter()
        states = [model.encode(pcm[i * window:(i + 1) * window],
                               progress=functools.partial(show, i, n_windows))
                  for i in range(n_windows)]
        print(file=sys.stderr)
        write_npy(states_path, states, (info.n_ctx, info.n_state))
        print(f"time: {time.perf_counter() - begun:.3f} s for {pcm.size / 16000:.2f} s of speech")


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: transcribe_states.py MODEL SPEECH.wav STATES.npy", file=sys.stderr)
        return 2
    try:
        encode(*sys.argv[1:])
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, npuenc.Error) as problem:
        print(f"transcribe_states.py: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
