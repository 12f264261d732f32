from __future__ import annotations

import numpy as np
import pytest
import soundfile

from asmu_engine.protocol.errors import DiskError
from asmu_engine.shm.feed import FeedReader
from asmu_engine.shm.ring import RingKind


@pytest.fixture
def ring(make_ring):
    return make_ring(RingKind.FEED, capacity=1000)


@pytest.fixture
def engine(ring):
    with FeedReader(ring) as end:
        yield end


@pytest.fixture
def file(tmp_path, sound):
    path = tmp_path / "signal.wav"
    soundfile.write(path, sound(2500), 48000, "FLOAT")
    return str(path)


@pytest.fixture
def take(engine, wait_for):
    """The next frames, in blocks of 100 at most, waiting for the disk process where the ring runs dry."""

    def take(frames: int) -> np.ndarray:
        out = np.empty((frames, 2), np.float32)
        for first in range(0, frames, 100):
            block = out[first : first + 100]
            rows = len(block)
            wait_for(lambda rows=rows: engine.primed(rows), "frames to play")
            assert engine.read_into(block) == len(block)
        return out

    return take


def test_every_frame_reaches_the_engine_and_the_end_is_known(disk, ring, engine, take, file, sound):
    result = disk("play", job=1, ring=ring, path=file)
    primed = 1000 - 1000 // 16  # a sixteenth of the ring stays free for a seek
    assert (result["ahead"], result["played"], result["frames"], engine.fill) == (primed, 0, 2500, primed)
    assert np.array_equal(take(2500), sound(2500))
    assert engine.finished
    rest = np.ones((64, 2), np.float32)
    assert engine.read_into(rest) == 0
    assert not rest.any()
    assert engine.underflow == 0
    event = disk.event("finished")
    assert (event["job"], event["played"], event["position"], event["ahead"]) == (1, 2500, 2500, 0)


def test_a_file_shorter_than_the_ring_is_primed_when_it_is_all_there(disk, ring, engine, take, tmp_path, sound):
    soundfile.write(tmp_path / "short.wav", sound(300), 48000, "FLOAT")
    assert disk("play", job=1, ring=ring, path=str(tmp_path / "short.wav"))["ahead"] == 300
    assert np.array_equal(take(300), sound(300))
    assert engine.finished


