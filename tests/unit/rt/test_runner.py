"""What the runner does around the schedule: positions, silence, counters, edits between two frames."""

import numpy as np
import pytest

from asmu_engine.local import LocalEngine
from asmu_engine.rt.acore import AEffect, AGenerator
from asmu_engine.rt.mailbox import PreparedEdit
from asmu_engine.rt.runner import Runner
from asmu_engine.rt.schedule import Schedule, Step, contiguous_runs, silence
from asmu_engine.rt.xruns import OUTPUT_UNDERFLOW
from asmu_engine.shm.status import StatusPage, create_status


@pytest.fixture
def status():
    segment = create_status("runner")
    page = StatusPage.attach("runner")
    yield page
    page.close()
    segment.unlink()
    segment.close()


def call(runner: Runner, frames: int, *, flags: int = 0, lost: int = 0, due_ns: int = 0) -> tuple[np.ndarray, bool]:
    outdata = np.full((frames, 1), np.nan, dtype=np.float32)
    goes_on = runner(np.zeros((frames, 0), dtype=np.float32), outdata, flags, lost, due_ns, 0.0)
    return outdata, goes_on


def constant(engine: LocalEngine, value: float) -> None:
    engine.edit(
        [
            {"op": "add", "node": "c", "kind": "constant", "outputs": 1, "parameters": {"value": value}},
            {"op": "connect", "source": "c", "output": 0, "target": "out", "input": 0},
        ]
    )


def test_an_empty_schedule_plays_silence():
    outdata, goes_on = call(Runner(48000, 64), 64)
    assert goes_on
    assert not outdata.any()


def test_counters_follow_the_stream(status):
    runner = Runner(48000, 64, status)
    for _ in range(3):
        call(runner, 64)
    call(runner, 64, flags=OUTPUT_UNDERFLOW, lost=1000)
    counters = status.snapshot()
    assert counters["blocks"] == 4
    assert counters["frame_position"] == 4 * 64 + 1000
    assert counters["lost_frames"] == 1000
    assert counters["output_underflow"] == 1
    assert counters["input_overflow"] == 0
    assert sum(status.histogram()) == 4
    xrun = {"event": "xrun", "flags": ["output_underflow"], "lost": 1000, "uncertainty": 0, "position": 1192}
    assert list(runner.context.notices) == [xrun]


def test_a_block_that_ends_after_the_next_was_due_misses_its_deadline(status):
    runner = Runner(48000, 64, status)
    call(runner, 64, due_ns=1)
    assert status.counter("deadline_misses") == 1
    assert status.clock()[:2] == (0, 1)


def test_the_stream_ends_on_its_exact_frame():
    engine = LocalEngine(48000, 64, inputs=0, outputs=1)
    constant(engine, 1.0)
    engine.runner.begin_stream(end_block=2, drop=1)
    results = [call(engine.runner, 64) for _ in range(3)]
    assert [goes_on for _, goes_on in results] == [True, True, False]
    assert [block.sum() for block, _ in results] == [0, 64, 64]
    engine.close()


def test_an_end_inside_a_block_leaves_silence_behind_it():
    engine = LocalEngine(48000, 64, inputs=0, outputs=1)
    constant(engine, 1.0)
    engine.runner.end_position = 40
    block, goes_on = call(engine.runner, 64)
    assert not goes_on
    assert block[:40].all()
    assert not block[40:].any()
    engine.close()


def test_a_dated_edit_cuts_the_block_at_its_frame():
    engine = LocalEngine(48000, 64, inputs=0, outputs=1)
    constant(engine, 1.0)
    core = engine.runner.schedule.steps[0].core
    engine.runner.mailbox.post(PreparedEdit(at=100, values=[(core, "value", np.array([3.0]))]))
    heard = np.concatenate([call(engine.runner, 64)[0] for _ in range(3)])[:, 0]
    assert np.array_equal(heard, np.where(np.arange(192) < 100, 1.0, 3.0))
    engine.close()


