"""Set-up files: what is saved comes back, what is damaged is refused, and what was there stays."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control import setupfile
from asmu_control.exceptions import ConfigError, DiskError, EngineError

BY_ASMU = {
    "created": "2025-03-04T12:34:56.789012",
    "samplerate": 48000,
    "blocksize": 512,
    "latency": 1234,
    "iinputs": [
        {"channel": 9, "name": "mic", "reference": None, "gain": 20, "cPa": 0.05, "fPa": 1000.0, "datePa": "2025-03-04T12:00:00"},
        {"channel": 2, "color": "red", "pos": [1, 2, 3], "serial": "4711", "cFR": [1, 0.5], "fFR": [10, 20]},
    ],
    "ioutputs": [{"channel": 1, "name": "speaker", "latency": 3}],
}


def made(path: Path, **settings) -> tuple[asmu.ASetup, asmu.Interface]:
    """A set-up that goes with an interface and is not loaded yet."""
    asetup = asmu.ASetup(path)
    interface = asmu.Interface(device="virtual", **settings)
    interface.asetup = asetup
    return asetup, interface


def values() -> dict:
    return {
        "name": "Mikrofön",
        "reference": "4190",
        "gain": 20.5,
        "latency": 12,
        "color": (0.1, 0.2, 0.3),
        "cPa": np.float64(0.0125),
        "fPa": 1000,
        "datePa": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2))),
        "cV": 1e-7,
        "dateV": "2026-01-02T03:04:05+00:00",
        "dateA": date(2026, 5, 6),
        "cFR": np.array([1 + 2j, np.nan, -0.0]),
        "fFR": np.arange(3, dtype=np.float32),
        "pos": [1, 2.5, None],
        "serial": {"a": [1, {"b": None}], "ok": True},
        "impulse": np.arange(12, dtype=np.int16).reshape(3, 4),
        "phase": 1 - 2j,
        "note": "x.npy",
        "folder": Path("a/b"),
    }


def same(mine, theirs) -> bool:
    if isinstance(theirs, np.ndarray):
        return mine.dtype == theirs.dtype and np.array_equal(mine, theirs, equal_nan=theirs.dtype.kind in "fc")
    return type(mine) is type(np.float64(0).item() if isinstance(theirs, np.floating) else theirs) and mine == theirs


def test_everything_comes_back_equal(tmp_path):
    asetup, interface = made(tmp_path / "lab.asmu", samplerate=96000, blocksize=64)
    for channel in (interface.iinput(ch=9), interface.ioutput(ch=33)):
        for name, value in values().items():
            setattr(channel, name, value)
    interface.iinput(1, 4)
    interface.latency = 777
    assert asetup.date is None
    before = datetime.now(UTC) - timedelta(seconds=1)
    asetup.save()
    assert before <= asetup.date <= datetime.now(UTC)

    asetup2, interface2 = made(tmp_path / "lab.asmu")
    assert interface2.iinputs == ()
    asetup2.load()
    assert asetup2.date == asetup.date
    assert (interface2.samplerate, interface2.blocksize, interface2.latency) == (96000, 64, 777)
    assert repr(interface2.iinputs) == "(in_ch09, in_ch04)"
    assert repr(interface2.ioutputs) == "(out_ch33,)"
    for channel in (interface2.iinput(ch=9), interface2.ioutput()):
        assert channel.attributes.keys() == values().keys()
        for name, value in values().items():
            assert same(getattr(channel, name), value), name
    assert interface2.iinput(ch=4).attributes == {}
    assert interface2.asetup is asetup2
    assert asetup2.interface is interface2


def test_the_file_is_json_with_arrays_beside_it(tmp_path):
    asetup, interface = made(tmp_path / "lab.asmu")
    interface.iinput(ch=9).cFR = np.array([1.0, 2.0])
    interface.iinput(ch=9).name = "mic"
    asetup.save()
    data = json.loads((tmp_path / "lab.asmu").read_text(encoding="utf-8"))
    assert list(data) == ["created", "samplerate", "blocksize", "latency", "iinputs", "ioutputs"]
    assert (data["iinputs"][0]["channel"], data["iinputs"][0]["name"]) == (9, "mic")
    array = data["iinputs"][0]["cFR"]
    assert {path.name for path in tmp_path.iterdir()} == {"lab.asmu", array}
    assert np.load(tmp_path / array).tolist() == [1.0, 2.0]


def test_a_file_as_asmu_writes_it(tmp_path):
    (tmp_path / "old.asmu").write_text(json.dumps(BY_ASMU))
    asetup, interface = made(tmp_path / "old.asmu")
    asetup.load()
    assert asetup.date == datetime(2025, 3, 4, 12, 34, 56, 789012).astimezone()
    assert (interface.samplerate, interface.blocksize, interface.latency) == (48000, 512, 1234)
    microphone, other = interface.iinputs
    assert (microphone.channel, microphone.name, microphone.gain, microphone.cPa) == (9, "mic", 20, 0.05)
    assert microphone.datePa == datetime(2025, 3, 4, 12).astimezone()
    assert (other.channel, other.color, other.pos, other.serial) == (2, "red", [1, 2, 3], "4711")
    assert isinstance(other.cFR, np.ndarray)
    assert (other.cFR.tolist(), other.fFR.tolist()) == ([1, 0.5], [10, 20])
    assert interface.ioutput(name="speaker").latency == 3


@pytest.mark.parametrize("reference", ["r.npy", "elsewhere/r.npy", "{absolute}"])
def test_arrays_of_other_files_are_found_beside_them(tmp_path, reference):
    np.save(tmp_path / "r.npy", np.array([1j, 2]))
    data = {**BY_ASMU, "iinputs": [{"channel": 1, "cFR": reference.format(absolute=tmp_path / "r.npy")}]}
    (tmp_path / "old.asmu").write_text(json.dumps(data))
    asetup, interface = made(tmp_path / "old.asmu")
    asetup.load()
    assert interface.iinput().cFR.tolist() == [1j, 2]


def test_loaded_before_the_interface_is_made(tmp_path):
    (tmp_path / "old.asmu").write_text(json.dumps(BY_ASMU))
    asetup = asmu.ASetup(tmp_path / "old.asmu")
    assert (asetup.samplerate, asetup.blocksize) == (None, None)
    asetup.load()
    interface = asmu.Interface(asetup, "virtual")
    assert (interface.samplerate, interface.blocksize, interface.latency) == (48000, 512, 1234)
    assert interface.iinput(ch=9).name == "mic"
    # As in asmu the file counts, not the other arguments.
    interface = asmu.Interface(asetup, "virtual", samplerate=44100)
    assert (interface.samplerate, interface.blocksize, interface.latency) == (48000, 512, 1234)
    # A latency in frames is that of one samplerate and blocksize.
    interface = asmu.Interface(device="virtual", samplerate=44100)
    interface.asetup = asetup
    assert (interface.samplerate, interface.latency, interface.iinput(ch=9).name) == (44100, 0, "mic")


def test_an_interface_loads_the_set_up_that_it_is_made_with(tmp_path):
    (tmp_path / "old.asmu").write_text(json.dumps(BY_ASMU))
    interface = asmu.Interface(asmu.ASetup(tmp_path / "old.asmu"), "virtual")
    assert (interface.samplerate, interface.blocksize, interface.latency) == (48000, 512, 1234)
    assert interface.iinput(name="mic").cPa == 0.05
    with pytest.raises(DiskError, match="No such file"):
        asmu.Interface(asmu.ASetup(tmp_path / "new.asmu"), "virtual")


def test_channels_that_are_there_keep_what_the_file_does_not_say(tmp_path):
    (tmp_path / "old.asmu").write_text(json.dumps(BY_ASMU))
    asetup, interface = made(tmp_path / "old.asmu")
    interface.iinput(ch=2).name = "mine"
    interface.iinput(1, 30).name = "extra"
    asetup.load()
    assert repr(interface.iinputs) == "(in_ch02, in_ch30, in_ch09)"
    assert (interface.iinput(ch=2).name, interface.iinput(ch=2).serial) == ("mine", "4711")


def test_another_format_is_refused_once_processors_are_made_for_one(tmp_path):
    (tmp_path / "old.asmu").write_text(json.dumps(BY_ASMU))
    asetup, interface = made(tmp_path / "old.asmu")
    asmu.generator.Sine(interface, 1)
    with pytest.raises(EngineError, match="load the set-up before you make processors"):
        asetup.load()
    assert interface.iinputs == ()
    asetup, interface = made(tmp_path / "old.asmu", samplerate=48000, blocksize=512)
    asmu.generator.Sine(interface, 1)
    asetup.load()
    assert interface.latency == 1234


def test_the_new_format_is_that_of_the_engine(tmp_path):
    (tmp_path / "old.asmu").write_text(json.dumps(BY_ASMU))
    asetup, interface = made(tmp_path / "old.asmu")
    asetup.load()
    asmu.generator.Sine(interface, 12_000, np.pi / 2).output().connect(interface.ioutput(ch=1))
    out = np.empty((4, 1), np.float32)
    interface.callback(None, out, 4)
    assert out[:, 0] == pytest.approx([1, 0, -1, 0], abs=1e-6)
    (tmp_path / "old.asmu").write_text(json.dumps({**BY_ASMU, "samplerate": 96000}))
    with pytest.raises(EngineError):
        asetup.load()
    assert interface.samplerate == 48000
    interface.close()


def changed(**entries) -> str:
    return json.dumps({**BY_ASMU, **entries})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "not JSON, or damaged"),
        (json.dumps(BY_ASMU)[:-20], "not JSON, or damaged"),
        ("\x00\x01", "not JSON, or damaged"),
        ("[1, 2]", "JSON, but no set-up"),
        ('{"name": "other"}', "it has no samplerate, blocksize, iinputs, ioutputs"),
        (changed(samplerate="fast"), "samplerate is 'fast', not a number"),
        (changed(samplerate=float("nan")), "samplerate is nan"),
        (changed(blocksize=0), "blocksize is 0; it must be a whole number from 1"),
        (changed(blocksize=12.5), "blocksize is 12.5"),
        (changed(latency=-1), "latency is -1"),
        (changed(iinputs={}), "iinputs is dict, not a list"),
        (changed(iinputs=[3]), r"iinputs\[0\] is no channel: 3"),
        (changed(ioutputs=[{"name": "x"}]), r"ioutputs\[0\] has channel None"),
        (changed(ioutputs=[{"channel": 0}]), r"ioutputs\[0\] has channel 0"),
        (changed(ioutputs=[{"channel": 1}, {"channel": 1}]), r"ioutputs\[1\]: channel 1 is there twice"),
        (changed(iinputs=[{"channel": 1, "cFR": "gone.npy"}]), r"iinputs\[0\].cFR: its array gone.npy is not beside"),
        (changed(iinputs=[{"channel": 1, "cFR": "text.npy"}]), "cFR: its array .*text.npy cannot be read"),
        (changed(iinputs=[{"channel": 1, "connect": 1}]), "channel 1: 'connect' cannot be the name of an attribute"),
    ],
)
def test_damaged_and_foreign_files(tmp_path, content, text):
    path = tmp_path / "bad.asmu"
    path.write_text(content)
    (tmp_path / "text.npy").write_text("no array")
    asetup, interface = made(path)
    with pytest.raises(ConfigError, match=text) as caught:
        asetup.load()
    assert caught.value.where.startswith(str(path))
    assert (interface.iinputs, interface.ioutputs, interface.samplerate, asetup.date) == ((), (), 44100, None)


def test_an_array_with_objects_is_never_executed(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "bad.asmu").write_text(changed(iinputs=[{"channel": 1, "cFR": "evil.npy"}]))
    asetup, _ = made(tmp_path / "bad.asmu")
    with pytest.raises(ConfigError, match="cannot be read"):
        asetup.load()


def test_files_that_cannot_be_reached(tmp_path):
    asetup, interface = made(tmp_path / "gone" / "lab.asmu")
    with pytest.raises(DiskError, match="No such file"):
        asetup.load()
    with pytest.raises(DiskError, match="cannot write set-up"):
        asetup.save()
    with pytest.raises(EngineError, match="make an interface with this set-up"):
        asmu.ASetup(tmp_path / "x.asmu").save()
    with pytest.raises(ConfigError, match="is no set-up"):
        asmu.Interface(asetup="x", device="virtual")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is no set-up"):
        interface.asetup = "x"  # type: ignore[assignment]
    interface.iinput(ch=1).thing = object()
    with pytest.raises(ConfigError, match=r"in_ch01\.thing: .* cannot be stored"):
        asetup.save(tmp_path / "y.asmu")
    interface.iinput(ch=1).thing = np.array([object()])
    with pytest.raises(ConfigError, match=r"in_ch01\.thing: an array of object cannot be stored"):
        asetup.save(tmp_path / "y.asmu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", [1, 2])
def test_saving_is_all_or_nothing(tmp_path, monkeypatch, failing):
    asetup, interface = made(tmp_path / "lab.asmu")
    interface.iinput(ch=1).cFR = np.array([1.0])
    asetup.save()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    interface.iinput(ch=1).cFR = np.array([2.0])
    calls = []
    replace = setupfile._replace

    def full(path, content):
        calls.append(path)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        replace(path, content)

    monkeypatch.setattr(setupfile, "_replace", full)
    with pytest.raises(DiskError, match="No space left"):
        asetup.save()
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    monkeypatch.undo()
    asetup2, interface2 = made(tmp_path / "lab.asmu")
    asetup2.load()
    assert interface2.iinput().cFR.tolist() == [1.0]
    asetup.save()
    # The arrays that nobody needs any more are gone.
    assert len(list(tmp_path.iterdir())) == 2
    asetup2.load()
    assert interface2.iinput().cFR.tolist() == [2.0]


def test_a_copy_under_another_name_leaves_the_first_alone(tmp_path):
    asetup, interface = made(tmp_path / "lab.asmu")
    interface.iinput(ch=1).cFR = np.array([1.0])
    asetup.save()
    interface.iinput(ch=1).cFR = np.array([2.0])
    asetup.save(tmp_path / "lab.backup")
    assert asetup.path == tmp_path / "lab.asmu"
    for name, value in (("lab.asmu", 1.0), ("lab.backup", 2.0)):
        other, interface2 = made(tmp_path / name)
        other.load()
        assert interface2.iinput().cFR.tolist() == [value]
    assert "lab.backup" in repr(other)
