# SPDX-License-Identifier: MIT
"""Debian packages: built without a network, twice, and looked at."""

import contextlib
import hashlib
import shutil

from .report import Failure
from .roots import BUILDER, cache, run

# The second build is in another place, language, time zone, year and mask, without the tests. Its
# compiler cache has nothing of the first build, and asks for the place. In the other year its own
# directory for temporary files would look old, and be emptied while compilers use it.
CACHED = ("PATH=/usr/lib/ccache:/usr/bin:/bin", "CCACHE_DIR=/ccache", "CCACHE_MAXSIZE=2G")
FIRST = ("/build/first", ("DEB_BUILD_OPTIONS=parallel=2", "CCACHE_NOHASHDIR=1", *CACHED), "022")
SECOND = ("/build/again/in/another-place", ("DEB_BUILD_OPTIONS=parallel=3 nocheck", *CACHED,
                                            "TZ=Asia/Kathmandu", "LC_ALL=tr_TR.UTF-8",
                                            "LANG=tr_TR.UTF-8", "CCACHE_TEMPDIR=/tmp"), "077")


def build(root, suite, tree, where, log):
    """Builds the source package in a directory of the root; a list of what came out."""
    place, environment, mask = where
    again = where is SECOND
    root.give(tree.parent, place)
    command = ["dpkg-buildpackage", "-us", "-uc", "-b" if again else "-F"]
    if again:
        command = ["faketime", "-f", "+400d", *command]
    if suite.profiles:
        environment = (*environment, f"DEB_BUILD_PROFILES={' '.join(suite.profiles)}")
    root.run("sh", "-c", f'umask {mask} && exec "$@"', "sh", *command, user=BUILDER,
             environment=environment, directory=f"{place}/{tree.name}", log=log)
    return sorted((root.path / place.lstrip("/")).glob("*.deb"))


@contextlib.contextmanager
def compiler_cache(root, build):
    """Lends a root the compiler cache of the same build of the last time."""
    kept = cache() / f"{build}-ccache"
    kept.mkdir(exist_ok=True)
    inside = root.path / "ccache"
    kept.rename(inside)
    try:
        run(["chown", "--recursive", f"{BUILDER}:{BUILDER}", inside], root.log)
        yield
    finally:
        inside.rename(kept)


def same(first, second):
    def digests(packages):
        return {package.name: hashlib.sha256(package.read_bytes()).hexdigest()
                for package in packages}
    before, after = digests(first), digests(second)
    different = sorted(name for name in before.keys() | after.keys()
                       if before.get(name) != after.get(name))
    if different:
        raise Failure("not the same when built again: " + ", ".join(different))


def lint(root, log):
    """lintian's errors and warnings; every override says why."""
    changes, = (root.path / "build/first").glob("*.changes")
    root.run("lintian", "--allow-root", "--info", "--tag-display-limit", "0", "--fail-on",
             "error,warning", f"/build/first/{changes.name}", log=log)


def unexplained_overrides(debian):
    """Lines that override lintian without a comment above."""
    for path in [*debian.glob("*.lintian-overrides"), *debian.glob("source/lintian-overrides")]:
        before = ""
        for line in path.read_text("utf-8").splitlines():
            if line.strip() and not line.startswith("#") and not before.startswith("#"):
                yield f"{path.name}: {line}"
            before = line


def test(report, root, suite, source, logs):
    """Builds packages in a root; the directory where they are kept, if they could be built."""
    first = []
    with report.check(f"{suite}: the package is built and tested without a network"), \
            compiler_cache(root, f"{suite}-first"):
        first = build(root, suite, source, FIRST, logs / f"{suite}-first.log")
    if not first:
        return None
    kept = cache() / f"{suite}-debs"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for package in first:
        shutil.copy(package, kept)
    of_symbols = sum("-dbgsym_" in package.name for package in first)
    report.done(suite, f"{len(first) - of_symbols} packages and {of_symbols} of debugging symbols, "
                       "built and tested without a network")
    with report.check(f"{suite}: lintian"):
        lint(root, logs / f"{suite}-lintian.log")
        report.done(suite, "lintian: no error, no warning that is not explained")
    with report.check(f"{suite}: every override of lintian is explained"):
        if found := list(unexplained_overrides(source / "debian")):
            raise Failure("; ".join(found))
    return kept


def test_again(report, root, suite, source, kept, logs):
    """Builds packages anew, without anything of what the first build may have left."""
    with report.check(f"{suite}: built again elsewhere, the packages are the same"), \
            compiler_cache(root, f"{suite}-again"):
        same(sorted(kept.glob("*.deb")),
             build(root, suite, source, SECOND, logs / f"{suite}-second.log"))
        report.done(suite, "reproducible")
