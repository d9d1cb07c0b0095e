#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""npuenc-mkoverlay: the files that it makes are the same each time, hold what their manifests say,
and it refuses what it cannot do.

check_overlays.py NPUENC-MKOVERLAY"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import xml.dom.minidom

mkoverlay = sys.argv[1]


def run(*arguments, cwd=None, status=0):
    done = subprocess.run([os.path.abspath(mkoverlay), *arguments], cwd=cwd, capture_output=True)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done


def contents(path):
    with open(path, "rb") as file:
        return file.read()


names = run("--list").stdout.decode().split()
assert len(names) == len(set(names)) >= 5, names

with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
    for name in names:
        run(name, first)
        run(name, ".", cwd=second)
        files = sorted(path for path in os.listdir(first) if path.startswith(name + "."))
        assert files == [name + ".json", name + ".xclbin"], files
        for file in files:
            one = contents(os.path.join(first, file))
            assert one == contents(os.path.join(second, file)), file + " differs when made again"
            assert first.encode() not in one and os.getcwd().encode() not in one, file
        xclbin = contents(os.path.join(first, name + ".xclbin"))
        manifest = json.loads(contents(os.path.join(first, name + ".json")))
        assert xclbin.startswith(b"xclbin2\0"), name
        assert manifest["name"] == name
        assert manifest["sha256"] == hashlib.sha256(xclbin).hexdigest(), name
        columns = manifest["columns"]
        assert manifest["start_columns"] == list(range(1, 6 - columns)), manifest

        text = run("--explain", name).stdout.decode()
        assert text.startswith(name + ": %d column" % columns), text[:80]
        drawing = xml.dom.minidom.parseString(run("--explain", name, "--svg").stdout)
        assert drawing.documentElement.tagName == "svg"
        assert drawing.getElementsByTagName("text"), name
        listing = run("--disassemble", name).stdout.decode().splitlines()
        assert any("ACQ_" in line for line in listing), name
        assert any("REL_" in line for line in listing), name

    assert b"usage:" in run(status=2).stderr
    assert b"usage:" in run("--explain", status=2).stderr
    assert b"usage:" in run("--explain", names[0], "--png", status=2).stderr
    assert b"usage:" in run("--help").stdout
    assert run("nothing", first, status=1).stderr == b"npuenc-mkoverlay: there is no overlay nothing\n"
    nowhere = os.path.join(first, "nowhere")
    error = run(names[0], nowhere, status=1).stderr.decode()
    assert error == "npuenc-mkoverlay: cannot write %s/%s.xclbin\n" % (nowhere, names[0]), error
