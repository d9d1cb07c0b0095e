# SPDX-License-Identifier: MIT
"""oneDNN on one case; see native/onednn.cpp."""

import ctypes

import numpy as np

from .. import cases
from ..failure import Failure

TYPES = {"f32": 0, "bf16": 1, "s8": 2}


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


class Engine:
    def __init__(self, job):
        self.library = library = ctypes.CDLL(job["native"])
        library.peer_version.restype = library.peer_error.restype = ctypes.c_char_p
        self.version = library.peer_version().decode()
        case = cases.Case(**job["case"])
        self.operands = operands = cases.operands(case)
        self.scale = 1
        shape = case.m, case.k, case.n
        if case.type == "int8":
            # What oneDNN does not do is done here and in result(), outside what is timed.
            x, weight = operands
            of_rows, of_columns = (np.abs(part).max(axis=-1).ravel() / 127 for part in operands)
            weight = np.rint(weight[0] / of_columns[:, None]).astype(np.int8)
            self.operands, self.scale = (x, of_rows, weight, of_columns), of_rows[:, None]
            self.out = np.zeros((case.m, case.n), np.float32)
            made = library.peer_quantised_linear(*shape, *map(pointer, (*self.operands, self.out)))
        elif case.kind == "attention":
            self.out = np.zeros_like(operands[0])
            made = library.peer_attention(TYPES[case.type], case.batch, case.m, case.n, case.k,
                                          *map(pointer, (*operands, self.out)))
        else:
            self.out = np.zeros((case.batch, case.m, case.n),
                                np.int32 if case.type == "s8" else np.float32)
            made = library.peer_product(TYPES[case.type], int(case.kind == "linear"), case.batch,
                                        *shape, *map(pointer, (*operands, self.out)))
        if not made:
            raise Failure(f"oneDNN: {library.peer_error().decode()}")
        self.run()

    def run(self):
        if not self.library.peer_run():
            raise Failure(f"oneDNN: {self.library.peer_error().decode()}")

    def result(self):
        if self.out.dtype == np.uint16:
            return (self.out.astype(np.uint32) << 16).view(np.float32)
        return self.out * self.scale
