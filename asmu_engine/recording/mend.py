"""From a file that its writer left unfinished to a whole segment: rows, header, texts, format, name."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import soundfile

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.check_clocks import iso_utc
from asmu_engine.recording.checksums import file_sha256
from asmu_engine.recording.manifest import Manifest
from asmu_engine.recording.names import grown_names
from asmu_engine.recording.plainwav import RIFF_LIMIT, make_plain_wav
from asmu_engine.recording.reading import open_segment
from asmu_engine.recording.soundheader import Layout, read_layout

_BLOCK_BYTES: Final = 1 << 22
_SALVAGE_BYTES: Final = 1 << 15
"""So little is read at once of a damaged file, for the rows of a read that fails are lost."""
_UNKNOWN_32: Final = 0xFFFFFFFF
_RIFF_HEAD: Final = 12
_DS64_BYTES: Final = 28
_W64_HEAD: Final = 40
_DIRECT: Final = frozenset({"WAV", "RF64", "W64", "CAF", "AU"})
"""Formats that may grow as what they will be."""


@dataclass(frozen=True, slots=True)
class SegmentForm:
    """What segments are to be: format and subtype by libsndfile's names or HDF5, samplerate in Hz, channels, texts."""

    format: str
    subtype: str
    samplerate: int
    channels: int
    tags: dict[str, str] = field(default_factory=dict)


def segment_form(manifest: Manifest) -> SegmentForm:
    """The form of a recording's segments; an empty subtype is the finest that the format holds."""
    name, subtype = manifest.settings.format.upper(), manifest.settings.subtype.upper()
    if not subtype and name != "HDF5":
        finest = [found for found in ("FLOAT", "PCM_24") if soundfile.check_format(name, found)]
        subtype = (finest or [str(soundfile.default_subtype(name))])[0]
    return SegmentForm(name, subtype, int(manifest.samplerate), len(manifest.channels), dict(manifest.settings.tags))


def empty_part(path: Path, form: SegmentForm) -> Path:
    """Make the growing file of a segment of which there is none; its path."""
    direct = form.format in _DIRECT and soundfile.check_format("RF64", form.subtype)
    raw, part = (path.with_name(name) for name in grown_names(path.name))
    target = part if direct else raw
    kind = "RF64" if form.format == "WAV" or not direct else form.format
    soundfile.SoundFile(target, "w", form.samplerate, form.channels, form.subtype if direct else "FLOAT", format=kind).close()
    return target


