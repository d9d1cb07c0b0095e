# SPDX-License-Identifier: MIT
# SWIG's output has no annotations: whatever goes through it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
