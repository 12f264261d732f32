"""Where the samples of a file lie, found as libsndfile finds it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asmu_engine.recording.soundheader import Layout, read_layout

DATA = np.random.default_rng(1).integers(-128, 128, (1001, 3)).astype(np.float32) / 128
FORMS = [
    (form, subtype, endian)
    for form in ("WAV", "WAVEX", "RF64", "W64", "CAF", "AU")
    for subtype in ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
    for endian in ("FILE", "LITTLE", "BIG")
    if soundfile.check_format(form, subtype, endian) and not (form == "WAV" and endian == "BIG")  # RIFX: libsndfile reads that
]


@pytest.mark.parametrize(("form", "subtype", "endian"), FORMS)
def test_the_samples_are_where_the_layout_says(tmp_path: Path, form: str, subtype: str, endian: str) -> None:
    path = tmp_path / "take"
    soundfile.write(path, DATA, 44100, subtype, endian, form)
    layout = read_layout(path)
    assert layout is not None
    assert (layout.channels, layout.samplerate, layout.format) == (3, 44100.0, "WAV" if form == "WAVEX" else form)
    assert layout.data_bytes == DATA.size * layout.width
    assert layout.rows(path.stat().st_size, growing=False) == layout.rows(path.stat().st_size, growing=True) == 1001
    raw = path.read_bytes()[layout.offset :][: layout.data_bytes]
    order = "big" if layout.big else "little"
    first = raw[: layout.width]
    if layout.encoding == "float":
        value = struct.unpack((">" if layout.big else "<") + ("f" if layout.width == 4 else "d"), first)[0]
    else:
        value = int.from_bytes(first, order, signed=layout.encoding == "int") / 2.0 ** (8 * layout.width - 1)
        value -= layout.encoding == "uint"
    assert value == DATA[0, 0]


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "ULAW"), ("WAV", "IMA_ADPCM"), ("CAF", "ALAC_24"), ("AU", "ULAW"), ("FLAC", "PCM_24"), ("AIFF", "FLOAT")],
)
def test_what_is_compressed_or_of_another_kind_has_none(tmp_path: Path, form: str, subtype: str) -> None:
    path = tmp_path / "take"
    soundfile.write(path, DATA[:, :1], 44100, subtype, format=form)
    assert read_layout(path) is None


def test_texts_behind_the_samples_are_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    with soundfile.SoundFile(path, "w", 44100, 3, "PCM_16") as file:
        file.write(DATA)
        file.comment = "x" * 999
    layout = read_layout(path)
    assert layout is not None
    assert layout.rows(path.stat().st_size, growing=False) == 1001
    assert layout.rows(path.stat().st_size, growing=True) > 1001  # so this is for files that grow


def test_chunks_before_the_samples_are_passed_over_with_their_padding(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    odd = struct.pack("<4sI", b"note", 3) + b"abc\0"
    data = struct.pack("<4sI2h", b"data", 4, 1, -2)
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + odd + form + odd + data)
    assert read_layout(path) == Layout("WAV", "int", 2, False, 1, 8000.0, 12 + 12 + 24 + 12 + 8, 4)


@pytest.mark.parametrize("form", ["WAV", "RF64", "W64", "CAF", "AU"])
def test_a_file_that_is_cut_within_its_header_has_none(tmp_path: Path, form: str) -> None:
    path = tmp_path / "take"
    soundfile.write(path, DATA, 44100, "FLOAT", format=form)
    whole = path.read_bytes()
    for length in (0, 3, 12, 20):
        path.write_bytes(whole[:length])
        assert read_layout(path) is None


@pytest.mark.parametrize("form", ["RF64", "W64", "CAF"])
def test_more_than_four_gigabytes(tmp_path: Path, form: str) -> None:
    """A sparse file, which takes no room: its rows behind the 4 GiB are found, and so is the number of all of them."""
    path = tmp_path / "take"
    soundfile.write(path, DATA, 44100, "FLOAT", format=form)
    layout = read_layout(path)
    assert layout is not None
    rows = 5 * 2**30 // layout.frame_bytes
    os.truncate(path, layout.offset + rows * layout.frame_bytes + 5)  # and a part of a row
    assert layout.rows(path.stat().st_size, growing=True) == rows
    assert layout.rows(path.stat().st_size, growing=False) == 1001
    with path.open("r+b") as file:  # the header as a writer would leave it
        size = rows * layout.frame_bytes
        if form == "RF64":
            file.seek(12 + 8 + 8)
            file.write(struct.pack("<Q", size))
            file.seek(layout.offset - 4)
            file.write(b"\xff\xff\xff\xff")
        elif form == "W64":
            file.seek(layout.offset - 8)
            file.write(struct.pack("<Q", size + 24))
        else:
            file.seek(layout.offset - 12)
            file.write(struct.pack(">q", size + 4))
    again = read_layout(path)
    assert again is not None
    assert (again.data_bytes, again.rows(path.stat().st_size, growing=False)) == (size, rows)


def test_headers_that_do_not_know_the_length_leave_it_to_the_size(tmp_path: Path) -> None:
    for form, at, unknown in (("CAF", -12, b"\xff" * 8), ("AU", 8, b"\xff" * 4), ("WAV", -4, b"\xff" * 4)):
        path = tmp_path / form
        soundfile.write(path, DATA, 44100, "PCM_16", format=form)
        layout = read_layout(path)
        assert layout is not None
        with path.open("r+b") as file:
            file.seek(at if form == "AU" else layout.offset + at)
            file.write(unknown)
        again = read_layout(path)
        assert again is not None
        assert again.data_bytes is None
        assert again.rows(path.stat().st_size, growing=False) == 1001
