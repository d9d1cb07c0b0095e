# SPDX-License-Identifier: MIT
"""What tests of the command are given on their command line: paths of programs and files."""

import argparse
import os
import sys
import unittest

PROGRAMS = argparse.Namespace()  # absolute paths, once main has been called


def main(description, paths):
    """Runs the tests of the script; paths: a name for the option and for PROGRAMS, and its help."""
    parser = argparse.ArgumentParser(description=description)
    for name, what in paths.items():
        parser.add_argument("--" + name.replace("_", "-"), required=True, type=os.path.abspath,
                            help=what)
    _, rest = parser.parse_known_args(namespace=PROGRAMS)
    unittest.main(argv=[sys.argv[0], *rest])
