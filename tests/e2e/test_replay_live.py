"""A session again from its journal: bit for bit what the live engine's recording holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from plain_engine import PlainClient, PlainEngine, add, connect, until

from asmu_control.replay import replay

pytestmark = pytest.mark.e2e

PATCH = (
    add("sine1", "sine", 0, 1, frequency=1000.0),
    add("noise1", "noise", 0, 1, weight="pink"),
    add("sum1", "sum", 2, 1),
    add("gain1", "gain", 1, 1),
    connect("sine1", "sum1"),
    connect("noise1", "sum1", 0, 1),
    connect("sum1", "gain1"),
    connect("gain1", "out"),
    connect("in", "out", 1, 1),
    add("tap1", "tap", 2, 0),
    connect("gain1", "tap1"),
    connect("in", "tap1", 1, 1),
)


def set_(node: str, **parameters: Any) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": parameters}


def position(client: PlainClient) -> int:
    return client.result("status")["counters"]["frame_position"]


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def compare(journal: Path, live: Path, first: int, name: str = "tap1", **how: Any) -> None:
    """What a recording of the outputs, and of the tap, holds from frame position `first` on, against both replays."""
    heard = samples(live)
    assert np.abs(heard).max() > 0.1
    for tap in (None, name):
        report = replay(journal, live.with_name("again.wav"), tap=tap, **how)
        assert report.warnings == []
        again = samples(live.with_name("again.wav"))
        assert report.frames == len(again)
        begin = first - report.position
        assert begin >= 0
        assert len(again) >= begin + len(heard)
        different = np.flatnonzero((again[begin : begin + len(heard)] != heard).any(axis=1))
        assert different.tolist()[:5] == []


def test_a_stepped_session_with_edits_inside_blocks(tmp_path: Path) -> None:
    journal, live = tmp_path / "journal", tmp_path / "live.wav"
    with PlainEngine(
        device="offline:inputs=2,outputs=2,stepped=1,delay_frames=17,noise_dbfs=-30", journal=str(journal)
    ) as engine:
        client = engine.client
        client.edit(*PATCH)
        client.result("start", drop=2)
        job = client.result("record", node="tap1", path=str(live))["job"]
        client.result("step", blocks=4)
        client.edit(set_("gain1", gain=0.5))
        for at, *edits in (
            (1100, set_("gain1", gain=0.25), set_("sine1", frequency=333.0)),
            (1101, set_("sine1", phase=1.0)),
            (1500, {"op": "disconnect", "target": "sum1", "input": 1}),
            (1777, add("gain2", "gain", 1, 1, gain=2.0), {"op": "disconnect", "target": "out", "input": 0},
             {"op": "disconnect", "target": "tap1", "input": 0}, connect("sine1", "gain2"),
             connect("gain2", "out"), connect("gain2", "tap1")),
        ):  # fmt: skip
            client.result("transaction", at=at, edits=list(edits))
        client.result("step", blocks=6)
        client.result("reset", drop=1)
        client.result("step", blocks=5)
        client.result("undo", revision=4)
        client.result("step", blocks=3)
        client.result("fault", fault="lose", frames=777)
        client.result("step", blocks=3)
        status = client.result("job_stop", job=job)
        client.result("stop")
        client.result("transaction", edits=[set_("gain2", gain=1.0)])
        client.result("start", reset=False)
        client.result("step", blocks=2)
        client.result("stop")
    compare(journal, live, status["first"])
    report = replay(journal, tmp_path / "all.wav")
    assert (report.position, report.frames, report.channels) == (0, 256 * 23 + 777, 2)
    assert report.transactions == 8


def test_a_virtual_device_with_edits_while_it_runs(tmp_path: Path) -> None:
    journal, live = tmp_path / "journal", tmp_path / "live.wav"
    device = "virtual:inputs=2,outputs=2,delay_frames=5,noise_dbfs=-30,buffer_s=60"
    with PlainEngine(device=device, journal=str(journal)) as engine:
        client = engine.client
        client.edit(*PATCH)
        job = client.result("record", node="tap1", path=str(live))["job"]
        client.result("start", drop=1)
        for number in range(20):
            client.edit(set_("gain1", gain=0.1 + 0.02 * number))
            client.result("transaction", at=position(client) + 1000 + 37 * number, edits=[set_("sine1", frequency=90.0 * number)])
            if number == 7:
                client.result("fault", fault="lose", frames=333)
            if number == 13:
                client.result("reset")
        end = position(client) + 5000
        until(lambda: position(client) > end, "more of it")
        client.result("stop")
        status = client.result("job_stop", job=job)
    assert status["lost_frames"] == 333
    compare(journal, live, status["first"])


def test_the_audio_process_dies_and_its_successor_goes_on(tmp_path: Path) -> None:
    journal, live = tmp_path / "journal", tmp_path / "live.wav"
    with PlainEngine(device="virtual:inputs=2,outputs=2", journal=str(journal)) as engine:
        client = engine.client
        client.edit(*PATCH)
        job = client.result("record", node="tap1", path=str(live))["job"]
        client.result("start")
        client.edit(set_("gain1", gain=0.5))
        until(lambda: position(client) > 3000, "some blocks")
        audio = client.result("status")["processes"]["audio"]["pid"]
        os.kill(audio, signal.SIGKILL)
        until(lambda: (client.result("status")["processes"]["audio"] or {}).get("pid") not in (None, audio), "another process")
        client.edit(set_("sine1", frequency=500.0))
        end = position(client) + 3000
        until(lambda: position(client) > end, "more of it")
        client.result("stop")
        status = client.result("job_stop", job=job)
    assert status["lost_frames"] > 0
    compare(journal, live, status["first"])


def test_the_device_goes_away_and_comes_back(tmp_path: Path) -> None:
    journal, live = tmp_path / "journal", tmp_path / "live.wav"
    with PlainEngine(device="virtual:inputs=2,outputs=2,buffer_s=60", journal=str(journal), reopen=True) as engine:
        client = engine.client
        client.listen()
        client.edit(*PATCH)
        client.result("start")
        until(lambda: position(client) > 3000, "some blocks")
        client.result("fault", fault="gone")
        client.event("device", "device_lost")
        client.edit(set_("gain1", gain=0.5))
        client.result("fault", fault="back")
        begin = client.event("device", "device_back")["position"]
        job = client.result("record", node="tap1", path=str(live), at=begin)["job"]
        end = position(client) + 3000
        until(lambda: position(client) > end, "more of it")
        client.result("stop")
        status = client.result("job_stop", job=job)
    assert (status["first"], status["lost_frames"]) == (begin, 0)
    compare(journal, live, status["first"])


def test_a_file_as_the_device_and_what_a_microphone_heard(tmp_path: Path) -> None:
    source = tmp_path / "source.wav"
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (4001, 2)).astype(np.float32)
    soundfile.write(source, noise, 48000, subtype="FLOAT")
    journal, live = tmp_path / "journal", tmp_path / "live.wav"
    with PlainEngine(device=f"file:{source},speed=0,outputs=2", journal=str(journal)) as engine:
        client = engine.client
        client.listen()
        client.edit(*PATCH)
        client.result("transaction", at=1234, edits=[set_("gain1", gain=0.3)])
        job = client.result("record", node="tap1", path=str(live))["job"]
        client.result("start")
        until(lambda: client.result("status")["state"] == "stopped", "the end of the file")
        status = client.result("job_stop", job=job)
    assert status["frames"] == 4001  # the last block is a short one
    compare(journal, live, 0)
    # The same as if that had been a sound device: what it heard is in a file beside the journal.
    text = (
        journal.read_text()
        .replace('"kind": "file"', '"kind": "portaudio"')
        .replace(f'"path": "{source}", "speed": 0.0', '"device": 3')
    )
    journal.write_text(text)
    compare(journal, live, 0, input=source)
    report = replay(journal, tmp_path / "deaf.wav")
    assert "--input" in " ".join(report.warnings)


def test_as_fast_as_it_goes_and_through_the_command(tmp_path: Path) -> None:
    journal, live, out = tmp_path / "journal", tmp_path / "live.wav", tmp_path / "out.wav"
    with PlainEngine(device="offline:inputs=2,outputs=2,tone_hz=440", journal=str(journal)) as engine:
        client = engine.client
        client.edit(*PATCH)
        job = client.result("record", node="tap1", path=str(live))["job"]
        for number in range(50):
            client.result("transaction", at=1000 * number + number, edits=[set_("gain1", gain=0.01 * number)])
        client.result("start", end_block=300)
        until(lambda: client.result("status")["state"] == "stopped", "the end")
        status = client.result("job_stop", job=job)
        assert status["frames"] == 300 * 256
    compare(journal, live, 0)
    command = [sys.executable, "-m", "asmu_control", "replay", str(journal), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "76800 frames from frame position 0 on, channels: 2, 51 transactions" in done.stdout
    assert np.array_equal(samples(out), samples(live))


def test_a_killed_engine_leaves_a_journal_that_can_be_replayed(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    engine = PlainEngine(device="offline:inputs=2,outputs=2,stepped=1", journal=str(journal))
    client = engine.client
    client.edit(*PATCH)
    client.result("start")
    client.result("step", blocks=4)
    client.edit(set_("gain1", gain=0.5))
    until(lambda: journal.read_bytes().count(b"\n") == 4, "the journal's lines")
    engine.process.kill()
    engine.end()
    with journal.open("ab") as file:
        file.write(b'{"what": "transac')
    report = replay(journal, tmp_path / "out.wav")
    assert report.frames == 1024
    assert ["frame 1024" in warning for warning in report.warnings] == [True]


def test_players_begin_again_where_they_began(tmp_path: Path) -> None:
    journal, live, file = tmp_path / "journal", tmp_path / "live.wav", tmp_path / "file.wav"
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (3000, 1)).astype(np.float32)
    soundfile.write(file, noise, 48000, subtype="FLOAT")
    with PlainEngine(device="offline:inputs=2,outputs=2,stepped=1", journal=str(journal)) as engine:
        client = engine.client
        client.edit(add("feed1", "feed", 0, 1), add("feed2", "feed", 0, 1, playing=False), add("tap1", "tap", 2))
        client.edit(*(connect(f"feed{n + 1}", target, 0, n) for n in range(2) for target in ("tap1", "out")))
        first = client.result("play", node="feed1", path=str(file), loop=True, start=100)["job"]
        job = client.result("record", node="tap1", path=str(live))["job"]
        client.result("start")
        client.result("step", blocks=3)
        client.result("play", node="feed2", path=str(file))
        client.result("transaction", at=1000, edits=[set_("feed2", playing=True)])
        client.result("step", blocks=9)
        client.result("stop")
        client.result("seek", job=first, position=7)
        client.result("start", reset=False)
        client.result("step", blocks=9)
        client.result("stop")
        client.result("job_stop", job=first)
        status = client.result("job_stop", job=job)
    compare(journal, live, status["first"])
    assert samples(live)[1000:1010, 1].tolist() == noise[:10, 0].tolist()


def test_a_player_that_began_at_no_known_frame_is_told_of(tmp_path: Path) -> None:
    journal, file = tmp_path / "journal", tmp_path / "file.wav"
    soundfile.write(file, np.zeros((300, 1), np.float32), 48000)
    with PlainEngine(device="offline:inputs=2,outputs=2,stepped=1", journal=str(journal)) as engine:
        client = engine.client
        client.edit(add("feed1", "feed", 0, 1), connect("feed1", "out"))
        client.result("start")
        first = client.result("play", node="feed1", path=str(file), loop=True)["job"]
        client.result("step", blocks=1)
        client.result("job_stop", job=first)
        client.result("stop")
    report = replay(journal, tmp_path / "out.wav")
    assert [words in warning for words, warning in zip(("let it wait", "was ended"), report.warnings, strict=True)] == [
        True,
        True,
    ]


def test_a_script_with_every_kind_of_processor(tmp_path: Path) -> None:
    """Filters, convolution, a delayed feedback, envelopes, a limiter: all that has a memory, changed while it runs."""
    from asmu_control import Interface
    from asmu_control.analyzer import Recorder
    from asmu_control.effect import ADSR, Convolver, Delay, Filter, Gain, GainRamp, Limiter, Matrix, Sum, Weight
    from asmu_control.generator import Noise, SineBurst

    journal, live = tmp_path / "journal", tmp_path / "live.wav"
    random = np.random.default_rng(4)
    device = "virtual:inputs=2,outputs=2,speed=4,buffer_s=60,taps=0.5:0.25:0.125"
    with PlainEngine(device=device, journal=str(journal), ring_seconds=60.0), Interface(engine="lab") as interface:
        noise, burst = Noise(interface, "pink", channels=2), SineBurst(interface, 1000.0, 50)
        convolver = Convolver(interface, random.normal(0.0, 0.05, 700))
        lowpass = Filter.butter(interface, 4, 2000.0)
        matrix = Matrix(interface, random.uniform(-1.0, 1.0, (2, 2)))
        ramp, envelope = GainRamp(interface, 0.5, 1e-4), ADSR(interface, 0.01, 0.01, 0.5, 0.02)
        feedback, mix, back = Delay(interface, 1000), Sum(interface), Gain(interface, 0.5)
        limiter, weight = Limiter(interface, 0.3), Weight(interface, "A")
        recorder = Recorder(interface, live, channels=2)
        noise.output(0).connect(matrix.input(0))
        noise.output(1).connect(matrix.input(1))
        matrix.output(0).connect(convolver.input(0))
        matrix.output(1).connect(lowpass.input(0))
        burst.output(0).connect(envelope.input(0))
        for place, source in enumerate((convolver, lowpass, envelope, back)):
            source.output(0).connect(mix.input(place))
        mix.output(0).connect(feedback.input(0))
        feedback.output(0).connect(back.input(0))
        mix.output(0).connect(ramp.input(0))
        ramp.output(0).connect(limiter.input(0))
        limiter.output(0).connect(interface.ioutput(ch=1))
        interface.iinput(ch=1).connect(weight.input(0))
        weight.output(0).connect(interface.ioutput(ch=2))
        limiter.output(0).connect(recorder.input(0))
        weight.output(0).connect(recorder.input(1))
        stream = interface.start(drop=1)
        for number in range(12):
            with interface.edit(at=interface.frame_position + 3000 + 41 * number) as edit:
                back.set_gain(0.3 + 0.01 * number)
                burst.restart()
                if number % 3 == 0:
                    ramp.set_gain(0.2 + 0.05 * number)
                if number == 5:
                    convolver.set_ir(random.normal(0.0, 0.05, 500))
                if number % 2:
                    envelope.start()
            edit.wait()
        stream.stop()
        status = recorder.close()
    compare(journal, live, status["first"], recorder.name)
