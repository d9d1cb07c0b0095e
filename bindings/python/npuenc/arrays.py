# SPDX-License-Identifier: MIT
"""NumPy arrays as the library's buffers: their types, and how their rows lie."""

import array as standard_array
from typing import Any, Iterable, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _raw

Array = npt.NDArray[Any]
Buffer = Any
"""An array, or any other object with the buffer protocol: bytes, memoryview, array.array."""

F32 = np.dtype(np.float32)
F16 = np.dtype(np.float16)
BF16 = np.dtype(np.uint16)
S8 = np.dtype(np.int8)
S16 = np.dtype(np.int16)
S32 = np.dtype(np.int32)
U32 = np.dtype(np.uint32)

_CODES: dict["np.dtype[Any]", int] = {
    F32: _raw.NPUENC_F32,
    BF16: _raw.NPUENC_BF16,
    S8: _raw.NPUENC_S8,
    S32: _raw.NPUENC_S32,
    F16: _raw.NPUENC_F16,
}


def as_array(value: Buffer, name: str) -> Array:
    """The same memory as an array."""
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(memoryview(value))
    except TypeError:
        raise TypeError(f"{name} is not an array or another object with the buffer protocol, but "
                        f"{type(value).__name__}") from None


def dtype_code(dtype: npt.DTypeLike, name: str) -> int:
    """As an npuenc_dtype; the library says which of them a call takes."""
    dtype = np.dtype(dtype) if not isinstance(dtype, np.dtype) else dtype
    code = _CODES.get(dtype)
    if code is None:
        raise TypeError(f"{name} is of {dtype}, which npuenc has not: it takes float32, float16, "
                        "uint16 (for bfloat16), int8 and int32")
    return code


def samples(value: Buffer, name: str) -> Array:
    """Audio: float32 or int16; plain bytes are int16."""
    pcm = as_array(value, name)
    if pcm.dtype.itemsize == 1 and not isinstance(value, np.ndarray):
        if pcm.size % 2 or not pcm.flags.c_contiguous:
            raise ValueError(f"{name} is not whole samples of two bytes")
        pcm = pcm.view(S16)
    if pcm.dtype != F32 and pcm.dtype != S16:
        raise TypeError(f"{name} is of {pcm.dtype}, expected float32 or int16")
    return contiguous(pcm, name)


def floats(value: Buffer, name: str) -> Array:
    return contiguous(of_type(as_array(value, name), F32, name), name)


def counts(values: Union[Buffer, Iterable[int]], name: str) -> Array:
    """uint32: an array of it as it is, other whole numbers copied into one."""
    if isinstance(values, np.ndarray) and values.dtype == U32:
        return contiguous(values, name)
    try:
        return np.frombuffer(standard_array.array("I", values), U32)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is not whole numbers") from None


def of_type(array: Array, dtype: "np.dtype[Any]", name: str) -> Array:
    if array.dtype != dtype:
        raise TypeError(f"{name} is of {array.dtype}, expected {dtype}")
    return array


def contiguous(array: Array, name: str) -> Array:
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} is not contiguous: numpy.ascontiguousarray makes a copy that is")
    return array


def result(out: Optional[Array], shape: tuple[int, ...], dtype: npt.DTypeLike,
           name: str = "out") -> Array:
    """A new array, or the caller's, which has to fit."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} is not an array, but {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{name} has the shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name} is of {out.dtype}, expected {np.dtype(dtype)}")
    return out


def matrices(array: Array, name: str) -> tuple[int, int]:
    """Of [rows][columns] or [items][rows][columns]: the elements from row to row and from item to
    item, 0 where they follow one another."""
    if array.flags.c_contiguous or array.size == 0:
        return 0, 0
    rows, columns = array.shape[-2:]
    if columns > 1 and array.strides[-1] != array.itemsize:
        raise ValueError(f"{name}: the elements of a row do not lie side by side: "
                         "numpy.ascontiguousarray makes a copy where they do")
    ld = _elements(array, -2, name) if rows > 1 else 0
    stride = _elements(array, 0, name) if array.ndim == 3 and array.shape[0] > 1 else 0
    return ld, stride


def positions(array: Array, name: str) -> int:
    """Of [items][positions][heads][dimensions]: the elements from position to position."""
    if array.flags.c_contiguous or array.size == 0:
        return 0
    n_items, n_positions, n_heads, n_dimensions = array.shape
    if ((n_dimensions > 1 and array.strides[3] != array.itemsize)
            or (n_heads > 1 and array.strides[2] != array.itemsize * n_dimensions)):
        raise ValueError(f"{name}: the heads of a position do not lie side by side: "
                         "numpy.ascontiguousarray makes a copy where they do")
    if n_positions > 1:
        ld = _elements(array, 1, name)
    else:
        ld = _elements(array, 0, name) if n_items > 1 else 0
    if n_items > 1 and array.strides[0] != array.strides[1] * n_positions and n_positions > 1:
        raise ValueError(f"{name}: the items do not follow one another: "
                         "numpy.ascontiguousarray makes a copy where they do")
    return ld


def _elements(array: Array, axis: int, name: str) -> int:
    stride = array.strides[axis]
    if stride <= 0 or stride % array.itemsize:
        raise ValueError(f"{name}: its rows are repeated, run backwards or are not aligned: "
                         "numpy.ascontiguousarray makes a copy that npuenc takes")
    return stride // array.itemsize