@pytest.mark.parametrize("frames", [1, 300, 1000, 1001])
def test_a_loop_is_gapless(disk, ring, engine, take, tmp_path, sound, frames, wait_for):
    soundfile.write(tmp_path / "loop.wav", sound(frames), 48000, "FLOAT")
    disk("play", job=1, ring=ring, path=str(tmp_path / "loop.wav"), loop=True)
    assert np.array_equal(take(5050), sound(frames)[np.arange(5050) % frames])
    status = wait_for(lambda: (s := disk("status", job=1))["played"] == 5050 and s, "the note of what was played")
    assert (status["loops"], status["position"], status["state"]) == (5050 // frames, 5050 % frames, "running")
    assert engine.underflow == 0


def test_a_start_within_the_file_and_a_loop_from_its_beginning(disk, ring, engine, take, file, sound):
    disk("play", job=1, ring=ring, path=file, start=2000, loop=True)
    assert np.array_equal(take(3000), np.concatenate([sound(500, first=2000), sound(2500)]))


@pytest.mark.parametrize(("format_name", "subtype"), [("WAV", "PCM_24"), ("FLAC", "PCM_24"), ("CAF", "DOUBLE")])
def test_other_formats_arrive_as_float32(disk, ring, engine, take, tmp_path, sound, format_name, subtype):
    path = tmp_path / "signal"
    soundfile.write(path, sound(500), 48000, subtype, format=format_name)
    disk("play", job=1, ring=ring, path=str(path))
    assert np.array_equal(take(500), sound(500))


def test_stop_drops_what_was_read_ahead_and_another_file_follows(disk, ring, engine, take, file, sound):
    disk("play", job=1, ring=ring, path=file)
    assert np.array_equal(take(200), sound(200))
    assert disk("stop", job=1)["state"] == "finished"
    assert engine.fill == 0
    assert engine.finished
    disk("play", job=2, ring=ring, path=file, start=700)
    assert np.array_equal(take(400), sound(400, first=700))
    assert engine.underflow == 0
    assert disk("stop", job=1)["played"] == 200


def test_one_player_a_feed(disk, ring, engine, file):
    disk("play", job=1, ring=ring, path=file)
    with pytest.raises(DiskError, match="player 1 is playing into this feed; stop it first") as caught:
        disk("play", job=2, ring=ring, path=file)
    assert caught.value.code == "feed_in_use"
    with pytest.raises(DiskError, match="job 1 is not a recording"):
        disk("attach", job=1, ring=ring)


def test_a_player_ends_with_its_host(disk, ring, engine, file):
    disk("play", job=1, ring=ring, path=file, loop=True)
    disk.close()
    assert disk.process.returncode == 0
    assert engine.finished or engine.fill == 0


@pytest.mark.parametrize(
    ("channels", "samplerate", "text"),
    [
        (3, 48000, "has 3 channels at 48000 Hz, the feed 2 at 48000 Hz"),
        (2, 44100, "has 2 channels at 44100 Hz, the feed 2 at 48000 Hz"),
    ],
)
def test_a_file_of_another_shape_is_refused(disk, ring, tmp_path, channels, samplerate, text):
    path = tmp_path / "signal.wav"
    soundfile.write(path, np.zeros((10, channels)), samplerate)
    with pytest.raises(DiskError, match=text) as caught:
        disk("play", job=1, ring=ring, path=str(path))
    assert (caught.value.code, caught.value.where) == ("file_format", str(path))


@pytest.mark.parametrize(
    ("fields", "text"), [({"start": 2501}, "nothing to play from frame 2501"), ({"start": -1}, "start is -1")]
)
def test_a_start_outside_the_file_is_refused(disk, ring, file, fields, text):
    with pytest.raises(Exception, match=text):
        disk("play", job=1, ring=ring, path=file, **fields)


def test_an_empty_file_ends_at_once_but_cannot_be_looped(disk, ring, engine, tmp_path):
    path = str(tmp_path / "empty.wav")
    soundfile.write(path, np.zeros((0, 2)), 48000)
    with pytest.raises(DiskError, match="has 0 frames: nothing to play from frame 0 in a loop"):
        disk("play", job=1, ring=ring, path=path, loop=True)
    assert disk("play", job=1, ring=ring, path=path)["frames"] == 0
    assert disk.event("finished")["played"] == 0


def test_files_that_cannot_be_read(disk, ring, tmp_path):
    noise = tmp_path / "text.wav"
    noise.write_text("not audio")
    for path, text in (
        (tmp_path / "missing.wav", "No such file"),
        (noise, "[Ff]ormat not recognised"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(DiskError, match=text) as caught:
            disk("play", job=1, ring=ring, path=str(path))
        assert (caught.value.code, caught.value.where) == ("file_unreadable", str(path))


def test_a_file_that_is_damaged_in_the_middle_fails_after_what_is_whole(disk, ring, engine, take, tmp_path, sound):
    path = tmp_path / "signal.flac"
    soundfile.write(path, sound(40_000), 48000, "PCM_24")
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    disk("play", job=1, ring=ring, path=str(path))
    assert np.array_equal(take(3000), sound(3000))
    while not [event for event in disk.events if event["state"] != "running"]:
        if engine.fill:
            engine.read_into(np.empty((min(engine.fill, 500), 2), np.float32))
        disk("status")
    event = disk.events[-1]
    assert event["state"] == "failed"
    assert event["error"]["code"] == "file_unreadable"
    assert "is damaged or was cut short" in event["error"]["message"]
