"""Reading of journals and the refusals of a replay; what it renders is compared with live engines end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asmu_control.journalfile import position_of, read_journal
from asmu_control.replay import replay
from asmu_control.replayfile import ReplayInput, ReplayOutput
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import AsmuError, ConfigError, DiskError

HEAD = {
    "what": "session",
    "journal": 1,
    "engine": "lab",
    "samplerate": 48000.0,
    "blocksize": 64,
    "device": {"kind": "offline"},
    "plugins": [],
}


def add(node: str, kind: str, inputs: int = 0, outputs: int = 0, **parameters: Any) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source: str, target: str, output: int = 0, port: int = 0) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def transaction(at: int, *edits: dict[str, Any], revision: int = 1) -> dict[str, Any]:
    return {"what": "transaction", "revision": revision, "author": "me", "at": at, "late": 0, "edits": list(edits)}


def started(position: int, inputs: tuple[int, ...] = (1, 2), outputs: tuple[int, ...] = (1, 2), **more: Any) -> dict[str, Any]:
    how = {"drop": 0, "reset": True, "end_block": None, **more}
    return {"what": "started", "position": position, "inputs": list(inputs), "outputs": list(outputs), **how}


def stopped(position: int) -> dict[str, Any]:
    return {"what": "stopped", "position": position, "state": "stopped", "reason": ""}


def write(folder: Path, *items: Any, head: dict[str, Any] | None = None) -> Path:
    file = folder / "journal"
    lines = [json.dumps(item) if isinstance(item, dict) else item for item in (HEAD if head is None else head, *items)]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def rendered(file: Path, **how: Any) -> tuple[np.ndarray, Any]:
    report = replay(file, file.with_name("out.wav"), **how)
    return soundfile.read(file.with_name("out.wav"), dtype="float32", always_2d=True)[0], report


LATER = transaction(96, {"op": "set", "node": "one", "parameters": {"value": 0.25}}, revision=2)
CONSTANT = (add("one", "constant", 0, 1, value=0.5), connect("one", "out"))


def test_sessions_are_told_apart_and_sorted_by_the_axis(tmp_path: Path) -> None:
    array = {"array": "float32", "shape": [1], "data": "AACAPw=="}
    file = write(
        tmp_path,
        started(128),
        transaction(200, revision=2),
        "",
        transaction(150, {"op": "set", "node": "a", "parameters": {"x": array}}),
        {"what": "lost", "position": 190, "lost": 62},
        {"what": "journal_lost", "lines": 3, "reason": "full"},
        "not json",
        HEAD,
        {"what": "ended", "position": 5},
        '{"what": "torn',
    )
    first, second = read_journal(file)
    assert [position_of(item) for item in first.items] == [128, 128, 150, 200]
    assert first.items[2]["edits"][0]["parameters"] == {"x": Array("f4", (1,), b"\x00\x00\x80?")}
    assert (first.missing, second.missing) == (4, 0)
    assert (first.samplerate, first.blocksize) == (48000.0, 64)
    assert [item["what"] for item in second.items] == ["ended"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "empty"),
        (["plain text", "more"], "first line"),
        ([transaction(0)], "first line"),
        ([{**HEAD, "journal": 2}], "version 2"),
        ([{"what": "session", "journal": 1, "samplerate": 1.0}], "no blocksize, device"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, lines: list[Any], words: str) -> None:
    file = tmp_path / "journal"
    file.write_text("".join(f"{json.dumps(line) if isinstance(line, dict) else line}\n" for line in lines))
    with pytest.raises(ConfigError, match=words):
        read_journal(file)
    with pytest.raises(DiskError) as caught:
        read_journal(tmp_path / "none")
    assert caught.value.code == "file_unreadable"


def test_the_file_lies_on_the_frame_axis(tmp_path: Path) -> None:
    """Silence before drop's end, while the device stood, and where frames were lost; cuts to the frame."""
    file = write(
        tmp_path,
        transaction(0, *CONSTANT),
        started(1000, drop=1),
        transaction(1100, {"op": "set", "node": "one", "parameters": {"value": 0.25}}, revision=2),
        {"what": "lost", "position": 1000 + 128 + 50, "lost": 50},
        stopped(1242),
        transaction(1242, {"op": "set", "node": "one", "parameters": {"value": 0.75}}, revision=3),
        started(1300, reset=False),
        stopped(1364),
        {"what": "ended", "position": 1364},
    )
    out, report = rendered(file)
    expected = np.zeros(364, np.float32)
    expected[64:100] = 0.5
    expected[100:128] = 0.25
    expected[178:242] = 0.25
    expected[300:] = 0.75
    assert out[:, 0].tolist() == expected.tolist()
    assert not out[:, 1].any()
    assert (report.position, report.frames, report.channels, report.transactions) == (1000, 364, 2, 3)
    assert report.warnings == []


