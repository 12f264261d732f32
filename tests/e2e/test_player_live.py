"""Players in whole engines: every frame in its place, through loops and seeks, and what the interface knows of its stream."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

import asmu_control as asmu

pytestmark = pytest.mark.e2e

FRAMES = 256
# Every frame tells which one it is; 0 is none of them.
X = np.stack([np.arange(1, 60_001), -np.arange(1, 60_001)], axis=1).astype(np.float32) / 2**16


@pytest.fixture
def path(tmp_path):
    soundfile.write(tmp_path / "x.wav", X, 48000, "FLOAT")
    return tmp_path / "x.wav"


def numbers(data: np.ndarray) -> np.ndarray:
    """Which frame of X each row is, 0 for silence; both channels must agree."""
    assert np.array_equal(data[:, 0], -data[:, 1])
    return np.rint(data[:, 0] * 2**16).astype(int)


class Rig:
    """A player, recorded bit by bit on a device that is stepped."""

    def __init__(self, file, **settings) -> None:
        self.interface = asmu.Interface(device="offline:stepped=1", samplerate=48000, blocksize=FRAMES)
        self.player = asmu.generator.Player(self.interface, file, **settings)
        self.tap = asmu.analyzer.Tap(self.interface, channels=2)
        for idx in (0, 1):
            self.player.output(idx).connect(self.tap.input(idx))
        self.interface.ioutput(ch=1)
        self.interface.open()
        self.reader = self.tap.reader("oldest")

    def begin(self, **settings) -> None:
        self.interface.start(**{"drop": 0, **settings})

    def step(self, blocks: int) -> np.ndarray:
        self.interface.step(blocks)
        got = self.reader.read(blocks * FRAMES, copy=True)
        assert (got.lost, got.skipped) == (0, 0)
        return numbers(got.data)

    def close(self) -> None:
        self.reader.close()
        self.interface.close()


@pytest.fixture
def rig(path):
    rigs = []

    def make(file=path, **settings) -> Rig:
        rigs.append(Rig(file, **settings))
        return rigs[-1]

    yield make
    for one in rigs:
        one.close()


def test_the_end_within_a_block_is_exact(rig, tmp_path):
    soundfile.write(tmp_path / "short.wav", X[:1000], 48000, "FLOAT")
    one = rig(soundfile.SoundFile(tmp_path / "short.wav"))
    one.begin()
    assert not one.player.finished(block=False)
    got = one.step(5)
    assert np.array_equal(got, [*range(1, 1001), *[0] * 280])
    assert one.player.finished(timeout=10)
    assert not one.player.looped(block=False)


def test_a_loop_of_any_length_is_gapless(rig, tmp_path):
    for frames in (1, 777):
        soundfile.write(tmp_path / "loop.wav", X[:frames], 48000, "FLOAT")
        one = rig(tmp_path / "loop.wav", loop=True)
        one.begin()
        assert np.array_equal(one.step(20), np.arange(20 * FRAMES) % frames + 1)
        turns = 20 * FRAMES // frames
        assert all(one.player.looped(timeout=10) for _ in range(min(turns, 50)))
        assert frames == 1 or not one.player.looped(timeout=0.1)


def test_seek_is_exact_and_gapless(rig):
    one = rig()
    one.player.set_seek(30_000)
    one.begin()
    assert np.array_equal(one.step(2), 30_001 + np.arange(512))
    for position in (5, 59_000, 30_000, 0):
        one.player.set_seek(position)
        assert np.array_equal(one.step(3), position + 1 + np.arange(768))
    one.player.set_seek(60_000 - 300)
    assert np.array_equal(one.step(2), [*range(59_701, 60_001), *[0] * 212])
    assert one.player.finished(timeout=10)
    one.player.set_seek(10)
    assert not one.player.finished(block=False)
    assert np.array_equal(one.step(1), 11 + np.arange(256))


def test_reset_puts_all_back_and_drops(rig):
    one = rig()
    one.begin()
    one.step(7)
    one.interface.acore.reset()
    assert one.interface.start_frame == 7
    assert np.array_equal(one.step(2), 1 + np.arange(512))
    one.interface.acore.reset(drop=3)
    one.interface.step(5)
    got = one.reader.read(5 * FRAMES, copy=True)
    assert got.lost == 3 * FRAMES
    assert np.array_equal(numbers(got.data), [*[0] * 768, *range(1, 513)])


def test_a_second_start_begins_anew_and_one_without_reset_goes_on(rig):
    one = rig()
    one.begin()
    one.step(3)
    one.interface._session.stop()
    one.begin(reset=False)
    assert np.array_equal(one.step(1), 769 + np.arange(256))
    one.interface._session.stop()
    one.begin()
    assert np.array_equal(one.step(1), 1 + np.arange(256))


def test_what_the_engine_refuses(rig, tmp_path):
    one = rig()
    recorder = asmu.analyzer.Recorder(one.interface, tmp_path / "y.wav", channels=1)
    client = one.interface.client
    jobs = {job["kind"]: job["job"] for job in client.request({"type": "status"})["jobs"]}
    for request, text in (
        ({"type": "seek", "job": 99, "position": 0}, "there is no job 99"),
        ({"type": "seek", "job": jobs["record"], "position": 0}, "is a recording, which goes on in time only"),
        ({"type": "seek", "job": jobs["play"], "position": 60_001}, "there is no frame 60001"),
        ({"type": "seek", "job": jobs["play"], "position": -1}, "position"),
        ({"type": "reset", "drop": -1}, "drop"),
    ):
        with pytest.raises(asmu.exceptions.AsmuError, match=text):
            client.request(request)
    client.request({"type": "job_stop", "job": jobs["play"]})
    with pytest.raises(asmu.exceptions.DiskError, match="has ended; play the file again") as caught:
        client.request({"type": "seek", "job": jobs["play"], "position": 0})
    assert caught.value.code == "disk_job_unknown"
    one.player.set_seek(7)  # plays it again
    one.begin()
    assert np.array_equal(one.step(1), 8 + np.arange(256))
    recorder.close()


def test_seeks_in_a_running_stream_lose_nothing(path, tmp_path):
    """On a device with a clock: after each seek the file goes on there, without a frame of silence between."""
    # With much in the device and in the rings: neither process may be kept waiting for so long that it costs a frame.
    device = "virtual:inputs=2,outputs=2,buffer_s=60"
    interface = asmu.Interface(device=device, samplerate=48000, blocksize=FRAMES, ring_seconds=30.0)
    player = asmu.generator.Player(interface, path, loop=True)
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "y.wav", channels=2)
    tap = asmu.analyzer.Tap(interface, channels=2)
    for idx in (0, 1):
        player.output(idx).connect(recorder.input(idx))
        player.output(idx).connect(tap.input(idx))
        player.output(idx).connect(interface.ioutput(idx, idx + 1))
    positions = (40_000, 100, 20_000, 50_000)
    with interface.start(drop=0):
        blocks = tap.blocks(FRAMES, start="oldest", timeout=30)
        for position in positions:
            next(blocks)
            player.set_seek(position)
            while position + 1 not in numbers(next(blocks).data):
                pass
        blocks.close()
    got = numbers(soundfile.read(tmp_path / "y.wav", dtype="float32")[0])
    assert got[0] == 1
    assert got.all()
    jumps = np.flatnonzero(np.diff(got) % len(X) != 1)  # the loop's own seam is none
    assert got[jumps + 1].tolist() == [position + 1 for position in positions]


def test_the_interface_knows_its_stream(path, tmp_path):
    asetup = asmu.ASetup(tmp_path / "lab.asmu")
    (tmp_path / "lab.asmu").write_text(
        json.dumps(
            {
                "created": "2026-01-01T00:00:00+00:00",
                "samplerate": 48000,
                "blocksize": 128,
                "latency": 9,
                "iinputs": [{"channel": 2, "name": "mic"}],
                "ioutputs": [{"channel": 1, "name": "speaker"}],
            }
        )
    )
    interface = asmu.Interface(asetup=asetup, device="virtual")
    player = asmu.generator.Player(interface, path)
    player.output().connect(interface.ioutput(name="speaker"))
    with pytest.raises(ValueError, match="no stream ran yet"):
        interface.get_latency()
    # Stepped first, then on a device, then stepped again.
    out = np.empty((128, 1), np.float32)
    interface.callback(None, out, 128)
    assert out[0, 0] == X[0, 0]
    with interface.start(end_frame=10) as stream:
        assert (interface.inputs, interface.outputs) == ((2,), (1,))
        assert (interface.stats()["samplerate"], interface.stats()["blocksize"]) == (48000, 128)
        assert stream.wait(10)
    # The virtual device hands a block over when it is complete.
    assert interface.get_latency() == 128
    with interface.start(), pytest.raises(asmu.exceptions.EngineError, match=r"call interface.close\(\) before"):
        interface.callback(None, out, 128)
    interface.callback(None, out, 128)
    assert out[0, 0] == X[0, 0]
    interface.close()
