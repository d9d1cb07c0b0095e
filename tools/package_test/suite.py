# SPDX-License-Identifier: MIT
"""The releases of Debian that packages are built for, and what differs between them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    name: str
    with_xrt: bool  # whether its backports have an XRT that drives NPUs
    with_go: bool  # whether its Go is new enough

    def __str__(self):
        return self.name

    @property
    def profiles(self):
        return (*(() if self.with_xrt else ("pkg.npuenc.noxrt",)),
                *(() if self.with_go else ("pkg.npuenc.nogo",)))

    @property
    def profile_option(self):
        return tuple(f"--build-profiles={','.join(self.profiles)}" for _ in self.profiles[:1])


SUITES = (Suite("bookworm", False, False), Suite("trixie", True, True))
