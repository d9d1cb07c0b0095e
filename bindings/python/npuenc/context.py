# SPDX-License-Identifier: MIT
"""An open device and its operators."""

from __future__ import annotations

from typing import Iterable, Optional, Union

import numpy.typing as npt

from . import _raw
from .arrays import (BF16, F32, S8, S16, S32, Array, Buffer, as_array, counts, dtype_code, floats,
                     matrices, positions, result, samples)
from .calls import perform
from .errors import check
from .handle import Handle, Owner
from .info import ContextInfo, Stats, ask
from .library import mel_size
from .log import Handler, level_of_logger, to_logger
from .run import Run
from .values import DeviceType

_MATMUL_RESULTS = {F32: F32, BF16: F32, S8: S32}


class Context(Owner):
    """An open device with its threads. Any number of threads may use it at once.

    device_type   DeviceType.AUTO: the first NPU that is usable, else the CPU; CPU; NPU
    device_index  which of that type
    n_threads     host threads, the caller's included; 0: one for each physical core
    log_level     messages up to this LogLevel; None: what the logger "npuenc" lets through now
    log           called with (level, message) instead of that logger, on the thread that is inside
                  a call; it must not call npuenc. An exception in it goes to sys.unraisablehook
    """

    def __init__(self, *, device_type: int = DeviceType.AUTO, device_index: int = 0,
                 n_threads: int = 0, log_level: Optional[int] = None,
                 log: Optional[Handler] = None) -> None:
        options = _raw.npuenc_open_options()
        options.device_type = device_type
        options.device_index = device_index
        options.n_threads = n_threads
        options.log_level = level_of_logger() if log_level is None else log_level
        handler = to_logger if log is None else log
        options.log_fn = _raw.npuenc_log_to_python
        options.log_user = handler
        status, pointer = _raw.npuenc_open(options)
        check(status)
        self._handle = Handle(pointer, _raw.npuenc_close, handler)

    def info(self) -> ContextInfo:
        return ask(ContextInfo, _raw.npuenc_ctx_get_info, self._opened())

    def reason(self) -> str:
        """Why the context runs on the device that it runs on; empty when there is nothing to
        say."""
        handle = self._opened()
        text = bytearray(1024)
        length: int = _raw.npuenc_ctx_reason(handle.pointer, text)
        if length >= len(text):
            text = bytearray(length + 1)
            _raw.npuenc_ctx_reason(handle.pointer, text)
        return text[:length].decode("utf-8", "replace")

    def stats(self) -> Stats:
        """Sums over all calls that have ended."""
        return ask(Stats, _raw.npuenc_ctx_stats, self._opened())

    def matmul(self, a: Buffer, b: Buffer, *, out: Optional[Array] = None,
               out_type: Optional[npt.DTypeLike] = None, scale: float = 0.0, zero_point: int = 0,
               run: Optional[Run] = None) -> Array:
        """a @ b, for [m][k] and [k][n] or a batch of them; one b may serve a whole batch.

        a, b -> result         float32 -> float32; uint16 (bfloat16) -> float32 or uint16;
                               int8 -> int32, exact modulo 2^32, or int8,
                               clamp(rint(sum * scale) + zero_point, -128, 127)
        out, out_type          where the result goes, or of which type it is
        Rows and items may lie apart, and b may be transposed (`w.T`).
        """
        handle = self._opened()
        a = as_array(a, "a")
        b = as_array(b, "b")
        if a.ndim not in (2, 3) or b.ndim not in (2, 3) or b.ndim > a.ndim:
            raise ValueError(f"a and b have {a.ndim} and {b.ndim} dimensions, expected 2, or 3 for "
                             "a batch")
        m, k = a.shape[-2:]
        n = b.shape[-1]
        if b.shape[-2] != k or (b.ndim == 3 and b.shape[0] != a.shape[0]):
            raise ValueError(f"a and b have the shapes {a.shape} and {b.shape}, which do not "
                             "multiply")
        if out_type is None:
            out_type = (_MATMUL_RESULTS.get(a.dtype, a.dtype) if out is None
                        else as_array(out, "out").dtype)
        c = result(out, a.shape[:-1] + (n,), out_type)
        if a.ndim == 3 and a.shape[0] == 0:
            return c  # the library takes a batch of 0 for one of 1

        desc = _raw.npuenc_matmul_desc()
        desc.a_type = dtype_code(a.dtype, "a")
        desc.b_type = dtype_code(b.dtype, "b")
        desc.c_type = dtype_code(out_type, "out")
        desc.m = m
        desc.n = n
        desc.k = k
        desc.scale = scale
        desc.zero_point = zero_point
        desc.lda, desc.stride_a = matrices(a, "a")
        desc.ldc, desc.stride_c = matrices(c, "out")
        flags = 0
        if a.ndim == 3:
            desc.batch = a.shape[0]
            if b.ndim == 2:
                flags = _raw.NPUENC_MATMUL_B_SHARED
        if not b.flags.c_contiguous and n > 1 and b.strides[-1] != b.itemsize:
            flags |= _raw.NPUENC_MATMUL_B_TRANSPOSED
            b = b.swapaxes(-1, -2)
        desc.ldb, desc.stride_b = matrices(b, "b")
        desc.flags = flags
        perform(_raw.npuenc_matmul, handle, (desc, a, b, c),
                run._opened() if run is not None else None)
        return c

    def attention(self, q: Buffer, k: Buffer, v: Buffer, *,
                  lengths: Optional[Union[Array, Iterable[int]]] = None, causal: bool = False,
                  mask: Optional[Buffer] = None, scale: float = 0.0, q_scale: float = 0.0,
                  k_scale: float = 0.0, v_scale: float = 0.0, out_scale: float = 0.0,
                  out: Optional[Array] = None, run: Optional[Run] = None) -> Array:
        """softmax(q k^T * scale + mask) v for every item and head: q is
        [batch][q_len][n_head][head_dim], k and v [batch][kv_len][n_head][head_dim], all three
        float32, uint16 (bfloat16) or int8, and so is the result, of q's shape.

        lengths  item i sees its first lengths[i] keys only: uint32, or other whole numbers, which
                 are copied
        causal   query i sees key j when j <= i + kv_len - q_len
        mask     float32 that is added to the scores: [1 or batch][1 or n_head][q_len][kv_len]
        scale    of the scores; 0: 1 / sqrt(head_dim)
        q_scale, k_scale, v_scale, out_scale  for int8: the real value of 1; 0: 1
        Positions may lie apart.
        """
        handle = self._opened()
        q, k, v = as_array(q, "q"), as_array(k, "k"), as_array(v, "v")
        if q.ndim != 4 or k.ndim != 4:
            raise ValueError(f"q and k have {q.ndim} and {k.ndim} dimensions, expected 4")
        batch, q_len, n_head, head_dim = q.shape
        kv_len = k.shape[1]
        if k.shape != (batch, kv_len, n_head, head_dim) or v.shape != k.shape:
            raise ValueError(f"q, k and v have the shapes {q.shape}, {k.shape} and {v.shape}, which "
                             "do not belong together")
        if k.dtype != q.dtype or v.dtype != q.dtype:
            raise TypeError(f"q, k and v are of {q.dtype}, {k.dtype} and {v.dtype}, expected one "
                            "type")
        if (lengths is not None) + causal + (mask is not None) > 1:
            raise ValueError("more than one of lengths, causal and mask is given")
        answer = result(out, q.shape, q.dtype)
        desc = _raw.npuenc_attention_desc()
        desc.type = dtype_code(q.dtype, "q")
        hidden: Optional[Array] = None
        if lengths is not None:
            desc.mask = _raw.NPUENC_MASK_KEY_LENGTHS
            hidden = counts(lengths, "lengths")
            if hidden.shape != (batch,):
                raise ValueError(f"lengths has the shape {hidden.shape}, expected ({batch},)")
        elif causal:
            desc.mask = _raw.NPUENC_MASK_CAUSAL
        elif mask is not None:
            desc.mask = _raw.NPUENC_MASK_ADD_F32
            hidden = floats(mask, "mask")
            desc.flags = _mask_flags(hidden.shape, q.shape, kv_len)
        if batch == 0:
            return answer  # the library takes a batch of 0 for one of 1

        desc.batch = batch
        desc.n_head = n_head
        desc.head_dim = head_dim
        desc.q_len = q_len
        desc.kv_len = kv_len
        desc.scale = scale
        desc.q_scale = q_scale
        desc.k_scale = k_scale
        desc.v_scale = v_scale
        desc.out_scale = out_scale
        desc.ldq = positions(q, "q")
        desc.ldk = positions(k, "k")
        desc.ldv = positions(v, "v")
        desc.ldo = positions(answer, "out")
        perform(_raw.npuenc_attention, handle, (desc, q, k, v, hidden, answer),
                run._opened() if run is not None else None)
        return answer

    def mel(self, pcm: Buffer, *, n_mels: int = 80, n_frames: int = 3000,
            out: Optional[Array] = None, run: Optional[Run] = None) -> Array:
        """The log-mel [n_mels][n_frames] of one window, float32: of at most 160 * n_frames samples
        of float32 or int16 (or bytes of it), mono, 16 kHz; fewer are continued with silence."""
        handle = self._opened()
        sound = samples(pcm, "pcm")
        if sound.ndim != 1:
            raise ValueError(f"pcm has {sound.ndim} dimensions, expected 1")
        mel_size(n_mels, n_frames)  # refuses what has no result before there is an array for it
        answer = result(out, (n_mels, n_frames), F32)
        if not answer.flags.c_contiguous:
            raise ValueError("out is not contiguous")
        desc = _raw.npuenc_mel_desc()
        desc.input = _raw.NPUENC_INPUT_PCM_S16 if sound.dtype == S16 else _raw.NPUENC_INPUT_PCM_F32
        desc.n_mels = n_mels
        desc.n_frames = n_frames
        perform(_raw.npuenc_mel, handle, (desc, sound, answer),
                run._opened() if run is not None else None)
        return answer


def _mask_flags(shape: tuple[int, ...], q_shape: tuple[int, ...], kv_len: int) -> int:
    batch, q_len, n_head, _ = q_shape
    if len(shape) != 4 or shape[0] not in (1, batch) or shape[1] not in (1, n_head) \
            or shape[2:] != (q_len, kv_len):
        raise ValueError(f"mask has the shape {shape}, expected (1 or {batch}, 1 or {n_head}, "
                         f"{q_len}, {kv_len})")
    flags: int = (_raw.NPUENC_ATTENTION_MASK_PER_ITEM if shape[0] > 1 else 0) | \
        (_raw.NPUENC_ATTENTION_MASK_PER_HEAD if shape[1] > 1 else 0)
    return flags
