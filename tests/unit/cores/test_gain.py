"""Gains that are changed several times before the next block: what follows from that is worked out once, and is the same."""

from __future__ import annotations

import numpy as np
import pytest
from core_runs import make, run, tell

from asmu_engine.cores.gain import AGain

FRAMES = 64
LENGTH = 240
"""Frames of a ramp."""


def gain(channels: int) -> AGain:
    core = make(AGain, channels, channels, FRAMES)
    assert isinstance(core, AGain)
    return core


def heard(core: AGain, blocks: int) -> np.ndarray:
    return run(core, np.ones((blocks * FRAMES, core.channels), np.float32))


def change(core: AGain, channel: int, value: float) -> None:
    at = slice(channel, channel + 1)
    core.put("gain", np.array([value]), at, slice(0, 1))
    core.changed_at("gain", at)


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_the_last_change_before_a_block_holds(channels: int) -> None:
    core, alone = gain(channels), [gain(1) for _ in range(channels)]
    heard(core, 1)
    for single in alone:
        heard(single, 1)
    for blocks in (2, 6):  # in the middle of a ramp, and behind its end
        for channel, single in enumerate(alone):
            for value in (0.25, 4.0, (channel + 1) / (10 * blocks)):
                change(core, channel, value)
            change(single, 0, (channel + 1) / (10 * blocks))
        assert np.array_equal(heard(core, blocks), np.hstack([heard(single, blocks) for single in alone]))


def test_a_ramp_starts_where_the_gain_stood_whatever_was_asked_between() -> None:
    core = gain(2)
    for value in (100.0, 0.0):
        tell(core, gain=value)
    line = np.maximum(0.0, 1.0 - np.arange(1, 6 * FRAMES + 1) / LENGTH)
    np.testing.assert_allclose(heard(core, 6), np.stack([line, line], axis=1), atol=1e-6)


def test_changed_to_what_it_is_nothing_moves() -> None:
    core = gain(3)
    version = core.version
    tell(core, gain=1.0)
    change(core, 1, 1.0)
    assert (core.moving, core.version) == (0, version)


def test_a_change_that_nobody_heard_holds_when_the_gain_is_heard_again() -> None:
    core, always = gain(6), gain(6)
    for each in (core, always):
        for channel in range(6):
            change(each, channel, channel / 7)
    core.skip(2 * FRAMES)
    heard(always, 2)
    assert np.array_equal(heard(core, 4), heard(always, 4))
    for each in (core, always):
        change(each, 2, 0.5)
    core.skip(2 * LENGTH)
    heard(always, 8)
    assert core.moving == 0
    assert np.array_equal(heard(core, 1), heard(always, 1))
