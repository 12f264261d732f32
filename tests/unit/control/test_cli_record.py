"""``asmu record`` in this process: what it shows and says; what it records is tested end to end."""

from __future__ import annotations

import doctest
import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from asmu_control.cli import levels, main, recordrun, recordview
from asmu_control.cli.recordrun import Signals, find_job, follow, over, report, verdict
from asmu_control.cli.recordview import RecordView, losses, progress, told
from asmu_control.events import Event
from asmu_control.exceptions import DiskError, EngineError, EngineTimeout, RingError
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.writer import RingWriter

runner = CliRunner()

DISK = {
    "folder": "/data/friday",
    "free_bytes": 5e11,
    "bytes_per_second": 1.5e6,
    "full_in_seconds": 3600.0,
    "behind_seconds": 0.02,
    "unsynced_seconds": 0.4,
}
RUNNING = {
    "job": 3,
    "kind": "acquire",
    "node": "tap1",
    "path": "/data/friday",
    "state": "running",
    "channels": 2,
    "seconds": 61.0,
}
DONE = {**RUNNING, "state": "finished", "frames": 48_000, "lost_frames": 0, "segments": 1, "bytes": 384_000, "seconds": 1.0}


@pytest.mark.parametrize("module", [levels, recordview, recordrun])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--out"),
        (["--rollover", "hourly"], "rollover 'hourly': give a time or a size"),
        (["--rollover", "none", "--align"], "rollover='1h'"),
        (["--channels", "0-3"], "counted from 1"),
        (["--seconds", "soon"], "seconds 'soon': give a time"),
        (["--on-full", "explode"], "on_full"),
        (["--tag", "nothing"], "NAME=TEXT"),
        (["--keep"], "asmu engine start"),
        (["--device", "piano:loud=1"], "piano"),
        (["--watch"], "give --engine"),
        (["--stop"], "give --engine"),
        (["--free", "much"], "minimum_free 'much'"),
    ],
)
def test_wrong_arguments_are_named_with_exit_status_two(tmp_path: Path, arguments: list[str], words: str) -> None:
    given = ["--device", "virtual"] if arguments and "--device" not in arguments else []
    out = ["--out", str(tmp_path / "friday")] if arguments else []
    result = runner.invoke(main.app, ["record", *out, *given, *arguments], env={"COLUMNS": "300"})
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


# -- words --------------------------------------------------------------------------------------------------------------


def test_the_line_says_what_matters() -> None:
    status = {**RUNNING, "bytes": 1000, "segments": 2, "lost_frames": 1, "lost": {"device": 1}, "gap_count": 1, "xruns": 2}
    disk = {**DISK, "full_in_seconds": None, "behind_seconds": 12.0}
    assert progress("friday", {**status, "dropped": 3, "disk": disk}, 90.0, "finishing") == (
        "friday: finishing  0:01:01 of 0:01:30  1.00 kB  segment 3  lost 1 frame in 1 gap (device 1)  xruns 2  "
        "dropped 3 segments  disk 500 GB free  12 s behind"
    )
    assert progress("friday", {"state": "starting"}) == "friday  0:00:00  0 B  segment 1  lost 0"
    assert losses({"lost_frames": 5}) == "5 frames"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"event": "disk_warning", "text": "full in 5 min"}, ("disk: full in 5 min", None)),
        (
            {"event": "device_lost", "reason": "unplugged"},
            ("the device was lost: unplugged; waiting for it", "waiting for the device"),
        ),
        ({"event": "device_back", "gap": 512}, ("the device is back; 512 frames are missing", "")),
        (
            {"event": "audio_ended", "status": "signal 9"},
            ("the audio process ended (signal 9); another one is started", "waiting for the audio process"),
        ),
        ({"event": "audio_restarted", "gap": 9}, ("another audio process goes on; 9 frames are missing", "")),
        ({"event": "disk_ended", "status": "signal 9"}, ("the disk process ended (signal 9)", None)),
        ({"event": "disk_restarted"}, ("another disk process goes on", None)),
        ({"event": "clock_step", "seconds": -0.5}, ("UTC was set on this machine, by -0.500 s", None)),
        (
            {"event": "left_out", "node": "bad1", "crashes": 3},
            ("node bad1 made the audio process crash 3 times and is left out", None),
        ),
        ({"event": "state", "state": "running"}, ("", "")),
        ({"event": "state", "state": "lost"}, ("", None)),
        ({"event": "job"}, ("", None)),
    ],
)
def test_events_in_words(event: dict[str, Any], expected: tuple[str, str | None]) -> None:
    assert told(Event("engine", 1, event)) == expected


