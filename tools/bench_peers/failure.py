# SPDX-License-Identifier: MIT
"""What can go wrong, in one line each."""


class Failure(Exception):
    """Something the person who ran this can act on: the whole run ends."""


class Missing(Exception):
    """An engine cannot be had on this machine: the report says so and the rest goes on."""


class Unsupported(Exception):
    """An engine is there but does not do this work."""
