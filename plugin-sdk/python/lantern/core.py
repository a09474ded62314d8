"""The native core, which every plugin has: what is done for each event and each row, in C.

The same is written in Python beside it. That is what unit tests run, where nothing was compiled; it does whatever the core leaves
to it, since it is unusual or wrong; and it says what is meant.
"""

from __future__ import annotations

import sys
from typing import Any

native: Any
try:
    from . import _native  # type: ignore[attr-defined, unused-ignore]

    native = _native
except ImportError:
    if sys.platform == "wasi":
        raise
    native = None
