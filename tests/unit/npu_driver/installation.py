# SPDX-License-Identifier: MIT
"""Files are found beside the library, also where that was loaded through a link to its directory, as
/lib is one to usr/lib.

    installation.py LIBRARY CONFIGURED_LIBDIR CONFIGURED_DATADIR
"""

import ctypes
import os
import shutil
import sys
import tempfile
from pathlib import Path

library, libdir, datadir = sys.argv[1:]
with tempfile.TemporaryDirectory(prefix="npuenc-installation-") as work:
    root = Path(work).resolve()
    there = root / "moved" / libdir.lstrip("/")
    there.mkdir(parents=True)
    shutil.copy(library, there)
    (root / "link").symlink_to(there)
    expected = os.path.normpath(there / os.path.relpath(datadir, libdir) / "npuenc/npu1")
    text = ctypes.create_string_buffer(4096)
    ctypes.CDLL(str(root / "link" / Path(library).name)).installed_overlays(text, len(text))
    if text.value.decode() != expected:
        sys.exit(f"FAIL: overlays are in {text.value.decode()}, expected {expected}")
