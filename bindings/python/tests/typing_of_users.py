# SPDX-License-Identifier: MIT
"""Not run: mypy --strict reads it, as it would a program that uses npuenc."""

import logging
from pathlib import Path
from typing import Union

import numpy as np
import numpy.typing as npt

import npuenc


def states(path: Path, pcm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with npuenc.Encoder(path, n_threads=2, precision=npuenc.Precision.F32) as encoder:
        return encoder(pcm, progress=lambda done, total: logging.info("%d of %d", done, total))


def product(a: npt.NDArray[np.int8], run: npuenc.Run) -> int:
    with npuenc.Context(device_type=npuenc.DeviceType.CPU, log=lambda level, text: None) as context:
        answer = context.matmul(a, a.T, out_type=np.int32, run=run)
        return int(answer[0, 0]) + run.stats().macs


def status(error: npuenc.Error) -> Union[npuenc.Status, int]:
    return error.status


def wait(pending: npuenc.Pending) -> tuple[int, int]:
    pending.result(timeout=1.5)
    return pending.run.progress()