def test_columns_are_the_channels_in_use(tmp_path: Path) -> None:
    head = {**HEAD, "device": {"kind": "offline", "outputs": 8}}
    edits = transaction(0, CONSTANT[0], connect("one", "out", 0, 6))
    file = write(tmp_path, edits, started(0, outputs=(3, 7)), stopped(64), head=head)
    out, report = rendered(file)
    assert report.channels == 2
    assert out[:, 1].tolist() == [0.5] * 64
    assert not out[:, 0].any()


def test_a_tap_that_comes_grows_and_goes(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        transaction(0, *CONSTANT, connect("in", "out", 0, 1)),
        started(0),
        transaction(32, add("tap1", "tap", 1), connect("one", "tap1")),
        transaction(70, {"op": "resize", "node": "tap1", "inputs": 2, "outputs": 0}, connect("one", "tap1", 0, 1)),
        transaction(100, {"op": "remove", "node": "tap1"}),
        transaction(110, add("tap1", "tap", 2), connect("one", "tap1", 0, 1)),
        {"what": "audio_ended", "position": 128, "status": "signal 9"},
        {"what": "audio_restarted", "position": 192, "gap": 64},
        stopped(256),
    )
    out, report = rendered(file, tap="tap1")
    first, second = np.zeros((2, 256), np.float32)
    first[32:100] = 0.5
    second[70:100] = second[110:128] = second[192:] = 0.5
    assert out[:, 0].tolist() == first.tolist()
    assert out[:, 1].tolist() == second.tolist()
    assert report.channels == 2
    with pytest.raises(ConfigError, match="'one' is a constant"):
        rendered(file, tap="one")
    with pytest.raises(ConfigError, match="never added"):
        rendered(file, tap="two")


def test_inputs_from_a_file_of_its_own(tmp_path: Path) -> None:
    heard = np.arange(1, 101, dtype=np.float32).reshape(100, 1) / 128
    soundfile.write(tmp_path / "in.wav", heard, 48000, subtype="FLOAT")
    head = {**HEAD, "device": {"kind": "portaudio", "device": 3}}
    file = write(
        tmp_path, transaction(0, connect("in", "out"), connect("in", "out", 1, 1)), started(500), stopped(628), head=head
    )
    out, report = rendered(file, input=tmp_path / "in.wav")
    assert out[:, 0].tolist() == [*heard[:, 0].tolist(), *[0.0] * 28]
    assert not out[:, 1].any()
    assert report.warnings == []
    out, report = rendered(file)
    assert not out.any()
    assert "--input" in report.warnings[0]
    soundfile.write(tmp_path / "slow.wav", heard, 44100)
    with pytest.raises(ConfigError, match="44100 Hz"):
        rendered(file, input=tmp_path / "slow.wav")
    with pytest.raises(DiskError) as caught:
        rendered(file, input=tmp_path / "none.wav")
    assert caught.value.code == "file_unreadable"


