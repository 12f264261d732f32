"""A sound server that dies under a recording into a folder and is started again: the recording goes on, its gap accounted."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from engine_takes import RATE, SEED, use
from sound_servers import JACK_PERIOD, Due, Server, needs, newest_block, start_jack, start_pulse, until

import asmu_control as asmu

pytestmark = pytest.mark.hardware

CHANNELS = 2


@contextmanager
def recording(server: Server, folder: Path, blocksize: int) -> Iterator[tuple[asmu.Interface, asmu.analyzer.Acquisition]]:
    """Noise from the outputs through the server's loopback into a folder."""
    interface = asmu.Interface(device=server.device, samplerate=RATE, blocksize=blocksize)
    try:
        source = asmu.generator.Noise(interface, seed=SEED)
        acquisition = asmu.analyzer.Acquisition(interface, folder, channels=CHANNELS)
        for index in range(CHANNELS):
            source.output(index).connect(interface.ioutput(index, ch=index + 1))
            interface.iinput(index, ch=index + 1).connect(acquisition.input(index))
        interface.start()
        until(lambda: (acquisition.status()["position"] or 0) > RATE // 2, 30, "nothing was recorded")
        yield interface, acquisition
    finally:
        interface.close()


@pytest.fixture
def async_jack(jack_lock: None, tmp_path: Path) -> Iterator[Server]:
    """A JACK server of one test that waits for nobody, as one with a sound card."""
    needs("jackd", "jack_lsp")
    server = start_jack(tmp_path, synchronous=False)
    yield server
    server.stop()


@pytest.fixture
def revived() -> Iterator[list[Server]]:
    """Servers that a test has started again: they are ended when nothing uses them any more."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.stop()


def states(interface: asmu.Interface, state: str, seconds: float = 60.0) -> dict[str, Any]:
    until(lambda: interface.stats()["state"] == state, seconds, f"the device was not {state}")
    stats: dict[str, Any] = interface.stats()
    return stats


def goes_on(acquisition: asmu.analyzer.Acquisition, frames: int = RATE // 2) -> None:
    position = acquisition.status()["position"]
    until(lambda: acquisition.status()["position"] > position + frames, 30, "the recording does not go on")


def audio_process() -> int | None:
    """Its process id; None while it is being replaced."""
    found = [child.pid for child in psutil.Process().children(recursive=True) if runs(child, "asmu_engine.audio")]
    return found[0] if found else None


def runs(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False


def next_stream() -> Due:
    """The first block that is seen of another stream; to be asked when there is none."""
    silent = newest_block()
    until(lambda: newest_block() != silent, 60, "there is no other stream")
    return newest_block()


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def account(folder: Path, first: int, end: int) -> list[dict[str, Any]]:
    """The gaps; every frame is in a segment or in one of them, and what was delivered is sound."""
    entries = ledger(folder)
    gaps = [entry for entry in entries if entry["entry"] == "gap"]
    whole = [entry for entry in entries if entry["entry"] == "segment_whole"]
    data = np.zeros((end - first, CHANNELS), np.float32)
    covered = np.zeros(end - first, np.int8)
    for segment in whole:
        rows, _ = soundfile.read(folder / segment["file"], dtype="float32", always_2d=True)
        place = slice(segment["first"] - first, segment["first"] - first + segment["frames"])
        data[place] = rows
        covered[place] += 1
    for gap in gaps:
        place = slice(gap["position"] - first, gap["position"] - first + gap["frames"])
        assert not data[place].any()
        covered[place] += not gap["filled"]
    assert (covered == 1).all()
    return gaps


def check(folder: Path, job: dict[str, Any], before: Due, after: Due, cause: str = "device_lost") -> dict[str, Any]:
    """One gap, for which the axis ran on by what the wall clock says, to what the ledger says of that.

    `before` and `after`: blocks near the gap. What the ledger says of xruns between them counts too.
    """
    (gap,) = [gap for gap in account(folder, job["first"], job["position"]) if gap["cause"] != "device"]
    assert gap["cause"] == cause
    assert job["lost"][cause] == gap["frames"]
    elapsed = (after.monotonic_ns - before.monotonic_ns) * 1e-9
    xruns = [
        entry for entry in ledger(folder) if entry["entry"] == "xrun" and before.position < entry["position"] <= after.position
    ]
    uncertainty = gap["uncertainty"] + sum(xrun["uncertainty"] for xrun in xruns)
    # Two servers' dummy clocks and the callbacks' jitter: none of them is worth more than a few blocks.
    assert abs(after.position - before.position - elapsed * RATE) <= uncertainty + 4 * JACK_PERIOD
    return gap


def test_jack_server_that_is_killed_and_started_again(
    own_jack: Server, revived: list[Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(own_jack, monkeypatch)
    with recording(own_jack, tmp_path / "take", JACK_PERIOD) as (interface, acquisition):
        before, process = newest_block(), audio_process()
        own_jack.process.kill()
        own_jack.process.wait()
        states(interface, "lost")
        time.sleep(1.5)  # it is looked for meanwhile, in vain
        assert interface.stats()["state"] == "lost"
        revived.append(start_jack(tmp_path))
        after = next_stream()
        assert states(interface, "running")["device"]["name"] == "loopback"
        goes_on(acquisition)
        gap = check(tmp_path / "take", acquisition.stop(), before, after)
        assert gap["frames"] > RATE
        assert audio_process() != process


def test_jack_server_that_freezes_and_is_replaced(
    own_jack: Server, revived: list[Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A frozen server makes whoever looks for it hang as well; that is no fault of the engine."""
    use(own_jack, monkeypatch)
    with recording(own_jack, tmp_path / "take", JACK_PERIOD) as (interface, acquisition):
        before, process = newest_block(), audio_process()
        own_jack.process.send_signal(signal.SIGSTOP)
        states(interface, "lost")
        until(lambda: audio_process() != process, 60, "the audio process was not replaced")
        time.sleep(1.0)  # the next one is looking by now
        own_jack.process.kill()
        own_jack.process.wait()
        revived.append(start_jack(tmp_path))
        after = next_stream()
        states(interface, "running")
        goes_on(acquisition)
        check(tmp_path / "take", acquisition.stop(), before, after)


def test_jack_server_that_is_frozen_for_a_while(async_jack: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(async_jack, monkeypatch)
    with recording(async_jack, tmp_path / "take", JACK_PERIOD) as (interface, acquisition):
        before = newest_block()
        async_jack.process.send_signal(signal.SIGSTOP)
        try:
            states(interface, "lost")
            time.sleep(1.5)
        finally:
            async_jack.process.send_signal(signal.SIGCONT)
        after = next_stream()
        states(interface, "running")
        goes_on(acquisition)
        check(tmp_path / "take", acquisition.stop(), before, after)


def test_audio_process_that_is_killed_is_replaced_at_once(
    async_jack: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(async_jack, monkeypatch)
    with recording(async_jack, tmp_path / "take", JACK_PERIOD) as (interface, acquisition):
        before, process = newest_block(), audio_process()
        assert process
        os.kill(process, signal.SIGKILL)
        until(lambda: audio_process() != process, 60, "the audio process did not die")
        after = next_stream()
        goes_on(acquisition)
        # The first of its successors had the device at the first attempt: it was not given up, and not looked for.
        assert interface.client.status()["processes"]["audio"]["restarts"] == 1
        job = acquisition.stop()
        check(tmp_path / "take", job, before, after, cause="restart")
        assert "device_lost" not in job["lost"]


def test_pulse_server_that_is_killed_and_started_again(
    own_pulse: Server, revived: list[Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(own_pulse, monkeypatch)
    with recording(own_pulse, tmp_path / "take", 512) as (interface, acquisition):
        own_pulse.process.kill()
        own_pulse.process.wait()
        states(interface, "lost")
        folder = Path(own_pulse.env["PULSE_SERVER"].removeprefix("unix:")).parent
        revived.append(start_pulse(folder))
        device = states(interface, "running")["device"]
        assert (device["name"], device["host_api"]) == ("pulse", "ALSA")
        goes_on(acquisition)
        job = acquisition.stop()
        gaps = account(tmp_path / "take", job["first"], job["position"])
        assert job["lost"]["device_lost"] == sum(gap["frames"] for gap in gaps if gap["cause"] == "device_lost") > 0
