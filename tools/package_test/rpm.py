# SPDX-License-Identifier: MIT
"""RPMs of the same release, with Debian's rpmbuild."""

import re
import shlex
import shutil

from .debs import CACHED, FIRST, compiler_cache
from .report import Failure
from .roots import BUILDER, run

# Packages by their names in Fedora and in Debian.
NAMES = {"npuenc": r"libnpuenc\d+", "npuenc-devel": "libnpuenc-dev", "npuenc-xrt": "npuenc-xrt",
         "npuenc-tools": "npuenc-tools", "python3-npuenc": "python3-npuenc",
         "npuenc-mono": "libnpuenc-cil", "golang-npuenc-devel": "golang-npuenc-dev",
         "rust-npuenc-devel": "librust-npuenc-dev",
         "rust-npuenc-sys-devel": "librust-npuenc-sys-dev"}

# Mono's global cache is filled by RPM's packages themselves, and where Debian's are installed.
IGNORED = (r"/usr/share/(doc|licenses|lintian|cli-common)/|/usr/lib/(\.build-id|mono/gac)\b"
           r"|.*/__pycache__\b")


def test(report, root, suite, source, tarball, debs, logs):
    built = False
    with report.check("rpm: rpmbuild without a network"), compiler_cache(root, f"{suite}-first"):
        for name in ("SOURCES", "SPECS"):
            (root.path / "rpm" / name).mkdir(parents=True)
        shutil.copy(tarball, root.path / "rpm/SOURCES")
        shutil.copy(source / "tools/packaging/npuenc.spec", root.path / "rpm/SPECS")
        run(["chown", "--recursive", f"{BUILDER}:{BUILDER}", root.path / "rpm"], root.log)
        # Fedora's packages are not there to be named, nor are its debugging tools and its flags: they
        # are Debian's. The tests ran when Debian's packages were built.
        flags = root.output("dpkg-buildflags", "--export=cmdline",
                            directory=f"{FIRST[0]}/{source.name}",
                            environment=("DEB_BUILD_MAINT_OPTIONS=hardening=+all",))
        root.run("rpmbuild", "-ba", "--nodeps", "--without", "check", "--define", "_topdir /rpm",
                 "--define", "debug_package %{nil}",
                 "--define", "mono_keys /usr/share/cli-common/keys/mono.snk",
                 "/rpm/SPECS/npuenc.spec", user=BUILDER, log=logs / "rpm.log",
                 environment=(*CACHED, "CCACHE_NOHASHDIR=1", *shlex.split(flags)))
        built = True
    if not built:
        return
    with report.check("rpm: the files are those of Debian's packages"):
        rpms = files_of_rpms(root)
        compare(rpms, files_of_debs(root, debs))
        report.done("rpm", f"{len(rpms)} packages, with the files of Debian's")


def common(paths):
    """Paths without what differs between distributions by rule: where libraries and documents are,
    how the manual is compressed, what Python compiles."""
    for path in paths:
        path = re.sub(r"^\.?/?usr/lib(64|/[\w]+-linux-gnu)/", "/usr/lib/", path)
        path = re.sub(r"^\.?/?(?=usr/)", "/", path)
        path = re.sub(r"(?<=\.1)(\.gz)?$", "", path)
        path = re.sub(r"^/usr/lib/python3[\d.]*/(dist|site)-packages/", "/PYTHON/", path)
        path = re.sub(r"-py3\.\d+(?=\.egg-info)", "", path)
        if not re.match(IGNORED, path):
            yield path


def files_of_rpms(root):
    files = {}
    for rpm in sorted((root.path / "rpm/RPMS").rglob("*.rpm")):
        name = rpm.name.rsplit("-", 2)[0]
        listed = root.output("rpm", "--query", "--queryformat",
                             r"[%{FILEMODES:perms} %{FILENAMES}\n]", "--package",
                             f"/{rpm.relative_to(root.path)}")
        files[name] = set(common(line.split(" ", 1)[1] for line in listed.splitlines()
                                 if line and not line.startswith("d")))
    return files


def files_of_debs(root, debs):
    files = {}
    for deb in sorted(debs.glob("*.deb")):
        if "-dbgsym_" in deb.name:
            continue
        shutil.copy(deb, root.path / "tmp")
        listed = root.output("sh", "-c", f"dpkg-deb --fsys-tarfile /tmp/{deb.name} | tar --list")
        files[deb.name.split("_")[0]] = set(common(
            line for line in listed.splitlines() if not line.endswith("/")))
    return files


def compare(rpms, debs):
    wrong = []
    for name, pattern in NAMES.items():
        matching = [paths for deb, paths in debs.items() if re.fullmatch(pattern, deb)]
        expected = matching[0] if matching else set()
        wrong += [f"{name} has no {path}" for path in sorted(expected - rpms.get(name, set()))]
        wrong += [f"{name} has {path}" for path in sorted(rpms.get(name, set()) - expected)]
    wrong += [f"{name} is a package that Debian has not" for name in sorted(rpms.keys() - NAMES)]
    if wrong:
        raise Failure("; ".join(wrong))
