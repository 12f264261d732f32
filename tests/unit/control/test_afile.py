"""Sound files: what is written comes back, whatever the format; and what does not fit is refused."""

from __future__ import annotations

import gc
import struct
import wave
from datetime import datetime

import numpy as np
import pytest
import soundfile

import asmu_control as asmu
from asmu_control.exceptions import DiskError
from asmu_control.soundformat import make_plain

X = ((np.arange(3000) * 7919 % 2**16 - 2**15) / 2**15).astype(np.float32).reshape(1500, 2)
COMPRESSED = {"MP3", "OGG"}
EIGHT_BITS = {"XI", "SVX", "WVE"}
FORMATS = sorted(set(soundfile.available_formats()) - {"RAW"})


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=48000)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "take.wav"


def test_the_default_is_a_plain_wav_of_floats(interface, path):
    with asmu.AFile(interface, "w", path, channels=2) as afile:
        assert isinstance(afile, soundfile.SoundFile)
        afile.write(X)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate, info.channels, info.frames) == ("WAV", "FLOAT", 48000, 2, 1500)
    assert np.array_equal(soundfile.read(path, dtype="float32")[0], X)
    with asmu.AFile(interface, "w", path, channels=2, subtype="PCM_24") as afile:
        afile.write(X)
    with wave.open(str(path)) as file:  # a program that knows plain WAV only
        assert (file.getnframes(), file.getnchannels(), file.getsampwidth()) == (1500, 2, 3)


def test_title_and_date(interface, path):
    before = datetime.now().astimezone().replace(microsecond=0)
    with asmu.AFile(interface, "w", path, channels=2) as afile:
        afile.write(X)
    with soundfile.SoundFile(path) as file:
        assert file.title == "take"
        date = datetime.fromisoformat(file.date)
    assert before <= date <= datetime.now().astimezone()
    assert date.utcoffset() is not None
    afile = asmu.AFile(interface, "w", path, channels=2)
    afile.title, afile.artist = "mine", "me"
    with afile:
        afile.write(X)
    assert (asmu.AFile(None, "r", path).title, asmu.AFile(None, "r", path).artist) == ("mine", "me")


@pytest.mark.parametrize("when", ["before", "open", "after"])
def test_settings(interface, path, when):
    settings = {"gain": 20.5, "ü": [1, None, {"a": True}], "numpy": np.float32(0.5), "array": np.arange(3)}
    afile = asmu.AFile(interface, "w", path, channels=2)
    assert afile.settings == {}
    if when == "before":
        afile.settings = settings
    with afile.open() as same:
        assert same is afile
        if when == "open":
            afile.settings = settings
        afile.write(X)
        if when == "after":
            afile.settings = settings
    expected = {"gain": 20.5, "ü": [1, None, {"a": True}], "numpy": 0.5, "array": [0, 1, 2]}
    assert afile.settings == expected
    read = asmu.AFile(None, "r", path)
    assert read.settings == expected
    assert np.array_equal(read.data, X)
    read.close()
    assert read.settings == expected


def test_a_comment_that_is_no_settings(interface, path):
    with asmu.AFile(interface, "w", path, channels=2) as afile:
        afile.comment = "said by hand"
        afile.write(X)
    read = asmu.AFile(None, "r", path)
    assert read.comment == "said by hand"
    with pytest.raises(ValueError, match="holds no settings, but a text: said by hand"):
        _ = read.settings
    with pytest.raises(DiskError, match="open to be read"):
        read.title = "x"
    read.close()


