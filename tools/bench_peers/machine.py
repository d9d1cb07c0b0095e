# SPDX-License-Identifier: MIT
"""The machine, and the processors that a run uses."""

import os
import pathlib
import platform

# What the engines choose their kernels by.
ISA_FLAGS = ["sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl",
             "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16", "asimd", "asimddp",
             "i8mm", "bf16", "sve"]

# They change what engines do, and are set on some machines.
ENGINE_VARIABLES = ("OMP_", "GOMP_", "KMP_", "OPENBLAS_", "GOTO_", "MKL_", "BLIS_", "NVPL_", "CT2_",
                    "DNNL_", "ONEDNN_", "OV_", "ORT_", "GGML_", "WHISPER_", "MALLOC_", "TBB_",
                    "GLIBC_TUNABLES", "LD_PRELOAD", "NPUENC_ISA")


def clean_environment(extra=None):
    """The environment of a worker: nobody's settings but those that the engine itself has."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(ENGINE_VARIABLES)}
    return kept | (extra or {})


def cpuinfo():
    """The first processor's lines in /proc/cpuinfo."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def physical_cores():
    """A processor of each core that this process may run on."""
    cores = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            core = siblings.read_text("ascii").strip()
        except OSError:
            core = str(cpu)
        cores.setdefault(core, cpu)
    return sorted(cores.values())


def processors(threads):
    """Those that `threads` threads run on: the last ones, as the first serves interrupts."""
    return physical_cores()[-threads:]


def description():
    """What a reader of the figures has to know of the machine."""
    info = cpuinfo()
    flags = (info.get("flags") or info.get("Features") or "").split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "family_model_stepping": "/".join(info.get(name, "?") for name in
                                          ("cpu family", "model", "stepping")),
        "cores": len(physical_cores()), "isa": [flag for flag in ISA_FLAGS if flag in flags],
        "memory_bytes": memory, "system": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()), "hypervisor": "hypervisor" in flags}
