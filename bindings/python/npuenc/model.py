# SPDX-License-Identifier: MIT
"""The weights of an encoder on a device."""

from __future__ import annotations

import os
import threading
from typing import Any, Iterable, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _raw
from .arrays import (F32, S16, Array, Buffer, as_array, contiguous, counts, dtype_code, of_type,
                     result, samples)
from .calls import Progress, make_run, perform, perform_watched
from .context import Context
from .errors import check
from .handle import Handle, Owner
from .info import ModelInfo, ask
from .pending import Pending
from .run import Run
from .values import DeviceType, Precision

Lengths = Union[Array, Iterable[int]]


class Model(Owner):
    """Loads the encoder of a Whisper model: a whisper.cpp file (ggml-*.bin), or a directory or file
    of Hugging Face (model.safetensors) or CTranslate2 (faster-whisper). Any number of threads may
    use it at once, and it may outlive its context.

    precision  of all products: Precision.AUTO, F32, BF16 or INT8
    linear_device, attention_device, conv_device, elementwise_device
               which device runs a family of operators: DeviceType.AUTO, CPU or NPU
    """

    def __init__(self, context: Context, path: Union[str, bytes, os.PathLike[Any]], *,
                 precision: int = Precision.AUTO, linear_device: int = DeviceType.AUTO,
                 attention_device: int = DeviceType.AUTO, conv_device: int = DeviceType.AUTO,
                 elementwise_device: int = DeviceType.AUTO) -> None:
        handle = context._opened()
        options = _options(precision, linear_device, attention_device, conv_device,
                           elementwise_device)
        self._adopt(handle, *_raw.npuenc_model_load(handle.pointer, path, options))

    @classmethod
    def from_memory(cls, context: Context, data: Buffer, *, precision: int = Precision.AUTO,
                    linear_device: int = DeviceType.AUTO, attention_device: int = DeviceType.AUTO,
                    conv_device: int = DeviceType.AUTO,
                    elementwise_device: int = DeviceType.AUTO) -> Model:
        """The same from the bytes of one file; nothing of them is kept."""
        handle = context._opened()
        file = contiguous(as_array(data, "data"), "data")
        options = _options(precision, linear_device, attention_device, conv_device,
                           elementwise_device)
        model = cls.__new__(cls)
        model._adopt(handle, *_raw.npuenc_model_load_memory(handle.pointer, file, options))
        return model

    def _adopt(self, context: Handle, status: int, pointer: Any) -> None:
        check(status)
        self._context = context
        self._handle = Handle(pointer, _raw.npuenc_model_free, context)
        self._info = self.info()

    def info(self) -> ModelInfo:
        return ask(ModelInfo, _raw.npuenc_model_get_info, self._opened())

    def encode_size(self, *, batch: int = 1, n_ctx: int = 0,
                    out_type: npt.DTypeLike = np.float32) -> int:
        """The bytes of a batch of states; n_ctx 0: those of a full window."""
        handle = self._opened()
        desc = _raw.npuenc_encode_desc()
        desc.batch = batch
        desc.n_ctx = n_ctx
        desc.output_type = dtype_code(out_type, "out")
        status, size = _raw.npuenc_encode_size(handle.pointer, desc)
        check(status)
        number: int = size
        return number

    def encode(self, pcm: Buffer, *, lengths: Optional[Lengths] = None, n_ctx: int = 0,
               out: Optional[Array] = None, out_type: Optional[npt.DTypeLike] = None,
               run: Optional[Run] = None, progress: Optional[Progress] = None) -> Array:
        """The states of windows of audio.

        pcm       mono, 16 kHz: [samples], or [batch][samples] for one window each, of float32 or
                  int16; plain bytes are int16. At most 320 * n_ctx samples, 30 s; what is shorter
                  is continued with silence
        lengths   how many samples of each window are valid; they are copied
        n_ctx     states of a window; 0: the model's, 1500
        out, out_type  where the result goes, or of which type it is: float32, float16 or uint16
                  (bfloat16)
        progress  called with (done, total) some twenty times a second, and at the end
        The result is [n_ctx][n_state], or [batch][n_ctx][n_state].

        Ctrl-C, and an exception in progress, end the encoding and are raised then.
        """
        handle, arguments, answer = self._prepare(_pcm(pcm), lengths, n_ctx, out, out_type)
        return self._encode(handle, arguments, answer, run, progress)

    def encode_mel(self, mel: Buffer, *, lengths: Optional[Lengths] = None, n_ctx: int = 0,
                   out: Optional[Array] = None, out_type: Optional[npt.DTypeLike] = None,
                   run: Optional[Run] = None, progress: Optional[Progress] = None) -> Array:
        """The same from the log-mel, as Context.mel makes it: [n_mels][frames] or
        [batch][n_mels][frames] of float32, at most 2 * n_ctx frames."""
        handle, arguments, answer = self._prepare(_mel(mel, self._info.n_mels), lengths, n_ctx, out,
                                                  out_type)
        return self._encode(handle, arguments, answer, run, progress)

    def submit(self, pcm: Buffer, *, lengths: Optional[Lengths] = None, n_ctx: int = 0,
               out: Optional[Array] = None, out_type: Optional[npt.DTypeLike] = None,
               run: Optional[Run] = None) -> Pending:
        """encode in the background: everything is checked now, and the work done by a thread of
        npuenc's, for one context in the order of submission."""
        return self._submit(_pcm(pcm), lengths, n_ctx, out, out_type, run)

    def submit_mel(self, mel: Buffer, *, lengths: Optional[Lengths] = None, n_ctx: int = 0,
                   out: Optional[Array] = None, out_type: Optional[npt.DTypeLike] = None,
                   run: Optional[Run] = None) -> Pending:
        """encode_mel in the background."""
        return self._submit(_mel(mel, self._info.n_mels), lengths, n_ctx, out, out_type, run)

    def _prepare(self, given: tuple[int, Array, int], lengths: Optional[Lengths], n_ctx: int,
                 out: Optional[Array], out_type: Optional[npt.DTypeLike]
                 ) -> tuple[Handle, tuple[Any, ...], Array]:
        handle = self._opened()
        kind, array, item_axes = given
        is_batch = array.ndim > item_axes
        batch = array.shape[0] if is_batch else 1
        if batch == 0:
            raise ValueError("a batch of no windows")  # the library takes 0 for 1
        if out_type is None:
            out_type = F32 if out is None else as_array(out, "out").dtype
        desc = _raw.npuenc_encode_desc()
        desc.input = kind
        desc.output_type = dtype_code(out_type, "out")
        desc.batch = batch
        desc.n_ctx = n_ctx
        desc.n_per_item = array.shape[-1]
        # Before there is an array for it: refuses an n_ctx that the model has not.
        status, size = _raw.npuenc_encode_size(handle.pointer, desc)
        check(status)
        shape = (n_ctx or self._info.n_ctx, self._info.n_state)
        answer = result(out, (batch, *shape) if is_batch else shape, out_type)
        contiguous(answer, "out")
        valid = None if lengths is None else counts(lengths, "lengths")
        return handle, (desc, array, valid, answer), answer

    def _encode(self, handle: Handle, arguments: tuple[Any, ...], answer: Array,
                run: Optional[Run], progress: Optional[Progress]) -> Array:
        watch = None if run is None else run._opened()
        if progress is None and threading.current_thread() is not threading.main_thread():
            perform(_raw.npuenc_encode, handle, arguments, watch)
        else:
            perform_watched(_raw.npuenc_encode, handle, arguments,
                            make_run(self._context) if watch is None else watch, progress)
        return answer

    def _submit(self, given: tuple[int, Array, int], lengths: Optional[Lengths], n_ctx: int,
                out: Optional[Array], out_type: Optional[npt.DTypeLike],
                run: Optional[Run]) -> Pending:
        handle, arguments, answer = self._prepare(given, lengths, n_ctx, out, out_type)
        if run is None:
            run = Run._of(self._context)
        watched = run._opened()
        check(_raw.npuenc_encode_submit(handle.pointer, *arguments, watched.pointer))
        return Pending(run, watched, arguments[1], answer)


def _options(precision: int, linear_device: int, attention_device: int, conv_device: int,
             elementwise_device: int) -> Any:
    options = _raw.npuenc_model_options()
    options.precision = precision
    options.linear_device = linear_device
    options.attention_device = attention_device
    options.conv_device = conv_device
    options.elementwise_device = elementwise_device
    return options


def _pcm(value: Buffer) -> tuple[int, Array, int]:
    pcm = samples(value, "pcm")
    if pcm.ndim not in (1, 2):
        raise ValueError(f"pcm has {pcm.ndim} dimensions, expected 1, or 2 for a batch")
    kind = _raw.NPUENC_INPUT_PCM_S16 if pcm.dtype == S16 else _raw.NPUENC_INPUT_PCM_F32
    return kind, pcm, 1


def _mel(value: Buffer, n_mels: int) -> tuple[int, Array, int]:
    mel = contiguous(of_type(as_array(value, "mel"), F32, "mel"), "mel")
    if mel.ndim not in (2, 3) or mel.shape[-2] != n_mels:
        raise ValueError(f"mel has the shape {mel.shape}, expected ({n_mels}, frames), or (batch, "
                         f"{n_mels}, frames)")
    return _raw.NPUENC_INPUT_MEL_F32, mel, 2