def test_settings_that_would_be_lost(interface, tmp_path):
    wav = asmu.AFile(interface, "w", tmp_path / "a.wav", channels=1)
    with pytest.raises(DiskError, match=r"WAV does not keep a comment of 5\d+ letters"):
        wav.settings = {"long": "x" * 5000}
    with pytest.raises(ValueError, match="cannot be stored as JSON"):
        wav.settings = {"a": object()}
    assert wav.settings == {}
    with pytest.raises(DiskError, match="AU does not keep"):
        asmu.AFile(interface, "w", tmp_path / "a.au", channels=1).settings = {"a": 1}
    flac = asmu.AFile(interface, "w", tmp_path / "a.flac", channels=2)
    flac.settings = {"long": "x" * 5000}
    with flac:
        flac.write(X)
        with pytest.raises(DiskError, match="before the first sample"):
            flac.title = "late"
    assert asmu.AFile(None, "r", tmp_path / "a.flac").settings == {"long": "x" * 5000}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written(interface, tmp_path, monkeypatch, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    channels = 1 if name in EIGHT_BITS | {"MPC2K", "SDS", "HTK"} else 2
    with asmu.AFile(interface, "w", tmp_path / "take", channels=channels, format=name) as afile:
        afile.write(X[:, :channels] / 2)
    assert (afile.format, soundfile.check_format(name, afile.subtype)) == (name, True)
    data = afile.data
    assert (data.dtype, data.shape[1]) == (np.float32, channels)
    assert len(data) >= 1500
    if name not in COMPRESSED | EIGHT_BITS:
        assert np.abs(data[:1500] - X[:, :channels] / 2).max() <= 2**-15
    read = asmu.AFile(None, "r", tmp_path / "take")
    if name not in ("SD2",):
        assert np.array_equal(read.data, data)
        read.close()
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("a.flac", ("FLAC", "PCM_24")),
        ("a.aif", ("AIFF", "FLOAT")),
        ("a.ogg", ("OGG", "VORBIS")),
        ("a.opus", ("OGG", "OPUS")),
        ("a.rf64", ("RF64", "FLOAT")),
        ("a.WAVE", ("WAV", "FLOAT")),
        ("a", ("WAV", "FLOAT")),
        ("a.dat", ("WAV", "FLOAT")),
    ],
)
def test_the_format_by_the_ending(interface, tmp_path, file, form):
    afile = asmu.AFile(interface, "w", tmp_path / file, channels=1)
    assert (afile.format, afile.subtype, afile.channels, afile.samplerate) == (*form, 1, 48000)
    assert not (tmp_path / file).exists()
    with afile:
        afile.write(X[:, 0] / 2)
    assert soundfile.info(tmp_path / file).format == form[0]


def test_write_and_read(interface, path):
    with asmu.AFile(interface, "w+", path, channels=2) as afile:
        afile.write(X[:1000])
        assert np.array_equal(afile.data, X[:1000])
        afile.write(X[1000:])
        assert np.array_equal(afile.data, X)
        afile.seek(10)
        assert np.array_equal(afile.read(5, dtype="float32"), X[10:15])
    assert np.array_equal(afile.data, X)
    with afile:  # what was written is still there
        assert (len(afile.data), afile.frames) == (1500, 1500)
    with asmu.AFile(interface, "w+", path, channels=2) as afile:
        assert afile.data.shape == (0, 2)


def test_others_read_while_it_is_written(interface, path):
    with asmu.AFile(interface, "w", path, channels=2) as afile:
        afile.write(X)
        assert np.array_equal(afile.data, X)
        afile.flush()
        assert np.array_equal(soundfile.read(path, dtype="float32")[0], X)


def test_what_a_recorder_puts_in_its_place_is_read(interface, path):
    with asmu.AFile(interface, "w+", path, channels=1) as afile:
        recorder = asmu.analyzer.Recorder(interface, afile)
        asmu.generator.Constant(interface, 0.25).output().connect(recorder.input())
        for _ in range(3):
            interface.callback(None, None, 1024)
        interface.close()
        assert np.array_equal(afile.data, np.full((3072, 1), 0.25))
        assert afile.frames == 3072
    assert np.array_equal(afile.data, np.full((3072, 1), 0.25))
    later = asmu.AFile(interface, "w+", temp=True, channels=1)
    asmu.analyzer.Recorder(interface, later).input().connect(interface.iinput(ch=1))
    interface.callback(np.full((100, 1), 0.5), None, 100)
    interface.close()
    with later:
        assert np.array_equal(later.data, np.full((100, 1), 0.5))


@pytest.mark.parametrize("mode", ["w", "w+"])
@pytest.mark.parametrize("opened", [False, True])
def test_texts_that_come_too_late(interface, path, mode, opened):
    afile = asmu.AFile(interface, mode, path, channels=1)
    if opened:
        afile.open()
    afile.settings = {"a": 1}
    asmu.analyzer.Recorder(interface, afile).input().connect(interface.iinput(ch=1))
    interface.callback(None, None, 100)
    interface.close()
    with pytest.raises(DiskError, match="is written already; give it its comment before"):
        afile.settings = {"a": 2}
    afile.close()
    assert afile.data.shape == (100, 1)