def test_a_device_block_longer_than_the_block_size_is_cut():
    engine = LocalEngine(48000, 64, inputs=0, outputs=1)
    constant(engine, 2.0)
    block, _ = call(engine.runner, 200)
    assert (block == 2.0).all()
    engine.close()


class ABroken(AGenerator):
    kind = "broken"

    def process(self, inputs, outputs):
        outputs.fill(9)
        raise RuntimeError("no more")


class ADouble(AEffect):
    kind = "double"

    def process(self, inputs, outputs):
        np.multiply(inputs, 2, out=outputs)


def test_a_core_that_raises_is_silenced_and_noticed_and_the_others_go_on(status):
    from asmu_engine.rt.context import Setup

    runner = Runner(48000, 64, status)
    setup = Setup(48000, 64, 0, 1, runner.context, node="culprit")
    buffers = [silence(64, 1), silence(64, 1), silence(64, 1)]
    broken = ABroken(setup, {})
    double = ADouble(Setup(48000, 64, 1, 1, runner.context, node="double"), {})
    ones = silence(64, 1)
    ones.fill(1)
    runner.schedule = Schedule(
        [Step(broken, broken.process, silence(64, 0), buffers[0]), Step(double, double.process, ones, buffers[1])],
        [(slice(0, 1), buffers[1], slice(0, 1))],
        64,
    )
    first, goes_on = call(runner, 64)
    second, _ = call(runner, 64)
    assert goes_on
    assert (first == 2).all()
    assert (second == 2).all()
    assert not buffers[0].any()
    assert status.counter("core_exceptions") == 1
    assert list(runner.context.notices) == [
        {"event": "core_failed", "node": "culprit", "error": "RuntimeError: no more", "position": 0}
    ]


def test_runs_of_columns_are_copied_at_once():
    pairs = [(0, 0, 0), (1, 0, 1), (2, 0, 3), (3, 1, 4), (5, 1, 5)]
    assert contiguous_runs(pairs) == [
        (slice(0, 2), 0, slice(0, 2)),
        (slice(2, 3), 0, slice(3, 4)),
        (slice(3, 4), 1, slice(4, 5)),
        (slice(5, 6), 1, slice(5, 6)),
    ]


class ATouchy(AGenerator):
    kind = "touchy"
    value = 0.0

    def process(self, inputs, outputs):
        outputs.fill(1)

    def changed(self, name):
        raise ValueError("not that")

    def reset(self):
        raise ValueError("not back")

    def adopt(self, previous):
        raise ValueError("not yours")


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda core: PreparedEdit(values=[(core, "value", 2.0)]), "ValueError: not that"),
        (lambda core: PreparedEdit(calls=[(core, "reset")]), "ValueError: not back"),
        (lambda core: PreparedEdit(adoptions=[(core, core)]), "ValueError: not yours"),
    ],
)
def test_a_core_that_raises_at_an_edit_is_silenced_and_the_stream_and_later_edits_go_on(status, edit, text):
    from asmu_engine.rt.context import Setup

    runner = Runner(48000, 64, status)
    core = ATouchy(Setup(48000, 64, 0, 1, runner.context, node="culprit"), {})
    buffer = silence(64, 1)
    runner.schedule = Schedule([Step(core, core.process, silence(64, 0), buffer)], [(slice(0, 1), buffer, slice(0, 1))], 64)
    assert call(runner, 64)[0].all()
    runner.mailbox.post(edit(core))
    block, goes_on = call(runner, 64)
    assert goes_on
    assert not block.any()
    assert status.counter("core_exceptions") == 1
    assert list(runner.context.notices) == [{"event": "core_failed", "node": "culprit", "error": text, "position": 64}]
    # The mailbox is not left half open: the next edit is promised its block and taken there.
    later = PreparedEdit()
    assert runner.mailbox.post(later) == 128
    call(runner, 64)
    assert later.applied_at == 128
