# SPDX-License-Identifier: MIT
"""A packed matrix and its products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import numpy.typing as npt

from . import _raw
from .arrays import Array, Buffer, as_array, dtype_code, floats, matrices, result
from .calls import perform
from .errors import check
from .handle import Handle, Owner
from .run import Run
from .values import Precision

if TYPE_CHECKING:
    from .context import Context


class Weight(Owner):
    """W[n_out][n_in], packed for a context's device: data, scales and bias are copied.

    data    float32, float16, uint16 (bfloat16), or int8 with scales; its rows may lie apart
    scales  float32[n_out], for int8: W[i][j] = data[i][j] * scales[i]
    bias    float32[n_out]
    """

    n_out: int
    n_in: int

    def __init__(self, context: Context, data: Buffer, *, scales: Optional[Buffer] = None,
                 bias: Optional[Buffer] = None, precision: int = Precision.AUTO) -> None:
        self._context = context._opened()
        matrix = as_array(data, "data")
        if matrix.ndim != 2:
            raise ValueError(f"data has {matrix.ndim} dimensions, expected 2")
        desc = _raw.npuenc_weight_desc()
        desc.type = dtype_code(matrix.dtype, "data")
        desc.precision = precision
        self.n_out, self.n_in = desc.n_out, desc.n_in = matrix.shape
        desc.ld, _ = matrices(matrix, "data")
        status, pointer = _raw.npuenc_weight_create(self._context.pointer, desc, matrix,
                                                    self._channels(scales, "scales"),
                                                    self._channels(bias, "bias"))
        check(status)
        self._handle = Handle(pointer, _raw.npuenc_weight_free, self._context)

    def _channels(self, value: Optional[Buffer], name: str) -> Optional[Array]:
        if value is None:
            return None
        array = floats(value, name)
        if array.shape != (self.n_out,):
            raise ValueError(f"{name} has the shape {array.shape}, expected ({self.n_out},)")
        return array

    def linear(self, x: Buffer, *, out: Optional[Array] = None,
               out_type: Optional[npt.DTypeLike] = None, run: Optional[Run] = None) -> Array:
        """x W^T + bias: x is [rows][n_in] of float32, float16 or uint16 (bfloat16), and the result
        [rows][n_out] of x's type, of out's or of out_type."""
        handle = self._opened()
        matrix = as_array(x, "x")
        if matrix.ndim != 2 or matrix.shape[1] != self.n_in:
            raise ValueError(f"x has the shape {matrix.shape}, expected (rows, {self.n_in})")
        rows = matrix.shape[0]
        if out_type is None:
            out_type = matrix.dtype if out is None else as_array(out, "out").dtype
        y = result(out, (rows, self.n_out), out_type)
        desc = _raw.npuenc_linear_desc()
        desc.x_type = dtype_code(matrix.dtype, "x")
        desc.y_type = dtype_code(out_type, "out")
        desc.rows = rows
        desc.ldx, _ = matrices(matrix, "x")
        desc.ldy, _ = matrices(y, "out")
        perform(_raw.npuenc_linear, handle, (desc, matrix, y),
                run._opened() if run is not None else None)
        return y
