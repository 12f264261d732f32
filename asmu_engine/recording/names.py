"""What the files of a recording folder are called."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

MANIFEST: Final = "manifest.json"
LEDGER: Final = "ledger.jsonl"
CHECKSUMS: Final = "SHA256SUMS"
"""In the form of ``sha256sum --check``: one line for each finished segment of this folder."""
RESERVE: Final = ".reserve"
"""Some room that is given back when the disk is full, for the last lines of ledger and manifest."""

SUFFIXES: Final = {
    "WAV": ".wav", "WAVEX": ".wav", "RF64": ".wav", "W64": ".w64", "CAF": ".caf", "AIFF": ".aiff", "AU": ".au",
    "FLAC": ".flac", "OGG": ".ogg", "MP3": ".mp3", "HDF5": ".h5",
}  # fmt: skip
"""Endings by format; any other format ends with its own name in small letters."""

_NAME: Final = re.compile(r"(\d{6,})_(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2})\.(\d{3})Z(\..+)?")


def segment_name(index: int, utc_ns: int, format_name: str) -> str:
    """The file of segment `index` (from 1), whose first frame was at `utc_ns`.

    >>> segment_name(7, 1_767_225_600_250_000_000, "WAV")
    '000007_2026-01-01T00-00-00.250Z.wav'
    """
    moment = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
    milliseconds = utc_ns // 1_000_000 % 1000
    suffix = SUFFIXES.get(format_name.upper(), f".{format_name.lower()}")
    return f"{index:06d}_{moment:%Y-%m-%dT%H-%M-%S}.{milliseconds:03d}Z{suffix}"


def grown_names(file: str) -> tuple[str, str]:
    """What a file is called before it is whole: as it was recorded where it is to be encoded, and where not or while it is.

    >>> grown_names("take.flac")
    ('take.part.flac.rf64', 'take.part.flac')
    """
    stem, dot, suffix = file.rpartition(".")
    part = f"{stem}.part.{suffix}" if dot else f"{file}.part"
    return f"{part}.rf64", part


def segment_utc_ns(file: str) -> int | None:
    """UTC of a segment's first frame as its name tells it, ns since 1970, to the nearest ms; None where it is no such name.

    >>> segment_utc_ns("/second/000007_2026-01-01T00-00-00.250Z.wav")
    1767225600250000000
    """
    found = _NAME.fullmatch(file.replace("\\", "/").rpartition("/")[2])
    if found is None:
        return None
    moment = datetime.strptime(found[2], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + int(found[3]) * 1_000_000