def test_what_came_of_it_and_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("friday")
    assert verdict(folder, DONE, early=False, quiet=True) == 0
    assert capsys.readouterr().out == ""
    lossy = {**DONE, "lost_frames": 256, "gap_count": 1, "lost": {"device": 256}, "segments": 2}
    assert verdict(folder, lossy, early=False, quiet=False) == 4
    assert capsys.readouterr().out.splitlines() == [
        "friday: 0:00:01, 48000 frames of 2 channels, 384 kB in 2 segments",
        "missing: 256 frames in 1 gap (device 256); which ones stands in friday/ledger.jsonl",
    ]
    assert verdict(folder, {**DONE, "dropped": 1}, early=False, quiet=True) == 4
    assert report(folder, {**DONE, "dropped": 2})[1:] == ["missing: 2 segments, deleted to make room; see friday/ledger.jsonl"]
    with pytest.raises(DiskError, match="before it was told to: disk full"):
        verdict(folder, {**DONE, "reason": "disk full"}, early=True, quiet=True)
    error = EngineError("no more", code="engine_failed")
    with pytest.raises(EngineError, match="no more"):
        verdict(folder, {**DONE, "state": "failed", "error": error.to_wire()}, early=False, quiet=True)


# -- the terminal -------------------------------------------------------------------------------------------------------


def terminal(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> io.StringIO:
    written = io.StringIO()
    console = Console(file=written, width=60, height=10, color_system=None, markup=False, highlight=False, **arguments)
    monkeypatch.setattr(recordview, "console", lambda folded: console)
    return written


def test_a_terminal_has_one_line_that_is_renewed_with_levels_below(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch, force_terminal=True)
    with RecordView("friday") as view:
        view.show({**RUNNING, "bytes": 5}, np.array([1.0, 0.5]), [1, 7])
        assert "friday  0:01:01  5 B  segment 1  lost 0" in written.getvalue()
        assert "  1 ██████    0.0   7 █████    -6.0 " in written.getvalue()
        view.happened(Event("device", 1, {"event": "device_lost", "reason": "unplugged"}))
        view.show(RUNNING, None, [])
        assert " the device was lost: unplugged; waiting for it\n" in written.getvalue()
        assert written.getvalue().endswith("friday: waiting for the device  0:01:01  0 B  segment 1  \nlost 0")
        view.happened(Event("device", 2, {"event": "device_back", "gap": 3}))
        view.show(RUNNING, None, [])
        assert written.getvalue().endswith("\x1b[2Kfriday  0:01:01  0 B  segment 1  lost 0")


def test_elsewhere_a_line_is_written_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    now = [100.0]
    monkeypatch.setattr(recordview.time, "monotonic", lambda: now[0])
    with RecordView("friday", 90.0) as view:
        for now[0] in (100.0, 105.0, 109.9, 110.0):
            view.show({**RUNNING, "seconds": now[0] - 100}, np.array([1.0]), [1])
    assert written.getvalue().splitlines() == [
        "friday  0:00:00 of 0:01:30  0 B  segment 1  lost 0",
        "friday  0:00:10 of 0:01:30  0 B  segment 1  lost 0",
    ]


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch, force_terminal=True)
    with RecordView("friday", quiet=True) as view:
        view.show(RUNNING, np.array([1.0]), [1])
        view.happened(Event("disk", 1, {"event": "disk_warning", "text": "full"}))
    assert written.getvalue() == ""


def test_many_channels_have_one_character_each() -> None:
    peaks = np.concatenate([np.zeros(1), 10 ** (-np.arange(60, 0, -4) / 20), np.ones(4)])
    row, loudest = levels.meters(peaks, range(1, 21), 60, 3)
    assert row.plain == "   1   ▁▁▂▂▃▃ ▄▄▅▅▆▆▇▇ ████"
    assert loudest.plain == " loudest: channel 17, 0.0 dBFS"
    assert {span.style for span in row.spans} == {"green", "red"}
    lines = [line.plain for line in levels.meters([0.0] * 64, range(1, 65), 40, 4)]
    assert lines == [f"   1{' ' * 36}", f"  33{' ' * 36}", " loudest: channel 1, -∞ dBFS"]
    # Where even that is too much for the terminal, the first ones and the loudest.
    lines = [line.plain for line in levels.meters([0.5] * 63 + [1.0], range(1, 65), 40, 2)]
    assert lines == ["   1" + " ▇▇▇▇▇▇▇▇" * 4, " loudest: channel 64, 0.0 dBFS"]


# -- levels -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ring() -> Iterator[RingWriter]:
    name = segment_name("test", "levels")
    segment = create_ring(name, RingKind.TAP, 2, 1000.0, 256)
    with RingWriter(name) as writer:
        yield writer
    segment.unlink()
    segment.close()


def test_levels_are_the_peaks_since_the_last_look(ring: RingWriter) -> None:
    looking = levels.Levels(lambda: RingReader(ring.name))
    assert looking.take() is None
    block = np.zeros((200, 2), np.float32)
    block[7] = 0.25, -0.5
    block[150] = -0.125, 0.125
    ring.write(block)
    np.testing.assert_array_equal(looking.take(), [0.25, 0.5])
    ring.write(block[100:])
    ring.write(block[:50])
    np.testing.assert_array_equal(looking.take(), [0.25, 0.5])
    ring.write(block[100:])
    np.testing.assert_array_equal(looking.take(), [0.125, 0.125])
    assert looking.take() is None
    looking.close()
    looking.close()