def test_a_looped_file_goes_on_from_its_start(tmp_path: Path) -> None:
    heard = np.arange(1, 51, dtype=np.float32).reshape(50, 1) / 64
    soundfile.write(tmp_path / "loop.wav", heard, 48000, subtype="FLOAT")
    head = {**HEAD, "device": {"kind": "file", "path": str(tmp_path / "loop.wav"), "loop": True}}
    edits = transaction(0, connect("in", "out"))
    out, _ = rendered(write(tmp_path, edits, started(0, (1,), (1,)), stopped(128), head=head))
    assert out[:, 0].tolist() == np.resize(heard[:, 0], 128).tolist()
    head["device"]["loop"] = False
    out, _ = rendered(write(tmp_path, edits, started(0, (1,), (1,)), stopped(128), head=head))
    assert out[:, 0].tolist() == [*heard[:, 0].tolist(), *[0.0] * 78]
    head["device"]["path"] = str(tmp_path / "gone.wav")
    with pytest.raises(AsmuError, match=r"gone\.wav"):
        rendered(write(tmp_path, edits, started(0, (1,), (1,)), stopped(128), head=head))


def test_which_session(tmp_path: Path) -> None:
    file = write(tmp_path, transaction(0, *CONSTANT), started(0), stopped(64), HEAD, started(0), stopped(128))
    assert rendered(file)[1].frames == 128
    assert rendered(file, session=0)[1].frames == 64
    assert rendered(file, session=-2)[1].frames == 64
    with pytest.raises(ConfigError, match="has 2 sessions"):
        rendered(file, session=2)


def test_plugins_are_not_loaded_unasked(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from asmu_control.acore import AGenerator\n\n\n"
        "class AHalf(AGenerator):\n    kind = 'half'\n\n"
        "    def process(self, inputs, outputs):\n        outputs.fill(0.5)\n"
    )
    head = {**HEAD, "plugins": [str(plugin)]}
    items = (transaction(0, add("h", "half", 0, 1), connect("h", "out")), started(0), stopped(64))
    file = write(tmp_path, *items, head=head)
    with pytest.raises(ConfigError, match=r"mine\.py"):
        rendered(file)
    assert rendered(file, plugins=[str(plugin)])[0][:, 0].tolist() == [0.5] * 64


def test_what_cannot_be_done_names_its_revision(tmp_path: Path) -> None:
    file = write(tmp_path, transaction(0, add("x", "unheard", 0, 1), revision=17), started(0), stopped(64))
    with pytest.raises(AsmuError, match="unheard") as caught:
        rendered(file)
    assert any("revision 17 of me" in note for note in caught.value.__notes__)
    with pytest.raises(ConfigError, match="never ran"):
        rendered(write(tmp_path, transaction(0, *CONSTANT)))


def test_what_may_be_wrong_is_said(tmp_path: Path) -> None:
    file = write(tmp_path, transaction(0, *CONSTANT), started(0), {"what": "journal_lost", "lines": 2, "reason": ""}, LATER)
    out, report = rendered(file)
    assert len(out) == 96
    assert [words in warning for words, warning in zip(("2 lines", "frame 96"), report.warnings, strict=True)] == [True, True]


def test_files_without_floats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="32-bit floats"):
        ReplayOutput(tmp_path / "out.flac", 48000, 1)
    for name in ("out.foo", "out"):
        with pytest.raises(ConfigError, match="says no format"):
            ReplayOutput(tmp_path / name, 48000, 1)
    with pytest.raises(DiskError) as caught:
        ReplayOutput(tmp_path / "none" / "out.wav", 48000, 1)
    assert caught.value.code == "file_unwritable"


def test_a_file_is_read_from_any_frame(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.arange(10, dtype=np.float32).reshape(10, 1) / 16, 48000, subtype="FLOAT")
    file = ReplayInput(tmp_path / "in.wav", 48000)
    data = np.ones((4, 2), np.float32)
    for start, expected in ((0, [0, 1, 2, 3]), (8, [8, 9, 0, 0]), (2, [2, 3, 4, 5]), (-1, [0, 0, 0, 0]), (10, [0, 0, 0, 0])):
        file.read(start, data)
        assert (data[:, 0] * 16).tolist() == expected
        assert not data[:, 1].any()
    file.close()
