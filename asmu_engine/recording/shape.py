"""Length, channels and samplerate of a segment's file, whatever it is stored as."""

from __future__ import annotations

from pathlib import Path

import soundfile

from asmu_engine.recording.reading import RawReader, SegmentReader, SoundReader, open_segment


def file_shape(path: Path, *, growing: bool) -> tuple[int, int, float]:
    """Frames, channels and samplerate (Hz) of a sound file or HDF5; of a `growing` one its size counts, not its header.

    Raises
    ------
    DiskError, OSError
        It cannot be read.
    """
    reader = open_segment(path, growing=growing)
    try:
        return reader.frames, reader.channels, _samplerate(path, reader)
    finally:
        reader.close()


def _samplerate(path: Path, reader: SegmentReader) -> float:
    if isinstance(reader, RawReader):
        return reader.layout.samplerate
    if isinstance(reader, SoundReader):
        return float(soundfile.info(path).samplerate)
    import h5py

    with h5py.File(path, "r") as file:
        return float(file["audio"].attrs["samplerate"])
