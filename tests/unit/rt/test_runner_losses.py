"""What the runner says of frames that are missing: to the taps of the block behind them, and to the control thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asmu_engine.local import LocalEngine
from asmu_engine.rt.xruns import INPUT_OVERFLOW, INPUT_UNDERFLOW, OUTPUT_UNDERFLOW
from asmu_engine.shm.causes import DEVICE, DEVICE_LOST, RESTART, STOPPED
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.gaps import Gap
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.segment import segment_name

BLOCK = 64


class Tapped:
    """An engine with a tap on its input, called as a device calls it."""

    def __init__(self, engine: LocalEngine, reader: RingReader) -> None:
        self.runner = engine.runner
        self.reader = reader

    def __call__(self, lost: int = 0, flags: int = 0, inputs: int = 1) -> None:
        self.runner(np.zeros((BLOCK, inputs), np.float32), np.zeros((BLOCK, 1), np.float32), flags, lost, 0, 0.0)

    @property
    def gaps(self) -> list[tuple[int, ...]]:
        return [tuple(gap) for gap in self.reader.gaps()]

    def xruns(self) -> list[tuple[Any, ...]]:
        notices = list(self.runner.context.notices)
        self.runner.context.notices.clear()
        return [(note["lost"], note["uncertainty"], note["position"]) for note in notices if note["event"] == "xrun"]


@pytest.fixture
def tapped() -> Iterator[Tapped]:
    segment = create_ring(segment_name("losses", "tap1"), RingKind.TAP, 1, 48000.0, 4096)
    engine = LocalEngine(48000.0, BLOCK, inputs=1, outputs=1)
    reader = RingReader(segment.name, "first")
    try:
        engine.edit(
            [
                {"op": "add", "node": "tap1", "kind": "tap", "inputs": 1, "outputs": 0, "ring": segment.name},
                {"op": "connect", "source": "in", "output": 0, "target": "tap1", "input": 0},
            ]
        )
        yield Tapped(engine, reader)
    finally:
        reader.close()
        engine.close()
        segment.unlink()
        segment.close()


def test_what_a_simulated_device_lost_is_exact(tapped: Tapped) -> None:
    tapped()
    tapped(lost=100, flags=INPUT_OVERFLOW)
    tapped()
    assert tapped.gaps == [Gap(64, 100, DEVICE, 0)]
    assert tapped.xruns() == [(100, 0, 164)]


def test_what_a_sound_device_lost_is_as_sure_as_the_device_is(tapped: Tapped) -> None:
    tapped.runner.device = SimpleNamespace(loss_uncertainty=3)
    tapped()
    tapped(lost=100, flags=INPUT_OVERFLOW)
    tapped(lost=7, flags=INPUT_OVERFLOW)
    assert tapped.gaps == [Gap(64, 100, DEVICE, 3), Gap(228, 7, DEVICE, 3)]
    assert tapped.xruns() == [(100, 3, 164), (7, 3, 235)]


@pytest.mark.parametrize(
    ("flags", "inputs", "uncertainty"),
    [
        (INPUT_OVERFLOW, 1, BLOCK),
        (INPUT_UNDERFLOW | OUTPUT_UNDERFLOW, 1, BLOCK),
        (OUTPUT_UNDERFLOW, 1, 0),
        (OUTPUT_UNDERFLOW, 0, BLOCK),
    ],
)
def test_a_flag_of_a_sound_device_alone_may_be_a_block(tapped: Tapped, flags: int, inputs: int, uncertainty: int) -> None:
    tapped.runner.device = SimpleNamespace(loss_uncertainty=1)
    tapped(flags=flags, inputs=inputs)
    assert tapped.xruns() == [(0, uncertainty, 0)]


def test_a_flag_of_a_simulated_device_without_a_loss_is_none(tapped: Tapped) -> None:
    tapped(flags=INPUT_OVERFLOW)
    assert tapped.xruns() == [(0, 0, 0)]


def test_the_first_block_behind_a_jump_of_the_axis_says_why(tapped: Tapped) -> None:
    tapped()
    tapped.runner.advance(1000, RESTART, 64)
    for _ in range(3):
        tapped()
    tapped.runner.advance(5000, DEVICE_LOST, 12)
    tapped()
    tapped(lost=10)
    assert tapped.gaps == [Gap(64, 936, RESTART, 64), Gap(1192, 3808, DEVICE_LOST, 12), Gap(5064, 10, DEVICE, 0)]


def test_a_loss_right_behind_a_jump_makes_that_less_sure(tapped: Tapped) -> None:
    tapped.runner.device = SimpleNamespace(loss_uncertainty=5)
    tapped()
    tapped.runner.advance(1000, RESTART, 64)
    tapped(lost=10, flags=INPUT_OVERFLOW)
    assert tapped.gaps == [Gap(64, 946, RESTART, 69)]
    assert tapped.xruns() == [(10, 5, 1010)]


def test_a_jump_that_led_nowhere_says_nothing_of_a_later_loss(tapped: Tapped) -> None:
    tapped()
    tapped.runner.advance(64, STOPPED)
    tapped()
    tapped(lost=10)
    assert tapped.gaps == [Gap(128, 10, DEVICE, 0)]


def drop_at_start(tapped: Tapped) -> None:
    tapped.runner.advance(1000, RESTART, 64)
    tapped.runner.begin_stream(end_block=None, drop=2)


def drop_while_running(tapped: Tapped) -> None:
    tapped.runner.drop_until = tapped.runner.position + 2 * BLOCK


@pytest.mark.parametrize(
    ("drop", "gap"), [(drop_at_start, Gap(64, 936 + 128, RESTART, 64)), (drop_while_running, Gap(64, 128, STOPPED, 0))]
)
def test_blocks_that_are_dropped_belong_to_the_gap(tapped: Tapped, drop: Callable[[Tapped], None], gap: Gap) -> None:
    tapped()
    drop(tapped)
    for _ in range(4):
        tapped()
    assert tapped.gaps == [gap]


def test_times_follow_utc_where_it_is_set(tapped: Tapped) -> None:
    context = tapped.runner.context
    tapped()
    ahead = context.utc_ns - context.monotonic_ns
    tapped.runner.utc.step(-1_500_000_000)
    tapped()
    assert abs(context.utc_ns - context.monotonic_ns - ahead + 1_500_000_000) < 100_000_000
    tapped.runner.utc.refresh()
    tapped()
    assert abs(context.utc_ns - context.monotonic_ns - ahead + 1_500_000_000) < 100_000_000
