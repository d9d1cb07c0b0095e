# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the extension is SWIG's committed output and libnpuenc, which
pkg-config knows."""

import shlex
import subprocess
import sys

from setuptools import Extension, setup


def pkg_config(*options: str) -> list[str]:
    try:
        result = subprocess.run(["pkg-config", *options, "npuenc"], check=False,
                                capture_output=True, text=True)
    except OSError as problem:
        sys.exit(f"npuenc: cannot run pkg-config: {problem.strerror}")
    if result.returncode != 0:
        sys.exit("npuenc: pkg-config does not find libnpuenc, which has to be installed first "
                 f"(or PKG_CONFIG_PATH says where it is): {result.stderr.strip()}")
    return shlex.split(result.stdout)


setup(ext_modules=[Extension(
    "npuenc._native",
    sources=["npuenc_wrap.c"],
    extra_compile_args=pkg_config("--cflags"),
    extra_link_args=pkg_config("--libs"),
)])
