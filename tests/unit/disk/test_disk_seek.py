"""Players that go on elsewhere in their file."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from asmu_engine.protocol.errors import DiskError, ProtocolError
from asmu_engine.shm.feed import FeedReader, FeedWriter
from asmu_engine.shm.ring import RingKind


@pytest.fixture
def ring(make_ring):
    return make_ring(RingKind.FEED, capacity=4800)


@pytest.fixture
def engine(ring):
    with FeedReader(ring) as end:
        yield end


@pytest.fixture
def file(tmp_path, sound):
    path = tmp_path / "signal.wav"
    soundfile.write(path, sound(25_000), 48000, "FLOAT")
    return str(path)


@pytest.fixture
def take(engine, wait_for):
    def take(frames: int) -> np.ndarray:
        out = np.empty((frames, 2), np.float32)
        for first in range(0, frames, 100):
            block = out[first : first + 100]
            wait_for(lambda block=block: engine.primed(len(block)), "frames to play")
            assert engine.read_into(block) == len(block)
        return out

    return take


@pytest.mark.parametrize("position", [0, 1, 12_345, 24_900])
def test_a_seek_is_gapless_and_exact(disk, ring, engine, take, file, sound, position):
    disk("play", job=1, ring=ring, path=file)
    assert np.array_equal(take(700), sound(700))
    status = disk("seek", job=1, position=position)
    # The very next block comes from there, although the ring was full of what came before.
    rest = 25_000 - position
    assert np.array_equal(take(min(rest, 5000)), sound(min(rest, 5000), first=position))
    assert engine.underflow == 0
    assert (status["position"], status["played"], status["loops"]) == (position, 700, 0)
    status = disk("status", job=1)
    assert status["frames"] == 25_000


def test_seeks_back_and_forth_then_to_the_end(disk, ring, engine, take, file, sound):
    disk("play", job=1, ring=ring, path=file)
    for position in (9000, 3, 20_000, 0):
        disk("seek", job=1, position=position)
        assert np.array_equal(take(150), sound(150, first=position))
    disk("seek", job=1, position=25_000)
    out = np.ones((64, 2), np.float32)
    assert engine.read_into(out) == 0
    assert not out.any()
    assert engine.finished
    assert engine.underflow == 0
    event = disk.event("finished")
    assert (event["played"], event["position"]) == (600, 25_000)


def test_a_seek_before_the_first_frame(disk, ring, engine, take, file, sound):
    disk("play", job=1, ring=ring, path=file)
    disk("seek", job=1, position=4321)
    assert np.array_equal(take(1000), sound(1000, first=4321))


def test_a_seek_in_a_short_file_of_which_all_was_read(disk, ring, engine, take, tmp_path, sound):
    path = str(tmp_path / "short.wav")
    soundfile.write(path, sound(300), 48000, "FLOAT")
    disk("play", job=1, ring=ring, path=path)
    take(100)
    disk("seek", job=1, position=50)
    assert np.array_equal(take(250), sound(250, first=50))
    assert engine.finished
    assert disk.event("finished")["played"] == 350


def test_loops_count_on_after_a_seek(disk, ring, engine, take, tmp_path, sound, wait_for):
    path = str(tmp_path / "loop.wav")
    soundfile.write(path, sound(1000), 48000, "FLOAT")
    disk("play", job=1, ring=ring, path=path, loop=True)
    take(2500)
    wait_for(lambda: disk("status", job=1)["played"] == 2500, "the note of what was played")
    disk("seek", job=1, position=900)
    assert np.array_equal(take(1200), sound(1000)[(900 + np.arange(1200)) % 1000])
    status = wait_for(lambda: (s := disk("status", job=1))["played"] == 3700 and s, "the note of what was played")
    assert (status["loops"], status["position"]) == (2 + 2, 100)
    disk("seek", job=1, position=1000)  # the end of a loop is its beginning
    assert np.array_equal(take(10), sound(10))


def test_seeks_that_cannot_be(disk, ring, engine, take, file, make_ring, tmp_path):
    disk("play", job=1, ring=ring, path=file)
    with pytest.raises(DiskError, match="has 25000 frames: there is no frame 25001"):
        disk("seek", job=1, position=25_001)
    with pytest.raises(ProtocolError, match="position is -1"):
        disk("seek", job=1, position=-1)
    with pytest.raises(DiskError, match="no recording or player 9"):
        disk("seek", job=9, position=0)
    disk("stop", job=1)
    with pytest.raises(DiskError, match="player 1 has ended"):
        disk("seek", job=1, position=0)
    tap = make_ring()
    disk("record", job=2, ring=tap, path=str(tmp_path / "a.wav"))
    with pytest.raises(DiskError, match="job 2 is not a player"):
        disk("seek", job=2, position=0)
    disk("stop", job=2)


def test_a_jump_to_frames_that_are_there_already(make_ring):
    name = make_ring(RingKind.FEED, channels=1, capacity=100)
    out = np.empty((10, 1), np.float32)
    with FeedWriter(name) as writer, FeedReader(name) as reader:
        writer.write(np.arange(50, dtype=np.float32)[:, None])
        reader.read_into(out)
        writer.write(np.arange(100, 130, dtype=np.float32)[:, None])
        assert writer.jump(50) == 50
        assert reader.read_into(out) == 10
        assert out[:, 0].tolist() == list(range(100, 110))
        assert writer.space == 100 - 20
