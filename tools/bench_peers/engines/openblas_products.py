# SPDX-License-Identifier: MIT
"""OpenBLAS's sgemm on one case, from the wheel that scipy and numpy are built with."""

import ctypes
import pathlib

import numpy as np
import scipy_openblas32

from .. import cases

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112


class Engine:
    def __init__(self, job):
        directory = pathlib.Path(scipy_openblas32.get_lib_dir())
        library = ctypes.CDLL(str(directory / "libscipy_openblas.so"))
        library.scipy_openblas_get_config.restype = ctypes.c_char_p
        library.scipy_openblas_get_corename.restype = ctypes.c_char_p
        library.scipy_openblas_set_num_threads(job["threads"])
        self.version = (f"{library.scipy_openblas_get_config().decode().split()[1]} "
                        f"({library.scipy_openblas_get_corename().decode()})")
        case = cases.Case(**job["case"])
        self.operands = cases.operands(case)
        self.out = np.zeros((case.batch, case.m, case.n), np.float32)
        linear = case.kind == "linear"
        self.gemm = library.scipy_cblas_sgemm
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        self.calls = [(ROW_MAJOR, PLAIN, TRANSPOSED if linear else PLAIN, case.m, case.n, case.k,
                       one, ctypes.c_void_p(a.ctypes.data), case.k,
                       ctypes.c_void_p(b.ctypes.data), case.k if linear else case.n, zero,
                       ctypes.c_void_p(out.ctypes.data), case.n)
                      for a, b, out in zip(*self.operands, self.out)]

    def run(self):
        for call in self.calls:
            self.gemm(*call)

    def result(self):
        return self.out
