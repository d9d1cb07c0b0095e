# SPDX-License-Identifier: MIT
"""Audio of any length to states, in one line."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Optional, Union

import numpy as np

from .arrays import Array, Buffer, samples
from .calls import Progress
from .context import Context
from .handle import Owner
from .model import Model
from .run import Run
from .values import DeviceType, Precision

SAMPLES_PER_STATE = 320


class Encoder:
    """Encoder(model)(pcm): a model on a device of its own, or a Model that is there already.

    The states are [n][n_state] of float32, one every 20 ms as far as the audio goes. What is longer
    than the model's window of 30 s is encoded in consecutive windows, the last one continued with
    silence. Who needs the full window of states, as Whisper's decoder does, calls Model.encode.
    """

    def __init__(self, model: Union[str, bytes, os.PathLike[Any], Model], *,
                 device_type: int = DeviceType.AUTO, n_threads: int = 0,
                 precision: int = Precision.AUTO) -> None:
        self._owned: list[Owner] = []
        if isinstance(model, Model):
            self.model = model
        else:
            context = Context(device_type=device_type, n_threads=n_threads)
            self.model = Model(context, model, precision=precision)
            self._owned = [self.model, context]

    def __call__(self, pcm: Buffer, *, progress: Optional[Progress] = None) -> Array:
        """pcm is mono, 16 kHz: [samples] of float32 or int16; plain bytes are int16. progress is
        called with (done, total), in windows and their steps."""
        sound = samples(pcm, "pcm")
        if sound.ndim != 1:
            raise ValueError(f"pcm has {sound.ndim} dimensions, expected 1")
        info = self.model.info()
        window = SAMPLES_PER_STATE * info.n_ctx
        n_windows = -(-sound.size // window)
        states = np.empty((n_windows, info.n_ctx, info.n_state), np.float32)
        # One run for all: Python drops a Ctrl-C that comes while a handle is finalised.
        with Run._of(self.model._context) as run:
            for i in range(n_windows):
                self.model.encode(sound[i * window:(i + 1) * window], out=states[i], run=run,
                                  progress=_share(progress, i, n_windows))
        return states.reshape(-1, info.n_state)[:-(-sound.size // SAMPLES_PER_STATE)]

    def close(self) -> None:
        """Frees what it has opened itself."""
        for owned in self._owned:
            owned.close()

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()


def _share(progress: Optional[Progress], i: int, n_windows: int) -> Optional[Progress]:
    """The progress of all windows from that of one: each has the same steps."""
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(i * total + done, n_windows * total)
