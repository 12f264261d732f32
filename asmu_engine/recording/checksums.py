"""SHA-256 of finished segments, and the file that lists them in the form of ``sha256sum --check``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from asmu_engine.recording.names import CHECKSUMS

_BLOCK_BYTES: Final = 1 << 20


def file_sha256(path: Path, on_bytes: Callable[[int], object] | None = None) -> str:
    """SHA-256 of a file, in hexadecimal; OSError from the system.

    Parameters
    ----------
    path
        The file.
    on_bytes
        Told the size of each block that was read; may raise, to give up, or wait, to be slow.
    """
    digest = hashlib.sha256()
    block = bytearray(_BLOCK_BYTES)
    view = memoryview(block)
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(block):
            digest.update(view[:got])
            if on_bytes is not None:
                on_bytes(got)
    return digest.hexdigest()


def checksum_lines(sums: Mapping[str, str]) -> bytes:
    """The list, of names and their sums, in the order of the names.

    >>> checksum_lines({"b.wav": "02", "a.wav": "01"})
    b'01 *a.wav\\n02 *b.wav\\n'
    """
    return b"".join(f"{digest} *{name}\n".encode() for name, digest in sorted(sums.items()))


def write_checksums(folder: Path, sums: Mapping[str, str]) -> None:
    """Replace the list of a folder as a whole; OSError from the system."""
    temporary = folder / f".{CHECKSUMS}.new"
    with temporary.open("wb") as file:
        file.write(checksum_lines(sums))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / CHECKSUMS)


def read_checksums(folder: Path) -> dict[str, str]:
    """Sums by name; empty where there is no list. OSError from the system, ValueError for a line that is none."""
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    sums: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, _, name = line.partition(" ")
        if len(digest) != 64 or name[:1] not in ("*", " ") or not name[1:]:
            raise ValueError(f"line {number} of {path} is no checksum: {line[:80]!r}")
        sums[name[1:]] = digest
    return sums
