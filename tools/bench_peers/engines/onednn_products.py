# SPDX-License-Identifier: MIT
"""oneDNN on one case; see native/onednn.cpp."""

import ctypes

import numpy as np

from .. import cases
from ..failure import Failure

TYPES = {"f32": 0, "bf16": 1, "s8": 2}


class Engine:
    def __init__(self, job):
        self.library = library = ctypes.CDLL(job["native"])
        library.peer_version.restype = library.peer_error.restype = ctypes.c_char_p
        self.version = library.peer_version().decode()
        case = cases.Case(**job["case"])
        operands = cases.operands(case)
        kind = "s8" if case.type == "int8" else case.type
        if case.type == "int8":
            # Its product alone: rows and channels are quantised here, outside what is timed.
            scales = [np.abs(part).max(axis=-1, keepdims=True) / 127 for part in operands]
            operands = [np.rint(part / scale).astype(np.int8)
                        for part, scale in zip(operands, scales)]
            self.scale = scales[0][0] * scales[1][0].T
        else:
            self.scale = 1
        self.operands = operands
        pointers = [ctypes.c_void_p(part.ctypes.data) for part in operands]
        if case.kind == "attention":
            self.out = np.zeros_like(operands[0])
            made = library.peer_attention(TYPES[kind], case.batch, case.m, case.n, case.k,
                                          *pointers, ctypes.c_void_p(self.out.ctypes.data))
        else:
            self.out = np.zeros((case.batch, case.m, case.n),
                                np.int32 if kind == "s8" else np.float32)
            made = library.peer_product(TYPES[kind], int(case.kind == "linear"), case.batch, case.m,
                                        case.k, case.n, *pointers,
                                        ctypes.c_void_p(self.out.ctypes.data))
        if not made:
            raise Failure(f"oneDNN: {library.peer_error().decode()}")
        self.run()

    def run(self):
        if not self.library.peer_run():
            raise Failure(f"oneDNN: {self.library.peer_error().decode()}")

    def result(self):
        if self.out.dtype == np.uint16:
            return (self.out.astype(np.uint32) << 16).view(np.float32)
        return (self.out * self.scale).reshape(self.out.shape)