def test_without_a_ring_there_are_none_until_there_is_one(ring: RingWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [0.0], []
    monkeypatch.setattr(levels.time, "monotonic", lambda: now[0])

    def opened() -> RingReader:
        asked.append(now[0])
        if len(asked) == 1:
            raise RingError("no relay", code="ring_unknown")
        return RingReader(ring.name)

    looking = levels.Levels(opened)
    for now[0] in (1.0, 1.5, 2.0):
        assert looking.take() is None
    ring.write(np.full((4, 2), 0.5, np.float32))
    np.testing.assert_array_equal(looking.take(), [0.5, 0.5])
    assert asked == [1.0, 2.0]
    ring.close()
    assert looking.take() is None  # and its reader is gone
    looking.close()


# -- following ----------------------------------------------------------------------------------------------------------


class Shown:
    """A view that remembers."""

    def __init__(self, after: dict[int, Any] | None = None) -> None:
        self.shown: list[tuple[dict[str, Any], list[int], str]] = []
        self.events: list[str] = []
        self._after = after or {}

    def show(self, status: dict[str, Any], peaks: object, numbers: Any, note: str = "") -> None:
        self.shown.append((status, list(numbers), note))
        if len(self.shown) in self._after:
            self._after[len(self.shown)]()

    def happened(self, event: Event) -> None:
        self.events.append(event.what)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordrun, "_REFRESH_SECONDS", 0.0)


def snapshot(state: str) -> dict[str, Any]:
    return {"status": {"state": state}, "numbers": {}, "patch": {}, "scheduled": []}


def test_it_is_followed_to_its_end(link, client) -> None:
    link.answers["snapshot"] = snapshot("running")
    link.answers["job"] = {**RUNNING, "frames": 5}
    link.events.append({"topic": "disk", "number": 1, "event": "disk_warning", "job": 9, "text": "of another one"})
    link.events.append({"topic": "disk", "number": 2, "event": "disk_warning", "job": 3, "text": "of this one"})
    view = Shown({2: lambda: link.answers.update(job=DONE)})
    assert follow(client, RUNNING, Signals(), view) == DONE
    assert [status for status, _, _ in view.shown] == [{**RUNNING, "frames": 5}] * 2 + [DONE]
    assert [numbers for _, numbers, _ in view.shown] == [[1, 2]] * 3
    assert view.events == ["", "disk_warning"]


def test_an_engine_that_is_silent_is_waited_for(link, client, monkeypatch: pytest.MonkeyPatch) -> None:
    link.answers["snapshot"] = snapshot("running")
    link.answers["job"] = EngineTimeout("too late", code="timeout")
    view = Shown({2: lambda: link.answers.update(job=DONE)})
    assert follow(client, RUNNING, Signals(), view, [5, 6]) == DONE
    assert view.shown[:2] == [(RUNNING, [5, 6], "the engine does not answer")] * 2


@pytest.mark.parametrize("how", ["before", "meanwhile"])
def test_with_ones_own_engine_the_end_of_the_device_is_the_end(link, client, how: str) -> None:
    link.answers["job"] = RUNNING
    link.answers["snapshot"] = snapshot("stopped" if how == "before" else "running")
    if how == "meanwhile":
        link.events.append({"topic": "engine", "number": 1, "event": "state", "state": "stopped", "reason": "", "position": 5})
    assert follow(client, RUNNING, Signals(), Shown(), own=True) == RUNNING


def test_a_signal_ends_it_and_ctrl_c_again_forces_that(link, client) -> None:
    link.answers["snapshot"] = snapshot("stopped")  # of an engine for others too that says nothing
    link.answers["job"] = RUNNING
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        view = Shown({3: lambda: os.kill(os.getpid(), signal.SIGTERM)})
        assert follow(client, RUNNING, signals, view) == RUNNING
        assert len(view.shown) == 3
        assert signals.stop
        os.kill(os.getpid(), signal.SIGHUP)  # no more than was asked for already
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_recording_is_found_by_its_folder(link, client, tmp_path: Path) -> None:
    jobs = [
        {**RUNNING, "job": 1, "path": str(tmp_path / "friday"), "state": "finished"},
        {**RUNNING, "job": 2, "path": str(tmp_path / "friday")},
        {**RUNNING, "job": 4, "path": str(tmp_path / "saturday")},
        {**RUNNING, "job": 5, "path": str(tmp_path / "friday"), "kind": "record"},
    ]
    link.answers["status"] = {**link.answers["status"], "jobs": jobs}
    assert find_job(client, tmp_path / "friday") == jobs[1]
    assert not over(jobs[1])
    with pytest.raises(DiskError) as caught:
        find_job(client, tmp_path / "sunday")
    assert f"recordings: {tmp_path}/friday, {tmp_path}/friday, {tmp_path}/saturday" in str(caught.value)
    link.remote = True
    assert find_job(client, Path("saturday")) == jobs[2]