def salvage(found: Path | None, path: Path, form: SegmentForm) -> tuple[Path, int]:
    """A growing file for the segment `path` with what can be read of a damaged one, or with nothing; and how many rows it has.

    The damaged one is left as it is. soundfile.SoundFileError or OSError from the disk.
    """
    layout = None if found is None else read_layout(found)
    if found is not None and layout is not None:
        part = path.with_name(grown_names(path.name)[1])
        shutil.copyfile(found, part)
        return part, layout.rows(part.stat().st_size, growing=False)
    part = empty_part(path, form)
    if found is None:
        return part, 0
    with soundfile.SoundFile(part, "r+") as target:
        with contextlib.suppress(DiskError, OSError), closing(open_segment(found)) as source:
            rows = max(1, _SALVAGE_BYTES // (4 * source.channels))
            for start in range(0, source.frames, rows):
                block = np.empty((min(rows, source.frames - start), source.channels), np.float32)
                source.read_into(block, start)
                target.write(block)
        return part, int(target.frames)


def make_whole(part: Path, path: Path, frames: int, form: SegmentForm, *, first: int, utc_ns: int) -> tuple[int, str]:
    """Make the whole file `path` of a growing one; its size in bytes and its SHA-256.

    Parameters
    ----------
    part, path
        Where it grew (changed and removed), and where it is to stand.
    frames
        Rows that it is to have: what it has beyond is cut off, what it lacks is zeros.
    form
        What it is to be.
    first, utc_ns
        Frame position and UTC (ns since 1970) of its first row, for formats that hold them.

    Raises
    ------
    DiskError
        ``disk_failed``: the disk does not take it, or libsndfile cannot read or write it; `part` is still there.
    """
    try:
        raw, direct = (path.with_name(name) for name in grown_names(path.name))
        set_rows(part, frames)
        whole = part
        if part == raw:
            whole = direct
            _encode(raw, whole, form, first, utc_ns)
        else:
            _add_tags(part, form.tags)
            if form.format == "WAV":
                make_plain_wav(part)
        with whole.open("r+b") as file:
            os.fsync(file.fileno())
        whole.replace(path)
        for left in (raw, direct):
            left.unlink(missing_ok=True)
        return path.stat().st_size, file_sha256(path)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        why = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
        raise DiskError(f"cannot make {path} of {part}: {why}", code="disk_failed", where=str(part)) from error


def set_rows(path: Path, frames: int) -> None:
    """Give a file of which nobody knows whether its header is right exactly `frames` rows, and a header that says so.

    soundfile.SoundFileError or OSError from the disk.
    """
    layout = read_layout(path)
    if layout is None:  # a format of which libsndfile alone knows where the rows are
        _set_rows_by_library(path, frames)
        return
    end = layout.offset + frames * layout.frame_bytes
    with path.open("r+b") as file:
        present = layout.rows(path.stat().st_size, growing=True)
        file.truncate(layout.offset + min(present, frames) * layout.frame_bytes)
        if layout.encoding == "uint":  # whose silence is not zero
            file.seek(0, os.SEEK_END)
            for start in range(file.tell(), end, _BLOCK_BYTES):
                file.write(b"\x80" * min(_BLOCK_BYTES, end - start))
        file.truncate(end)
        _write_sizes(file, layout, frames * layout.frame_bytes)


def _write_sizes(file: BinaryIO, layout: Layout, data: int) -> None:
    """Bring the header of a file that ends with its samples, `data` bytes of them, up to date."""
    if layout.format in ("WAV", "RF64"):
        _write_riff_sizes(file, layout, data)
    elif layout.format == "W64":
        file.seek(0, os.SEEK_END)
        file.write(bytes(-file.tell() % 8))
        size = file.tell()
        _put(file, 16, struct.pack("<Q", size))
        _put(file, layout.offset - 8, struct.pack("<Q", data + 24))
    elif layout.format == "CAF":
        _put(file, layout.offset - 12, struct.pack(">q", data + 4))
    else:
        _put(file, 8, struct.pack(">I" if layout.big else "<I", data if data < _UNKNOWN_32 else _UNKNOWN_32))


def _write_riff_sizes(file: BinaryIO, layout: Layout, data: int) -> None:
    file.seek(0, os.SEEK_END)
    file.write(bytes(data % 2))
    size = file.tell()
    file.seek(_RIFF_HEAD)
    name, length = struct.unpack("<4sI", file.read(8))
    if name in (b"ds64", b"JUNK") and length >= _DS64_BYTES:
        # An RF64, or one that was on its way to a WAV: that way begins anew.
        _put(file, 0, b"RF64" + struct.pack("<I", _UNKNOWN_32))
        _put(file, _RIFF_HEAD, b"ds64")
        _put(file, _RIFF_HEAD + 8, struct.pack("<QQQ", size - 8, data, data // layout.frame_bytes))
        _put(file, layout.offset - 4, struct.pack("<I", _UNKNOWN_32))
    elif size - 8 <= RIFF_LIMIT:
        _put(file, 4, struct.pack("<I", size - 8))
        _put(file, layout.offset - 4, struct.pack("<I", data))
    else:
        raise OSError(0, "a WAV of more than 4 GiB has no place for its size")


def _put(file: BinaryIO, position: int, content: bytes) -> None:
    file.seek(position)
    file.write(content)


def _set_rows_by_library(path: Path, frames: int) -> None:
    with soundfile.SoundFile(path, "r+") as file:
        if file.frames > frames:
            file.truncate(frames)
        file.seek(min(frames, file.frames))
        rows = max(1, _BLOCK_BYTES // (4 * file.channels))
        for start in range(file.frames, frames, rows):
            file.write(np.zeros((min(rows, frames - start), file.channels), np.float32))


def _add_tags(part: Path, tags: dict[str, str]) -> None:
    """Texts go behind the samples, where those that may have been there were cut off."""
    if not tags:
        return
    with soundfile.SoundFile(part, "r+") as file:
        for name, text in tags.items():
            setattr(file, name, text)


def _encode(raw: Path, target: Path, form: SegmentForm, first: int, utc_ns: int) -> None:
    if form.format == "HDF5":
        try:
            from asmu_engine.recording.hdf5 import write_hdf5
        except ImportError as error:
            raise DiskError(
                f"making {target} takes h5py: pip install 'asmu-control[hdf5]'", code="disk_failed", where=str(target)
            ) from error
        write_hdf5(raw, target, first=first, utc=iso_utc(utc_ns), tags=form.tags)
        return
    with (
        soundfile.SoundFile(raw) as source,
        soundfile.SoundFile(target, "w", form.samplerate, form.channels, form.subtype, format=form.format) as file,
    ):
        for name, text in form.tags.items():
            setattr(file, name, text)
        rows = max(1, _BLOCK_BYTES // (4 * form.channels))
        while len(block := source.read(rows, dtype="float32", always_2d=True)):
            file.write(block)
