# SPDX-License-Identifier: MIT
"""What is kept between runs, below ${XDG_CACHE_HOME:-~/.cache}/npuenc/peers."""

import hashlib
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil

TOOLS = pathlib.Path(__file__).resolve().parents[1]
ROOT = TOOLS.parent


def script(name):
    """One of tools/ as a module: their names are those of commands."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(TOOLS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


fetch_model = script("fetch-model")


def root():
    return fetch_model.cache_root() / "peers"


def key(*parts):
    """A short digest of everything that something in the cache depends on."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(part).encode() + b"\0")
    return digest.hexdigest()[:16]


def kept(name, digest, make):
    """The directory NAME-DIGEST; `make(directory)` fills a new one, which becomes visible only when
    it is complete."""
    directory = root() / f"{name}-{digest}"
    with fetch_model.locked(root() / f".{name}.lock"):
        if not directory.is_dir():
            fresh = directory.with_name(f"{directory.name}.{os.getpid()}.partial")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            try:
                make(fresh)
                fresh.rename(directory)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    return directory
