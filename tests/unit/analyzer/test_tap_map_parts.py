"""The parts of Tap.map that need no process: messages, the plan of a ring's blocks, one block in a worker."""

from __future__ import annotations

import io
import os
from functools import partial

import numpy as np
import pytest

from asmu_control.analyzer.mapping.report import Report, Task
from asmu_control.analyzer.mapping.result import MapProgress
from asmu_control.analyzer.mapping.ringplan import RingPlan
from asmu_control.analyzer.mapping.wire import flatten, rebuild, receive, send
from asmu_control.analyzer.mapping.worker import do
from asmu_engine.shm.reader import RingReader

FRAMES = 100


def ramp(begin: int, frames: int) -> np.ndarray:
    return np.arange(begin, begin + frames, dtype=np.float32)


def through_a_pipe(pieces):
    read, write = os.pipe()
    with io.FileIO(read, "r") as incoming, io.FileIO(write, "w") as outgoing:
        send(outgoing, pieces)
        outgoing.close()
        return receive(incoming), receive(incoming)


# -- messages ---------------------------------------------------------------------------------------------------------


def test_a_value_comes_through_a_pipe_with_its_arrays_beside_the_pickle():
    value = {"a": np.arange(3000.0).reshape(30, 100), "b": np.array(7, np.int16), "c": "text"}
    pieces = flatten(value)
    assert [len(piece) for piece in pieces[1:]] == [24_000, 2]
    assert len(pieces[0]) < 500
    came, after = through_a_pipe(pieces)
    assert after is None
    back = rebuild(came)
    np.testing.assert_array_equal(back["a"], value["a"])
    back["a"][:] = 0  # the caller's own
    assert (back["b"], back["c"]) == (7, "text")


def test_a_message_that_breaks_off_is_none():
    read, write = os.pipe()
    with io.FileIO(read, "r") as incoming, io.FileIO(write, "w") as outgoing:
        outgoing.write(b"\x02\x00\x00\x00" + (5).to_bytes(8, "little") * 2 + b"12345" + b"123")
        outgoing.close()
        assert receive(incoming) is None


def test_functions_go_as_code_and_values_of_local_classes_as_well():
    factor = 3.0
    assert rebuild(flatten(lambda x: factor * x, code=True))(2) == 6.0

    class Level:
        value = 4

    assert rebuild(flatten(Level())).value == 4


# -- the plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_goes_on_by_hops(make_source):
    source = make_source(capacity=1000)
    source.write(ramp(0, 500), position=2000)
    plan = RingPlan(RingReader(source.name, "first"), FRAMES, 40)
    assert plan.origin == 2000
    assert [plan.next(0.0) for _ in range(4)] == [0, 40, 80, 120]
    assert plan.behind(2100) == 400
    plan.close()


def test_a_plan_of_an_empty_ring_begins_with_its_first_frame(make_source):
    source = make_source(capacity=1000)
    plan = RingPlan(RingReader(source.name), FRAMES, FRAMES)
    assert (plan.origin, plan.next(0.0), plan.behind(None)) == (None, 0, 0)
    source.write(ramp(0, 50), position=700)
    assert (plan.origin, plan.next(0.0), plan.behind(None)) == (700, 100, 50)
    taker = plan.place.open()
    source.write(ramp(50, 150), position=750)
    assert taker.take(100).position == 800
    plan.close()
    taker._reader.close()


def test_a_plan_that_is_overtaken_leaps_to_where_blocks_last(make_source):
    source = make_source(capacity=1000, samplerate=1000)
    source.write(ramp(0, 5000))
    for needed, offset in ((0.0, 4200), (0.33, 4400), (60.0, 4800)):
        # An eighth of the ring, or as much as the function needs, but not all of it; a whole number of hops.
        plan = RingPlan(RingReader(source.name, 0), FRAMES, FRAMES)
        assert plan.next(needed) == offset
        assert plan.next(needed) == offset + FRAMES
        plan.close()


def test_a_plan_from_before_the_first_frame_begins_with_the_first_block(make_source):
    source = make_source(capacity=1000)
    source.write(ramp(0, 500), position=730)
    plan = RingPlan(RingReader(source.name, 0), FRAMES, FRAMES)
    assert plan.next(0.0) == 800
    plan.close()


