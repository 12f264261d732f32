"""Where the samples lie in an uncompressed sound file, and how they are stored: what libsndfile knows but does not tell.

=======  ==================================================================================================
format   source
=======  ==================================================================================================
WAV      Microsoft/IBM, Multimedia Programming Interface and Data Specifications 1.0, and WAVE_FORMAT_EXTENSIBLE
RF64     EBU Tech 3306: sizes of 64 bits in a ``ds64`` chunk
W64      Sony Wave64: names of chunks are GUIDs, sizes of 64 bits include their own head, chunks begin at multiples of 8
CAF      Apple Core Audio Format: big-endian, sizes of 64 bits, −1 for a data chunk that reaches to the end
AU       NeXT/Sun: a fixed head, big- or little-endian
=======  ==================================================================================================
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

Encoding = Literal["uint", "int", "float"]

_PCM: Final = 1
_FLOAT: Final = 3
_EXTENSIBLE: Final = 0xFFFE
_UNKNOWN_32: Final = 0xFFFFFFFF
_UNKNOWN_64: Final = 0xFFFFFFFFFFFFFFFF
_W64_RIFF: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_CAF_FLOAT: Final = 1
_CAF_LITTLE: Final = 2
_AU_ENCODINGS: Final[dict[int, tuple[Encoding, int]]] = {
    2: ("int", 1), 3: ("int", 2), 4: ("int", 3), 5: ("int", 4), 6: ("float", 4), 7: ("float", 8),
}  # fmt: skip
_WIDTHS: Final = {"uint": (1,), "int": (1, 2, 3, 4), "float": (4, 8)}
_MANY: Final = 10_000
"""More chunks than this before the samples are no sound file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the samples of a file are.

    Attributes
    ----------
    format
        ``WAV``, ``RF64``, ``W64``, ``CAF`` or ``AU``.
    encoding, width, big
        Of a sample: its kind, its bytes, and whether the highest comes first.
    channels, samplerate
        Samplerate in Hz.
    offset
        Of the first sample in the file, bytes.
    data_bytes
        Bytes of samples, as the header says; None where it does not know.
    """

    format: str
    encoding: Encoding
    width: int
    big: bool
    channels: int
    samplerate: float
    offset: int
    data_bytes: int | None

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        return self.width * self.channels

    def rows(self, file_bytes: int, *, growing: bool) -> int:
        """Whole frames in a file of so many bytes.

        While it is `growing` nothing stands behind the samples yet, and its header may lag: its size alone counts.
        """
        present = max(0, file_bytes - self.offset)
        if not growing and self.data_bytes is not None:
            present = min(present, self.data_bytes)
        return present // self.frame_bytes


def read_layout(path: Path) -> Layout | None:
    """The layout of a file; None where it is compressed, of another format, damaged, or too short to tell.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(40)
        try:
            if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
                return _riff(file, head[:4] == b"RF64")
            if head[:16] == _W64_RIFF:
                return _w64(file)
            if head[:4] == b"caff":
                return _caf(file)
            if head[:4] in (b".snd", b"dns."):
                return _au(head)
        except (struct.error, ValueError):
            return None
    return None


def _riff(file: BinaryIO, wide: bool) -> Layout | None:
    form: tuple[Encoding, int, int, float] | None = None
    data_64 = None
    for name, length, body in _chunks(file, 12, struct.Struct("<4sI")):
        if name == b"ds64":
            (data_64,) = struct.unpack("<8xQ", file.read(16))
        elif name == b"fmt ":
            form = _wave_format(file.read(min(length, 40)))
        elif name == b"data" and form is not None:
            encoding, width, channels, samplerate = form
            known: int | None = data_64 if wide and length == _UNKNOWN_32 else length
            if known in (_UNKNOWN_32, _UNKNOWN_64):
                known = None
            return _layout("RF64" if wide else "WAV", encoding, width, False, channels, samplerate, body, known)
    return None


def _w64(file: BinaryIO) -> Layout | None:
    form: tuple[Encoding, int, int, float] | None = None
    head = struct.Struct("<16sQ")
    position = 40
    for _ in range(_MANY):
        file.seek(position)
        name, length = head.unpack(file.read(head.size))
        body = position + head.size
        if name[:4] == b"fmt ":
            form = _wave_format(file.read(40))
        elif name[:4] == b"data" and form is not None:
            encoding, width, channels, samplerate = form
            known = length - head.size if head.size <= length < _UNKNOWN_64 // 2 else None
            return _layout("W64", encoding, width, False, channels, samplerate, body, known)
        if length < head.size:
            return None
        position += length + -length % 8
    return None


def _wave_format(content: bytes) -> tuple[Encoding, int, int, float] | None:
    """Encoding, bytes a sample, channels and samplerate of a ``fmt`` chunk; None where it is compressed."""
    tag, channels, samplerate, _, align, _bits = struct.unpack("<HHIIHH", content[:16])
    if tag == _EXTENSIBLE:
        (tag,) = struct.unpack("<H", content[24:26])
    if tag not in (_PCM, _FLOAT) or channels == 0 or align % channels:
        return None
    width = align // channels
    encoding: Encoding = "float" if tag == _FLOAT else "uint" if width == 1 else "int"
    return encoding, width, channels, float(samplerate)


def _caf(file: BinaryIO) -> Layout | None:
    form = None
    for name, length, body in _chunks(file, 8, struct.Struct(">4sq"), pad=False):
        if name == b"desc":
            form = struct.unpack(">d4sIIIII", file.read(32))
        elif name == b"data" and form is not None:
            samplerate, kind, flags, packet_bytes, packet_frames, channels, _bits = form
            if kind != b"lpcm" or packet_frames != 1 or channels == 0 or packet_bytes % channels:
                return None
            encoding: Encoding = "float" if flags & _CAF_FLOAT else "int"
            known = length - 4 if length >= 4 else None  # four bytes that count edits come first
            return _layout(
                "CAF", encoding, packet_bytes // channels, not flags & _CAF_LITTLE, channels, samplerate, body + 4, known
            )
    return None


def _au(head: bytes) -> Layout | None:
    big = head[:4] == b".snd"
    offset, length, code, samplerate, channels = struct.unpack(">5I" if big else "<5I", head[4:24])
    if code not in _AU_ENCODINGS or channels == 0:
        return None
    encoding, width = _AU_ENCODINGS[code]
    return _layout("AU", encoding, width, big, channels, float(samplerate), offset, None if length == _UNKNOWN_32 else length)


def _chunks(file: BinaryIO, position: int, head: struct.Struct, *, pad: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """Name, length and body of each chunk, with the file at its body; the caller ends it at the samples."""
    for _ in range(_MANY):
        file.seek(position)
        name, length = head.unpack(file.read(head.size))
        body = position + head.size
        yield name, length, body
        if length < 0:
            return
        position = body + length + (length % 2 if pad else 0)


def _layout(
    name: str, encoding: Encoding, width: int, big: bool, channels: int, samplerate: float, offset: int, known: int | None
) -> Layout | None:
    if width not in _WIDTHS[encoding]:
        return None
    return Layout(name, encoding, width, big, channels, samplerate, offset, known)
