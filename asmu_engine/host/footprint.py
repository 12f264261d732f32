"""Memory of the host: short pauses of its garbage collector, and large messages given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from typing import Final

_GENERATIONS: Final = (20_000, 20, 50)
"""What one large transaction makes are some 200 000 objects, all of which live until it is done: with Python's own 700 the
collector would walk through them hundreds of times, which doubles the time that such a transaction holds up all others."""

_M_MMAP_THRESHOLD: Final = -3
_OWN_PAGES: Final = 1024 * 1024
"""Bytes. A block as large as that gets pages of its own and returns them when it is freed. glibc by itself raises this size
with the messages that come, up to 32 MiB, after which the memory of a few large ones stays with the host for good."""


def settle() -> None:
    """Once, when everything is loaded that stays loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GENERATIONS)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library decides for itself
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES)
