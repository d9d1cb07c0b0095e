# SPDX-License-Identifier: MIT
"""npuenc beside other engines on the same work: see tools/bench-peers."""
