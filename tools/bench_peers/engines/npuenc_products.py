# SPDX-License-Identifier: MIT
"""npuenc's operators on one case."""

import ctypes

import numpy as np

from .. import abi, cases

class Engine:
    def __init__(self, job):
        self.library = abi.Library(job["library"], job["threads"])
        self.version = self.library.version()
        self.case = case = cases.Case(**job["case"])
        self.operands = cases.operands(case)
        self.run = getattr(self, case.kind)()
        self.run()

    def linear(self):
        """The weight is packed now, as a model's are when it is loaded."""
        case, (x, weight) = self.case, self.operands
        kind = abi.TYPES["bf16" if case.type == "bf16" else "f32"]
        handle = ctypes.c_void_p()
        desc = abi.WeightDesc(type=kind, precision=abi.PRECISIONS[case.type], n_out=case.n,
                              n_in=case.k)
        self.library.call("npuenc_weight_create", self.library.context, ctypes.byref(desc),
                          *abi.buffer(weight), *abi.NOTHING, *abi.NOTHING, ctypes.byref(handle))
        self.out = np.zeros((case.m, case.n), np.float32)
        desc = abi.LinearDesc(x_type=kind, y_type=abi.TYPES["f32"], rows=case.m)
        arguments = (handle, ctypes.byref(desc), *abi.buffer(x), *abi.buffer(self.out), None)
        return lambda: self.library.call("npuenc_linear", *arguments)

    def matmul(self):
        case, (a, b) = self.case, self.operands
        kind, sums = abi.TYPES[case.type], "s32" if case.type == "s8" else "f32"
        self.out = np.zeros((case.batch, case.m, case.n), np.int32 if sums == "s32" else np.float32)
        desc = abi.MatmulDesc(a_type=kind, b_type=kind, c_type=abi.TYPES[sums], batch=case.batch,
                              m=case.m, n=case.n, k=case.k)
        arguments = (self.library.context, ctypes.byref(desc), *abi.buffer(a), *abi.buffer(b),
                     *abi.buffer(self.out), None)
        return lambda: self.library.call("npuenc_matmul", *arguments)

    def attention(self):
        case = self.case
        self.out = np.zeros_like(self.operands[0])
        desc = abi.AttentionDesc(type=abi.TYPES[case.type], n_head=case.batch, head_dim=case.k,
                                 q_len=case.m, kv_len=case.n)
        arguments = (self.library.context, ctypes.byref(desc),
                     *(part for array in self.operands for part in abi.buffer(array)),
                     *abi.NOTHING, *abi.buffer(self.out), None)
        return lambda: self.library.call("npuenc_attention", *arguments)

    def result(self):
        if self.out.dtype == np.uint16:
            return (self.out.astype(np.uint32) << 16).view(np.float32)
        return self.out