def test_a_temporary_file(interface, tmp_path):
    afile = asmu.AFile(interface, "w+", channels=2, temp=True)
    afile.write(X)  # opens it
    afile.close()
    assert np.array_equal(afile.data, X)
    path = afile.path
    assert path.exists()
    del afile
    gc.collect()
    assert not path.parent.exists()
    afile = asmu.AFile(interface, "w", tmp_path / "mine.wav", channels=2, temp=True)
    afile.write(X)
    del afile
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_reading_opens_at_first_use(path):
    soundfile.write(path, X, 96000, "PCM_16")
    afile = asmu.AFile(None, "r", path)
    assert afile.closed
    assert (afile.name, afile.mode) == (str(path), "r")
    assert (afile.samplerate, afile.channels, afile.frames, afile.subtype, afile.format) == (96000, 2, 1500, "PCM_16", "WAV")
    assert not afile.closed
    afile.close()
    with pytest.raises(soundfile.SoundFileRuntimeError, match="closed"):
        afile.read()
    with afile.open():
        assert len(afile.read()) == 1500


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"mode": "a", "path": "x"}, "mode 'a': use 'r'"),
        ({"mode": "r"}, "give its path"),
        ({"mode": "r", "path": "x", "temp": True}, "give its path"),
        ({"mode": "w", "channels": 1}, "give the path of the file, or temp=True"),
        ({"mode": "w", "path": "x"}, "channels=1 or more"),
        ({"mode": "w", "path": "x", "channels": 0}, "channels=1 or more"),
        ({"mode": "w", "path": "x", "channels": 1, "format": "TAPE"}, "no format 'TAPE'; use one of AIFF, AU"),
        ({"mode": "w", "path": "x", "channels": 1, "subtype": "VORBIS"}, "WAV does not hold 'VORBIS'; use one of"),
    ],
)
def test_arguments_that_cannot_be(interface, arguments, text):
    with pytest.raises(ValueError, match=text):
        asmu.AFile(interface, **arguments)


def test_files_that_cannot_be(interface, tmp_path):
    with pytest.raises(DiskError, match="there is no such file"):
        asmu.AFile(None, "r", tmp_path / "gone.wav").open()
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(DiskError, match=r"cannot read .*text\.wav"):
        _ = asmu.AFile(None, "r", tmp_path / "text.wav").data
    for path, text in ((tmp_path / "no" / "a.wav", "there is no folder"), (tmp_path, "it is a folder")):
        with pytest.raises(DiskError, match=text) as caught:
            asmu.AFile(interface, "w", path, channels=1).open()
        assert caught.value.code == "file_unwritable"
    with pytest.raises(DiskError) as caught:
        asmu.AFile(interface, "w+", tmp_path / "a.flac", channels=1).open()
    assert caught.value.code == "file_format"


def test_the_header_of_a_small_file_only_is_made_plain(tmp_path):
    path = tmp_path / "big.wav"
    with soundfile.SoundFile(path, "w", 48000, 2, "FLOAT", format="RF64") as file:
        file.write(X)
    before = path.read_bytes()
    make_plain(path)
    assert path.read_bytes() == before
    assert before[:4] == b"RF64"


@pytest.mark.stress
def test_a_wav_beyond_4_gib_is_an_rf64(interface, tmp_path):
    block = np.zeros((2**20, 32), np.float32)
    block[-1] = np.arange(32)
    with asmu.AFile(interface, "w", tmp_path / "big.wav", channels=32) as afile:
        for _ in range(33):
            afile.write(block)
    with (tmp_path / "big.wav").open("rb") as file:
        head = file.read(12)
    assert head[:4] == b"RF64"
    assert struct.unpack("<I", head[4:8]) == (0xFFFFFFFF,)
    with asmu.AFile(None, "r", tmp_path / "big.wav") as afile:
        assert afile.frames == 33 * 2**20
        afile.seek(afile.frames - 1)
        assert np.array_equal(afile.read(dtype="float32"), block[-1:])
