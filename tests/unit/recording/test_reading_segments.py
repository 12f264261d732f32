"""Rows of segments of every kind: the same values as libsndfile's, any stretch, any columns."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import reading
from asmu_engine.recording.hdf5reader import Hdf5Reader
from asmu_engine.recording.reading import RawReader, SoundReader, open_segment

DATA = np.random.default_rng(2).uniform(-1, 1, (3001, 5)).astype(np.float32)
FORMS = [
    (form, subtype, endian)
    for form in ("WAV", "RF64", "W64", "CAF", "AU", "AIFF", "FLAC")
    for subtype in ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW")
    for endian in ("FILE", "LITTLE", "BIG")
    if soundfile.check_format(form, subtype, endian)
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that these short files are converted in several."""
    monkeypatch.setattr(reading, "_SCRATCH_BYTES", 4096)


@pytest.mark.parametrize(("form", "subtype", "endian"), FORMS)
def test_the_values_are_those_of_libsndfile(tmp_path: Path, form: str, subtype: str, endian: str) -> None:
    path = tmp_path / "take"
    soundfile.write(path, DATA, 48000, subtype, endian, form)
    reader = open_segment(path)
    assert (reader.frames, reader.channels) == DATA.shape
    for dtype in ("float32", "float64"):
        want = soundfile.read(path, dtype=dtype)[0]
        for row, stop, columns in ((0, 3001, None), (7, 2950, None), (100, 100, None), (3000, 3001, [4]), (1, 2500, [3, 0, 3])):
            chosen = want[row:stop] if columns is None else want[row:stop][:, columns]
            out = np.full_like(chosen, 7)
            reader.read_into(out, row, columns)
            assert np.array_equal(out, chosen)
        wide = np.full((1000, 7), 7, dtype)
        reader.read_into(wide[:, 1:6], 2000)  # not contiguous
        assert np.array_equal(wide[:, 1:6], want[2000:3000])
        assert (wide[:, [0, 6]] == 7).all()
    reader.close()


def test_each_kind_has_its_reader(tmp_path: Path) -> None:
    for form, subtype, kind in (("WAV", "FLOAT", RawReader), ("FLAC", "PCM_24", SoundReader), ("WAV", "ULAW", SoundReader)):
        path = tmp_path / form
        soundfile.write(path, DATA, 48000, subtype, format=form)
        reader = open_segment(path)
        assert isinstance(reader, kind)
        reader.close()


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "take.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("audio", data=DATA, chunks=(100, 5))
    reader = open_segment(path)
    assert isinstance(reader, Hdf5Reader)
    for dtype in (np.float32, np.float64):
        out = np.empty((2001, 5), dtype)
        reader.read_into(out, 999)
        assert np.array_equal(out, DATA[999:3000])
        some = np.empty((2001, 3), dtype)
        reader.read_into(some, 999, [4, 0, 4])
        assert np.array_equal(some, DATA[999:3000][:, [4, 0, 4]])
    with pytest.raises(DiskError, match="ends after 3001 frames"):
        reader.read_into(np.empty((2, 5), np.float32), 3000)
    reader.close()
    with h5py.File(path, "w") as file:
        file.create_dataset("other", data=DATA)
    with pytest.raises(DiskError, match="no dataset audio"):
        open_segment(path)


def test_hdf5_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "take.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DiskError, match=r"pip install 'asmu-control\[hdf5\]'"):
        open_segment(path)
    monkeypatch.undo()
    pytest.importorskip("h5py")
    with pytest.raises(DiskError, match=r"take\.h5"):
        open_segment(path)


def test_a_file_that_ends_sooner_than_it_was_said_to(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    soundfile.write(path, DATA, 48000, "FLOAT")
    reader = open_segment(path)
    os.truncate(path, path.stat().st_size - 1000 * 20)
    out = np.empty((3001, 5), np.float32)
    with pytest.raises(DiskError, match="ends after 2001 frames") as caught:
        reader.read_into(out, 0)
    assert caught.value.code == "file_unreadable"
    reader.read_into(out[:2001], 0)
    assert np.array_equal(out[:2001], DATA[:2001])
    reader.close()


def test_a_growing_file_has_the_rows_of_its_size_whatever_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "take.part.wav"
    soundfile.write(path, DATA[:1000], 48000, "FLOAT", format="RF64")
    reader = open_segment(path, growing=True)
    assert isinstance(reader, RawReader)
    assert reader.frames == 1000
    with path.open("ab") as file:
        file.write(DATA[1000:2000].tobytes() + b"\0" * 19)
    assert reader.refresh() == 2000
    out = np.empty((2000, 5), np.float32)
    reader.read_into(out, 0)
    assert np.array_equal(out, DATA[:2000])
    reader.close()
    settled = open_segment(path)
    assert settled.frames == 1000
    settled.close()


def test_what_is_no_sound_file(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    with pytest.raises(FileNotFoundError):
        open_segment(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DiskError, match=r"take\.wav") as caught:
        open_segment(path)
    assert (caught.value.code, caught.value.where) == ("file_unreadable", str(path))
    with pytest.raises(DiskError):
        open_segment(tmp_path)


@pytest.mark.parametrize(
    ("form", "subtype", "kind"), [("WAV", "PCM_16", "<i2"), ("CAF", "FLOAT", ">f4"), ("W64", "DOUBLE", "<f8")]
)
def test_a_map_has_what_is_stored(tmp_path: Path, form: str, subtype: str, kind: str) -> None:
    path = tmp_path / "take"
    soundfile.write(path, DATA, 48000, subtype, format=form)
    reader = open_segment(path)
    assert isinstance(reader, RawReader)
    mapped = reader.memmap()
    assert mapped.dtype == np.dtype(kind)
    assert not mapped.flags.writeable
    want = soundfile.read(path, dtype="int16" if subtype == "PCM_16" else "float64")[0]
    assert np.array_equal(mapped, want)
    reader.close()


def test_24_bit_cannot_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    soundfile.write(path, DATA, 48000, "PCM_24")
    reader = open_segment(path)
    assert isinstance(reader, RawReader)
    with pytest.raises(DiskError, match="24 bit"):
        reader.memmap()
    reader.close()


def test_many_threads_share_a_reader(tmp_path: Path) -> None:
    for form, subtype in (("WAV", "PCM_24"), ("FLAC", "PCM_24")):
        path = tmp_path / form
        soundfile.write(path, DATA, 48000, subtype, format=form)
        want = soundfile.read(path, dtype="float32")[0]
        reader = open_segment(path)
        wrong: list[int] = []

        def run(seed: int, reader: reading.SegmentReader = reader, want: np.ndarray = want, wrong: list[int] = wrong) -> None:
            random = np.random.default_rng(seed)
            for _ in range(30):
                row, stop = sorted(random.integers(0, 3001, 2))
                out = np.empty((stop - row, 5), np.float32)
                reader.read_into(out, int(row))
                if not np.array_equal(out, want[row:stop]):
                    wrong.append(seed)

        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        reader.close()
