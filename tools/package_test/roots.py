# SPDX-License-Identifier: MIT
"""Clean Debian systems in directories, and programs in them."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .report import Failure

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
BUILDER = 1000  # the user who builds

# Runs a command in a root: proc, a /dev/shm and nothing else of this system, the network if asked.
ENTER = """set -e
root=$1 user=$2; shift 2
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
if [ "$user" = 0 ]; then exec chroot "$root" "$@"; fi
exec chroot "$root" setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs "$@"
"""


def cache():
    """XDG says that a relative path is to be ignored."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    directory = Path(root if root.startswith("/") else Path.home() / ".cache", "npuenc", "packages")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def mirror():
    """The address of the Debian archive among apt's sources."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        check=False, capture_output=True, text=True)
    for address in asked.stdout.splitlines():
        if address.rstrip("/").endswith("/debian"):
            return address
    raise Failure("apt on this system has no source that is a Debian archive")


def run(command, log, **options):
    """Runs a command whose output is kept in a file and shown only when it fails."""
    with open(log, "a", encoding="utf-8") as out:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, **options)
    if done.returncode:
        tail = Path(log).read_text("utf-8", "replace").splitlines()[-30:]
        raise Failure(f"{' '.join(map(str, command[-4:]))}: status {done.returncode}, see {log}:\n"
                      + "\n".join(f"    {line}" for line in tail))


class Root:
    """A system in a directory, which is removed in the end."""

    def __init__(self, archive, log):
        self.log = log
        self.path = Path(tempfile.mkdtemp(prefix="root-", dir=cache()))
        run(["tar", "--extract", "--numeric-owner", "--xattrs", "--file", archive,
             "--directory", self.path], log)
        self.path.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # What an interrupted command has started may write for a moment more.
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            time.sleep(1)
            shutil.rmtree(self.path)

    def run(self, *command, network=False, user=0, environment=(), directory="/", log=None):
        script = f'cd "{directory}" && exec "$@"'
        run(["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"]),
             "sh", "-c", ENTER, "enter", self.path, str(user),
             "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
             "HOME=/tmp", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *environment,
             "sh", "-c", script, "sh", *map(str, command)], log or self.log)

    def output(self, *command, **options):
        log = self.path / "tmp" / "output"
        log.unlink(missing_ok=True)
        self.run(*command, log=log, **options)
        return log.read_text("utf-8")

    def install(self, *packages):
        """With apt-get, from the archive."""
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")
        self.run("apt-get", "update", "-q", network=True)
        self.run("apt-get", "install", "-q", "--yes", "--no-install-recommends", *packages,
                 network=True)

    def give(self, source, target, owner=BUILDER):
        """Copies a file or directory into the root."""
        inside = self.path / target.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, inside, symlinks=True)
        else:
            shutil.copy(source, inside)
        run(["chown", "--recursive", f"{owner}:{owner}", inside], self.log)


def archive_of(name, recipe, make):
    """A tar archive in the cache, made when it is not there; others of this name are removed."""
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    archive = cache() / f"{name}-{key}.tar"
    if not archive.exists():
        partial = archive.with_suffix(".partial.tar")
        try:
            make(partial)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        for old in cache().glob(f"{name}-????????????.tar"):
            old.unlink()
        partial.rename(archive)
    return archive


def clean_system(suite, log):
    """What Debian calls essential, and apt. Where XRT in the backports is newer, it is taken."""
    sources = [f"deb [signed-by={KEYRING}] {mirror()} {suite} main"]
    preferences = ""
    if suite.with_xrt:
        sources.append(f"deb [signed-by={KEYRING}] {mirror()} {suite}-backports main")
        preferences = (f"Package: src:xrt\\nPin: release n={suite}-backports\\n"
                       "Pin-Priority: 600\\n")
    hooks = [
        f"--essential-hook=printf '{preferences}' >\"$1/etc/apt/preferences.d/xrt\"",
        f"--customize-hook=echo builder:x:{BUILDER}:{BUILDER}::/tmp:/bin/sh >>\"$1/etc/passwd\"",
        f"--customize-hook=echo builder:x:{BUILDER}: >>\"$1/etc/group\""]

    def make(archive):
        run(["mmdebstrap", "--mode=root", "--variant=apt", f"--keyring={KEYRING}",
             *hooks, str(suite), archive, *sources], log)
    return archive_of(f"{suite}-clean", "\n".join([*sources, *hooks]), make)


def building_system(suite, clean, control, log):
    """The same with what the source package in `control` needs, and the tools for packages."""
    tools = ["build-essential", "ccache", "faketime", "fakeroot", "lintian", "locales",
             "rpm"]

    def make(archive):
        with Root(clean, log) as root:
            root.install(*tools)
            root.give(control.parent, "/tmp/source/debian")
            root.run("apt-get", "build-dep", "-q", "--yes", "--no-install-recommends",
                     *suite.profile_option, "/tmp/source", network=True)
            root.run("localedef", "-i", "tr_TR", "-f", "UTF-8", "tr_TR.UTF-8")
            root.run("rm", "-r", "/tmp/source")
            root.run("apt-get", "clean")
            run(["tar", "--create", "--numeric-owner", "--xattrs", "--file", archive,
                 "--directory", root.path, "."], log)
    needed = re.search(r"^Build-Depends:.*\n( .*\n)*", control.read_text("utf-8"), re.MULTILINE)[0]
    recipe = "\n".join([clean.name, *tools, *suite.profile_option, needed])
    return archive_of(f"{suite}-build", recipe, make)
