# SPDX-License-Identifier: MIT
"""The release as a subproject of Meson, by a wrap file, linked statically."""

import hashlib
import shutil

from .debs import CACHED, compiler_cache
from .report import Failure
from .roots import BUILDER, run

WRAP = """[wrap-file]
directory = {name}
source_filename = {name}.tar.xz
source_hash = {digest}

[provide]
dependency_names = npuenc
"""


def test(report, root, suite, source, tarball, logs):
    project = root.path / "project"
    name = tarball.name.removesuffix(".tar.xz")
    log = logs / "subproject.log"
    with report.check("subproject: a project that has the release as a wrap, built statically"), \
            compiler_cache(root, f"{suite}-subproject"):
        shutil.copytree(source / "tests/packaging/subproject", project)
        packages = project / "subprojects" / "packagefiles"
        packages.mkdir(parents=True)
        shutil.copy(tarball, packages)
        digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
        (project / "subprojects/npuenc.wrap").write_text(WRAP.format(name=name, digest=digest))
        run(["chown", "--recursive", f"{BUILDER}:{BUILDER}", project], root.log)
        options = {"user": BUILDER, "log": log, "directory": "/project", "environment": CACHED}
        root.run("meson", "setup", "build", "-Dnpuenc:default_library=static", **options)
        root.run("meson", "compile", "-C", "build", "product", **options)
        printed = root.output("build/product", user=BUILDER, directory="/project").strip()
        if not printed.endswith(" success 31"):
            raise Failure(f"the program says {printed}")
        if "npuenc" in root.output("ldd", "/project/build/product"):
            raise Failure("the program is not linked statically")
        report.done("subproject", "built from a wrap of the release, linked statically, and run")
