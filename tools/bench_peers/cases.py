# SPDX-License-Identifier: MIT
"""Whisper's products, as data that every library gets alike."""

import dataclasses

N_HEAD, HEAD_DIM, N_CTX = 8, 64, 1500


@dataclasses.dataclass(frozen=True)
class Case:
    """A product c[m][n] = a[m][k] b[k][n] for each item of a batch, or the attention of base.

    kind: `linear`, b being a weight that is packed before; `matmul`, b as it lies; `attention`,
    m queries, n keys, k channels of `batch` heads. type: f32; bf16, sums in f32; s8, sums in s32;
    int8, which takes f32 and gives f32 and quantises rows on the way.
    """
    kind: str
    type: str
    m: int
    k: int
    n: int
    batch: int = 1

    @property
    def title(self):
        if self.kind == "attention":
            return f"attention {self.type} {self.batch}×{self.m}×{self.k}"
        size = f"{self.m}×{self.k}→{self.n}" if self.kind == "linear" else (
            f"{self.m}×{self.k}×{self.n}")
        return f"{self.kind} {self.type} " + (f"{self.batch}×" if self.batch > 1 else "") + size

    @property
    def multiply_adds(self):
        return self.batch * self.m * self.k * self.n * (2 if self.kind == "attention" else 1)


LINEAR = [(N_CTX, 512, 512), (N_CTX, 512, 2048), (N_CTX, 2048, 512)]
CASES = [
    *(Case("linear", kind, *shape) for kind in ("f32", "bf16", "int8") for shape in LINEAR),
    *(Case("matmul", kind, *shape) for kind in ("f32", "bf16", "s8")
      for shape in ((N_CTX, HEAD_DIM, N_CTX, N_HEAD), (512, 512, 512))),
    *(Case("attention", kind, N_CTX, HEAD_DIM, N_CTX, N_HEAD) for kind in ("f32", "bf16")),
]


def rounded_to_bf16(values):
    """As uint16, to nearest even; the values are finite."""
    import numpy as np  # pylint: disable=import-outside-toplevel
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def operands(case):
    """The same numbers in every process. Products: a [batch][m][k] and b [batch][n][k] for linear,
    [batch][k][n] for matmul. Attention: q, k and v, each [frames][heads][channels]."""
    import numpy as np  # pylint: disable=import-outside-toplevel
    random = np.random.Generator(np.random.PCG64(1))
    if case.kind == "attention":
        shapes = [(case.m, case.batch, case.k), *[(case.n, case.batch, case.k)] * 2]
    else:
        shapes = [(case.batch, case.m, case.k), (case.batch, case.n, case.k)
                  if case.kind == "linear" else (case.batch, case.k, case.n)]
    if case.type == "s8":
        return [random.integers(-127, 128, shape, np.int8) for shape in shapes]
    values = [random.standard_normal(shape, np.float32) for shape in shapes]
    return [rounded_to_bf16(part) for part in values] if case.type == "bf16" else values
