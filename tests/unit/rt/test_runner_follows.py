"""The first block of a stream joins an axis that has run on while the device was opened."""

from __future__ import annotations

import numpy as np
import pytest

from asmu_engine.rt.acore import AGenerator, Block
from asmu_engine.rt.context import Setup
from asmu_engine.rt.runner import Runner
from asmu_engine.rt.schedule import Schedule, Step, silence
from asmu_engine.shm.causes import cause_code

BLOCK = 64
AXIS = (10_000, 5_000_000_000, 48000.0)


class ANotes(AGenerator):
    """Keeps of each block its position, and why the axis jumped before it."""

    kind = "notes"

    def prepare(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def process(self, inputs: Block, outputs: Block) -> None:
        context = self.setup.context
        self.seen.append((context.position, context.lost_cause, context.lost_uncertainty))


@pytest.fixture
def runner() -> Runner:
    runner = Runner(48000, BLOCK)
    core = ANotes(Setup(48000, BLOCK, 0, 1, runner.context, "notes"), {})
    runner.schedule = Schedule([Step(core, core.process, silence(BLOCK, 0), silence(BLOCK, 1))], [], BLOCK)
    return runner


def seen(runner: Runner) -> list[tuple[int, int, int]]:
    core = runner.schedule.steps[0].core
    assert isinstance(core, ANotes)
    return core.seen


def block(runner: Runner, due_ns: int) -> bool:
    return runner(np.zeros((BLOCK, 0), np.float32), np.zeros((BLOCK, 1), np.float32), 0, 0, due_ns, 0.0)


def test_first_block_is_where_its_due_time_lies_on_the_axis_and_the_others_follow_it(runner: Runner) -> None:
    runner.advance(10_500, cause_code("device_lost"), 70)
    runner.begin_stream(None, 0)
    runner.follow(AXIS)
    assert runner.began is None
    block(runner, 6_000_000_000)
    assert runner.began == 58_000
    block(runner, 9_999_999_999)
    cause = cause_code("device_lost")
    assert seen(runner) == [(58_000, cause, 70), (58_064, 0, 0)]


def test_axis_never_runs_backwards(runner: Runner) -> None:
    runner.advance(99_000)
    runner.begin_stream(None, 0)
    runner.follow(AXIS)
    block(runner, 6_000_000_000)
    assert (runner.began, seen(runner)[0][0]) == (99_000, 99_000)


def test_dropped_blocks_and_the_end_are_counted_from_the_first_block(runner: Runner) -> None:
    runner.advance(10_500)
    runner.begin_stream(2, 1)
    runner.follow(AXIS)
    assert [block(runner, 6_000_000_000) for _ in range(3)] == [True, True, False]
    assert [position for position, _, _ in seen(runner)] == [58_064, 58_128]


def test_end_that_is_fixed_stays_where_it_is(runner: Runner) -> None:
    runner.advance(57_000)
    runner.begin_stream(20, 0)
    runner.follow(AXIS, fixed_end=True)
    ends = 57_000 + 20 * BLOCK
    blocks = 1
    while block(runner, 6_000_000_000):
        blocks += 1
    assert blocks == -(-(ends - 58_000) // BLOCK)


def test_stream_that_follows_nothing_begins_where_the_axis_stands(runner: Runner) -> None:
    runner.follow(AXIS)
    runner.follow(None)
    runner.advance(500)
    runner.begin_stream(None, 0)
    block(runner, 6_000_000_000)
    assert (runner.began, seen(runner)[0][0]) == (None, 500)
