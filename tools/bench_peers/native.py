# SPDX-License-Identifier: MIT
"""What is compiled here, for this processor, with the system's compiler."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

from . import cache, machine
from .failure import Failure, Missing

SOURCES = pathlib.Path(__file__).resolve().parent / "native"

# The ready wheel of this package stops at AVX2; its source package has whisper.cpp's sources.
WHISPER_CPP = ("pywhispercpp", "1.5.1",
               "5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5")


def say(text):
    print(f"bench-peers: {text}", file=sys.stderr, flush=True)


def compiler():
    """The C++ compiler as an argument list."""
    words = os.environ.get("CXX", "c++").split()
    if not words or shutil.which(words[0]) is None:
        raise Failure("no C++ compiler: install one with `apt-get install g++`, or set CXX")
    return words


def compiler_version():
    result = subprocess.run([*compiler(), "--version"], check=False, capture_output=True, text=True)
    return (result.stdout.splitlines() or ["?"])[0]


def run(command, log, what, **keywords):
    """A build step; its output is kept, its end shown when it fails."""
    with open(log, "a", encoding="utf-8") as out:
        result = subprocess.run(list(map(str, command)), check=False, stdin=subprocess.DEVNULL,
                                stdout=out, stderr=subprocess.STDOUT, **keywords)
    if result.returncode != 0:
        lines = log.read_text("utf-8", "replace").splitlines()
        wrong = [line for line in lines if "error" in line.lower()] or lines[-3:]
        raise Missing(f"{what} failed: " + " | ".join(line.strip() for line in wrong[:3]))


def made(name, *flags):
    """native/NAME.cpp as a program, or as a shared library with -shared; its path."""
    source = SOURCES / f"{name}.cpp"
    digest = cache.key(source.read_text("utf-8"), flags, compiler_version(),
                       machine.description()["cpu"])

    def make(directory):
        run([*compiler(), "-std=c++20", "-O2", "-pthread", source, "-o", directory / name, *flags],
            directory / "log", f"compiling {source.name}")
    return cache.kept(f"native-{name}", digest, make) / name


def probe():
    return made("probe", "-ffp-contract=fast")


def onednn():
    """The worker's part of oneDNN, linked to the library in the private environment."""
    environment = pathlib.Path(sys.prefix)
    if not (environment / "include" / "dnnl.hpp").is_file():
        raise Missing("onednn-devel-cpu-gomp has no package for this machine")
    library = environment / "lib"
    return made("onednn", "-shared", "-fPIC", "-I", environment / "include", "-L", library,
                "-ldnnl", f"-Wl,-rpath,{library}")


def whisper_cpp(*options):
    """whisper.cpp with our few lines around it as a shared library: for this processor instead of a
    common denominator, else at its defaults but for CMake's `options`."""
    name, version, sha256 = WHISPER_CPP
    source = SOURCES / "whisper_cpp.cpp"
    digest = cache.key(version, source.read_text("utf-8"), options, compiler_version(),
                       machine.description()["cpu"])

    def make(directory):
        log = directory / "log"
        requirement = directory / "requirement.txt"
        requirement.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="ascii")
        say(f"building whisper.cpp from {name} {version} {' '.join(options)}: some minutes, once")
        run([sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
             "--no-deps", "--no-binary", name, "--require-hashes", "--dest", directory,
             "--requirement", requirement], log, f"downloading {name} {version}")
        with tarfile.open(directory / f"{name}-{version}.tar.gz") as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(directory)
        tree, build = directory / f"{name}-{version}" / "whisper.cpp", directory / "build"
        bin_directory = pathlib.Path(sys.executable).parent
        run([bin_directory / "cmake", "-G", "Ninja", "-S", tree, "-B", build,
             f"-DCMAKE_MAKE_PROGRAM={bin_directory / 'ninja'}",
             f"-DCMAKE_CXX_COMPILER={shutil.which(compiler()[0])}",
             "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_POSITION_INDEPENDENT_CODE=ON",
             "-DBUILD_SHARED_LIBS=OFF", "-DGGML_NATIVE=ON", "-DWHISPER_BUILD_TESTS=OFF",
             "-DWHISPER_BUILD_EXAMPLES=OFF", "-DWHISPER_BUILD_SERVER=OFF", *options],
            log, "configuring whisper.cpp")
        run([bin_directory / "cmake", "--build", build, "-j", "1"], log, "building whisper.cpp")
        version_of = (tree / "CMakeLists.txt").read_text("utf-8").split(
            'project("whisper.cpp" VERSION ')[1].split(")")[0]
        ggml = build / "ggml" / "src"
        run([*compiler(), "-std=c++17", "-O3", "-march=native", "-fPIC", "-shared", "-fopenmp",
             f'-DWHISPER_VERSION="{version_of}"', "-I", tree / "src", "-I", tree / "include", "-I",
             tree / "ggml" / "include", source, "-o", directory / "whisper_cpp.so",
             ggml / "libggml.a", ggml / "libggml-cpu.a", ggml / "libggml-base.a", "-pthread",
             "-ldl"], log, "linking whisper.cpp")
        shutil.rmtree(build)
        shutil.rmtree(tree.parent)
        (directory / f"{name}-{version}.tar.gz").unlink()
    return cache.kept("whisper.cpp", digest, make) / "whisper_cpp.so"


def npuenc():
    """libnpuenc.so of this tree, a release build in build-bench/, brought up to date."""
    build = cache.ROOT / "build-bench"
    for tool in ("meson", "ninja"):
        if shutil.which(tool) is None:
            raise Failure(f"{tool} is missing: run `tools/dependencies demo`, or give --library")
    build.mkdir(exist_ok=True)
    log = build / "bench-peers.log"
    log.unlink(missing_ok=True)
    setup = ["meson", "setup", "--buildtype=release", "-Dtools=disabled", "-Dtests=disabled",
             build, cache.ROOT]
    if (build / "meson-private" / "coredata.dat").is_file():
        setup.append("--reconfigure")
    try:
        run(setup, log, "meson setup")
        run(["meson", "compile", "-C", build, "-j", "1"], log, "building npuenc")
    except Missing as error:
        raise Failure(f"{error}; see {log}") from error
    library = build / "src" / "abi" / "libnpuenc.so"
    if not library.is_file():
        raise Failure(f"the build left no {library}; see {log}")
    return library
