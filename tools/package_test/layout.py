# SPDX-License-Identifier: MIT
"""Where packages put their files, and what the programs and libraries among them are like."""

import re

from .report import Failure

# What a package may contain, by its name; TRIPLET is where libraries of the architecture are.
PLACES = {
    r"libnpuenc\d+": [r"usr/lib/TRIPLET/libnpuenc\.so\.[\d.]+"],
    "libnpuenc-dev": [r"usr/include/npuenc/npuenc(_dl)?\.h", r"usr/lib/TRIPLET/libnpuenc\.(a|so)",
                      r"usr/lib/TRIPLET/pkgconfig/npuenc\.pc"],
    "npuenc-xrt": [r"usr/lib/TRIPLET/npuenc/npuenc-xrt\.so",
                   r"usr/share/npuenc/npu1/\w+\.(xclbin|json)"],
    "npuenc-tools": [r"usr/bin/npuenc", r"usr/share/man/man1/npuenc\.1\.gz"],
    "python3-npuenc": [r"usr/lib/python3/dist-packages/npuenc(-[\d.]+\.egg-info)?/.*",
                       r"usr/lib/python3/dist-packages/npuenc-[\d.]+\.(egg|dist)-info.*"],
    "libnpuenc-cil": [r"usr/lib/cli/npuenc/(NpuEnc\.dll(\.config)?|libnpuenc_csharp\.so)",
                      r"usr/share/cli-common/packages\.d/libnpuenc-cil\.installcligac"],
    "golang-npuenc-dev": [r"usr/share/gocode/src/npuenc/.*\.(go|c|mod)"],
    "librust-npuenc-dev": [r"usr/share/cargo/registry/npuenc-[\d.]+/.*"],
    "librust-npuenc-sys-dev": [r"usr/share/cargo/registry/npuenc-sys-[\d.]+/.*"],
}
EVERYWHERE = [r"usr/share/doc/PACKAGE/.*", r"usr/share/lintian/overrides/PACKAGE"]


def misplaced(package, paths, triplet):
    """The files of a package that do not belong where they are."""
    for name, places in PLACES.items():
        if re.fullmatch(name, package):
            break
    else:
        return [f"{package} is a package that nobody knows"]
    patterns = [place.replace("TRIPLET", re.escape(triplet)).replace("PACKAGE", re.escape(package))
                for place in [*places, *EVERYWHERE]]
    return [f"{package} has {path}" for path in paths
            if not any(re.fullmatch(pattern, path) for pattern in patterns)]


def without_manual(paths):
    """Programs for users without a page in the manual."""
    return [f"{path} has no manual" for path in paths
            if (program := re.fullmatch(r"usr/bin/(.*)", path))
            and f"usr/share/man/man1/{program[1]}.1.gz" not in paths]


def soft(path, elf, is_shared):
    """What hardening a program or library lacks, by what readelf says of it. One that calls no function
    of libc has nothing that could be fortified."""
    wanted = {"BIND_NOW": r"\bBIND_NOW\b|\bNOW\b", "RELRO": "GNU_RELRO",
              "a stack that cannot be executed": r"GNU_STACK.* RW "}
    if "@GLIBC_" in elf:
        wanted |= {"stack protector": r"__stack_chk_fail", "fortified functions": r"__\w+_chk\b"}
    if not is_shared:
        wanted["PIE"] = r"\bPIE\b"
    return [f"{path} has no {what}" for what, pattern in wanted.items()
            if not re.search(pattern, elf)]


def test_installed(root, packages):
    """All of the above, of packages installed in a root."""
    triplet = root.output("sh", "-c", "ls -d /usr/lib/*-linux-gnu").strip().rsplit("/", 1)[1]
    wrong = []
    for package in packages:
        listed = root.output("dpkg", "-L", package).split("\n")
        paths = [path.lstrip("/") for path in listed
                 if path.startswith("/") and (root.path / path.lstrip("/")).is_symlink()
                 or path.startswith("/") and (root.path / path.lstrip("/")).is_file()]
        wrong += misplaced(package, paths, triplet) + without_manual(paths)
        for path in paths:
            owners = root.output("dpkg", "-S", f"/{path}").split(": ")[0]
            if "," in owners:
                wrong.append(f"/{path} belongs to {owners}")
            if not re.search(r"/bin/|\.so", path) or (root.path / path).is_symlink():
                continue
            if "not found" in root.output("ldd", f"/{path}"):
                wrong.append(f"/{path} needs a library that is not there")
            elf = root.output("readelf", "--wide", "--dynamic", "--segments", "--dyn-syms",
                              f"/{path}")
            wrong += soft(path, elf, ".so" in path)
        if verified := root.output("dpkg", "--verify", package).strip():
            wrong.append(f"{package}: {verified}")
    if wrong:
        raise Failure("; ".join(wrong))
