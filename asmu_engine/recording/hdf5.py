"""Segments as HDF5: one file with a dataset ``audio``, float32 (frames, channels). Needs the package h5py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import h5py
import soundfile

DATASET: Final = "audio"

_CHUNK_BYTES: Final = 1024 * 1024
_COPY_BYTES: Final = 8 * 1024 * 1024


def write_hdf5(source: Path, target: Path, *, first: int, utc: str, tags: Mapping[str, str]) -> None:
    """Make an HDF5 file of a sound file's frames; an existing one is overwritten.

    Its dataset ``audio`` is float32 (frames, channels), chunked along the frames, with the attributes ``samplerate`` (Hz),
    ``first`` (frame position of row 0) and ``utc`` (of row 0, ISO 8601); each tag is an attribute of the file.

    Raises
    ------
    soundfile.SoundFileError, OSError
        From the disk.
    """
    with soundfile.SoundFile(source) as sound, h5py.File(target, "w") as file:
        channels = sound.channels
        rows = max(1, _CHUNK_BYTES // (4 * channels))
        shape = (sound.frames, channels)
        chunks = (max(1, min(rows, sound.frames)), channels)
        audio = file.create_dataset(DATASET, shape, "float32", chunks=chunks)
        audio.attrs["samplerate"] = sound.samplerate
        audio.attrs["first"] = first
        audio.attrs["utc"] = utc
        for name, text in tags.items():
            file.attrs[name] = text
        step = rows * max(1, _COPY_BYTES // _CHUNK_BYTES)
        done = 0
        while len(block := sound.read(step, dtype="float32", always_2d=True)):
            audio[done : done + len(block)] = block
            done += len(block)
    with target.open("r+b") as written:
        os.fsync(written.fileno())
