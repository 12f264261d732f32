"""From an RF64, which may pass 4 GiB, to the WAV that every program reads."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

RIFF_LIMIT: Final = 0xFFFFFFFF
"""Largest size that a RIFF header can state, bytes."""

_CHUNK: Final = struct.Struct("<4sI")
_RIFF_HEAD: Final = 12
_EXTENSIBLE: Final = 0xFFFE
_EXTENSIBLE_BYTES: Final = 40
_PCM: Final = 1


def make_plain_wav(path: Path) -> bool:
    """Turn a closed RF64 file into the plain WAV that every program reads; only its header is written.

    RF64 (EBU Tech 3306) is a WAV whose sizes stand in a ``ds64`` chunk of 64-bit numbers, so that it may pass 4 GiB. In a
    smaller file the same bytes are a WAV once the sizes stand in their 32-bit fields and ``ds64`` is called ``JUNK``, as
    EBU Tech 3306 foresees. libsndfile writes the extensible ``fmt`` chunk of 40 bytes there; its beginning is a plain
    one, and what is behind that makes another ``JUNK`` chunk.

    Returns
    -------
    bool
        False where the file is too large for a WAV and stays RF64, which most programs read just as well.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        if file.read(4) != b"RF64":
            return True
        if size - 8 > RIFF_LIMIT:
            return False
        edits = [(0, _CHUNK.pack(b"RIFF", size - 8))]
        data_bytes = 0
        position = _RIFF_HEAD
        while True:
            name, length = _read_chunk(file, position)
            body = position + _CHUNK.size
            if name == b"ds64":
                file.seek(body + 8)
                (data_bytes,) = struct.unpack("<Q", file.read(8))
                edits.append((position, b"JUNK"))
            elif name == b"fmt " and length == _EXTENSIBLE_BYTES:
                edits += _plain_format(file, position)
            elif name == b"data":
                edits.append((position, _CHUNK.pack(b"data", data_bytes)))
                break
            position = body + length + length % 2
        for position, content in edits:
            file.seek(position)
            file.write(content)
    return True


def _read_chunk(file: BinaryIO, position: int) -> tuple[bytes, int]:
    file.seek(position)
    name, length = _CHUNK.unpack(file.read(_CHUNK.size))
    return name, length


def _plain_format(file: BinaryIO, position: int) -> list[tuple[int, bytes]]:
    """The edits that make a plain ``fmt`` chunk of an extensible one, whose sub-format begins with the plain tag."""
    body = position + _CHUNK.size
    file.seek(body)
    content = file.read(_EXTENSIBLE_BYTES)
    if content[:2] != _EXTENSIBLE.to_bytes(2, "little"):
        return []
    tag = content[24:26]
    # Other tags than PCM have a field more: the size of an extension, which is empty.
    plain = tag + content[2:16] + (b"" if tag == _PCM.to_bytes(2, "little") else bytes(2))
    filler = _EXTENSIBLE_BYTES - len(plain) - _CHUNK.size
    junk = _CHUNK.pack(b"JUNK", filler) + bytes(filler)
    return [(position, _CHUNK.pack(b"fmt ", len(plain)) + plain + junk)]
