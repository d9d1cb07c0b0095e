# SPDX-License-Identifier: MIT
"""Who runs against whom: engines, what they compute in, and how each is set to be fastest."""

import dataclasses
from typing import Callable

from . import native

PRECISIONS = ["int8", "bf16", "f32"]


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
    """A way to run an engine: environment variables of its process."""
    name: str
    environment: dict = dataclasses.field(default_factory=dict)


AS_INSTALLED = Variant("as installed")


@dataclasses.dataclass(frozen=True)
class Entrant:
    """An engine in one precision. `job` makes of a prepared model what its worker is told; of
    several variants the fastest in a short trial runs."""
    engine: str
    label: str
    precision: str
    job: Callable
    variants: tuple = (AS_INSTALLED,)


def npuenc(precision, library):
    return Entrant("npuenc", f"npuenc {precision}", precision,
                   lambda model: {"library": str(library), "model": str(model.directory),
                                  "precision": precision})


def openvino(label, form, hint, precision):
    return Entrant("openvino", label, precision,
                   lambda model: {"model": str(model.openvino(form)), "hint": hint})


# CTranslate2 takes AVX2 on AMD processors, and gives large buffers back to the system after each
# encode, to fault them in again.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296",
               "MALLOC_TOP_PAD_": "268435456"}
CTRANSLATE2_VARIANTS = (
    AS_INSTALLED,
    Variant("CT2_FORCE_CPU_ISA=AVX512", {"CT2_FORCE_CPU_ISA": "AVX512"}),
    Variant("CT2_FORCE_CPU_ISA=AVX512, malloc keeps memory",
            {"CT2_FORCE_CPU_ISA": "AVX512", **KEEP_MEMORY}))


def whisper_cpp(label, *options):
    return Entrant("whisper_cpp", label, "bf16",
                   lambda model: {"native": str(native.whisper_cpp(*options)),
                                  "model": str(model.ggml())})


def ctranslate2(precision):
    return Entrant("ctranslate2", f"CTranslate2 {precision}", precision,
                   lambda model: {"model": str(model.directory), "precision": precision},
                   CTRANSLATE2_VARIANTS)


PEERS = [
    openvino("OpenVINO int8 (NNCF) + bf16", "int8", "bf16", "int8"),
    Entrant("onnxruntime", "ONNX Runtime dynamic int8", "int8",
            lambda model: {"model": str(model.onnx("fused-int8"))}),
    ctranslate2("int8"),
    openvino("OpenVINO bf16", "f32", "bf16", "bf16"),
    whisper_cpp("whisper.cpp f16"),
    # Off by default here, while llama.cpp, by the same makers, has these kernels on.
    whisper_cpp("whisper.cpp f16, GGML_LLAMAFILE", "-DGGML_LLAMAFILE=ON"),
    openvino("OpenVINO f32", "f32", "f32", "f32"),
    Entrant("onnxruntime", "ONNX Runtime f32", "f32",
            lambda model: {"model": str(model.onnx("fused"))}),
    ctranslate2("f32"),
]
ENGINES = list(dict.fromkeys(peer.engine for peer in PEERS))