def test_a_paced_plan_holds_the_writer_at_the_oldest_block_that_is_not_done(make_source):
    source = make_source(capacity=1000)
    plan = RingPlan(RingReader(source.name), FRAMES, FRAMES, paced=True)
    source.write(ramp(0, 500))
    offsets = [plan.next(0.0) for _ in range(3)]
    plan.done_before(offsets[1])
    assert source.writer.slowest_paced() == 100
    plan.done_before(None)
    assert source.writer.slowest_paced() == 300
    plan.close()
    assert source.writer.slowest_paced() is None


# -- one block in a worker ----------------------------------------------------------------------------------------------


@pytest.fixture
def taker(make_source):
    source = make_source(channels=1, capacity=1000)
    source.write(ramp(0, 500))
    plan = RingPlan(RingReader(source.name, "first"), FRAMES, FRAMES)
    taker = plan.place.open()
    taker.source = source
    yield taker
    plan.close()
    taker._reader.close()


def test_a_block_is_read_in_place(taker):
    seen = []
    report, pieces = do(Task(3, 200), taker, seen.append, copy=False)
    assert report[:4] == (3, "done", 200, 0)
    assert rebuild(pieces) is None
    assert np.shares_memory(seen[0], taker._reader._data)
    assert not seen[0].flags.writeable


def test_a_copy_may_be_written_to(taker):
    def square(block):
        block *= block
        return block.sum()

    _, pieces = do(Task(0, 0), taker, square, copy=True)
    assert rebuild(pieces) == np.sum(ramp(0, 100) ** 2)
    assert do(Task(0, 0), taker, square, copy=False)[0].outcome == "failed"


def test_a_part_of_the_ring_that_is_returned_does_not_change_on_its_way(taker):
    _, pieces = do(Task(0, 0), taker, lambda block: (block, block[50:]), copy=False)
    taker.source.write(np.zeros(1000))
    whole, part = rebuild(pieces)
    np.testing.assert_array_equal(whole[:, 0], ramp(0, 100))
    np.testing.assert_array_equal(part[:, 0], ramp(50, 50))


@pytest.mark.parametrize("ends", [lambda block: 5, lambda block: 1 / 0])
def test_what_came_of_a_block_that_was_overwritten_meanwhile_does_not_count(taker, ends):
    def slow(block):
        taker.source.write(ramp(500, 600))
        return ends(block)

    assert do(Task(1, 0), taker, slow, copy=False) == (Report(1, "missed", 0, seconds=pytest.approx(0, abs=60)), [])


def test_a_block_that_was_copied_before_may_take_its_time(taker):
    def slow(block):
        taker.source.write(ramp(500, 600))
        return block[:, 0].tolist()

    report, pieces = do(Task(1, 0), taker, slow, copy=True)
    assert (report.outcome, rebuild(pieces)) == ("done", ramp(0, 100).tolist())


def test_a_block_that_is_gone_is_missed_and_one_that_never_comes_is_the_end(taker):
    taker.source.write(ramp(500, 1000))
    assert do(Task(0, 100), taker, len, copy=False)[0][:3] == (0, "missed", 100)
    taker.source.writer.close()
    assert do(Task(1, 1450), taker, len, copy=False)[0].outcome == "ended"
    assert do(Task(2, 1600), taker, len, copy=False)[0].outcome == "ended"


def test_frames_that_the_device_lost_are_zeros_and_counted(taker):
    taker.source.write(ramp(530, 70), position=530)
    report, pieces = do(Task(0, 500), taker, partial(np.array, copy=True), copy=False)
    assert (report.position, report.lost) == (500, 30)
    np.testing.assert_array_equal(rebuild(pieces)[:, 0], np.concatenate([np.zeros(30), ramp(530, 70)]))


def test_an_error_is_brought_over_with_the_traceback_from_the_function_on(taker):
    report, pieces = do(Task(0, 0), taker, lambda block: {}["nothing"], copy=False)
    error = rebuild(pieces)
    assert (type(error), error.args) == (KeyError, ("nothing",))
    assert report.text.endswith("KeyError: 'nothing'")
    assert "worker.py" not in report.text

    class Awkward(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    def fail(block):
        raise Awkward(1, 2)

    report, pieces = do(Task(0, 0), taker, fail, copy=False)
    assert (report.outcome, pieces) == ("failed", [])
    assert "Awkward: 1" in report.text


def test_progress_in_a_line():
    progress = MapProgress(50, 480_000, 4_800, 480_000, 48_000.0, 0, 0, 24_000, 2, 0.415, 1.0)
    assert str(progress) == "50 results, 0.10 of 10.0 s behind, 2 workers 42 % busy, 1.00 x real time; 0.500 s skipped"
    assert progress.lag_seconds == 0.1
