"""The oscilloscope: every trigger once, on its exact sample, wherever the blocks end."""

import threading

import numpy as np
import pytest

from asmu_control.analyzer import Oscilloscope
from asmu_control.analyzer.oscilloscope import crossings
from asmu_engine.protocol.errors import PatchError


def expected_triggers(x, threshold, mode, xpos, size, first=0):
    """The definition, sample by sample."""
    found, free = [], first + xpos
    for n in range(first + 1, len(x)):
        up = x[n - 1] < threshold <= x[n]
        down = x[n - 1] > threshold >= x[n]
        if n >= free and ((up and mode != "falling_edge") or (down and mode != "rising_edge")) and n - xpos + size <= len(x):
            found.append(n)
            free = n - xpos + size
    return found


def drain(scope):
    buffers = []
    while (buffer := scope.get_buffer(block=False)) is not False:
        buffers.append(buffer)
    return buffers


@pytest.mark.parametrize("mode", ["rising_edge", "falling_edge", "both"])
@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize(("xpos", "size"), [(0, 1), (0, 50), (20, 50), (49, 50), (150, 400)])
def test_every_trigger_once_whatever_the_blocks(interface, make_source, mode, block, xpos, size):
    # Steps between a few levels, one of them the threshold itself: every case of the definition occurs often.
    x = np.random.default_rng(7).choice(np.float32([-0.5, 0.1, 0.1, 0.4]), 3000)
    source = make_source(capacity=4000)
    scope = Oscilloscope(interface, xpos, 0.1, mode, size)
    source.feed(scope)
    got = []
    for start in range(0, 3000, block):
        source.write(x[start : start + block])
        got += drain(scope)
    expected = expected_triggers(x, np.float32(0.1), mode, xpos, size)
    assert len(expected) > 3
    assert [buffer.position + xpos for buffer in got] == expected
    for buffer in got:
        assert np.array_equal(buffer[:, 0], x[buffer.position : buffer.position + size])
        assert (buffer.lost, buffer.skipped, buffer.clipped) == (0, 0, 0)


def test_the_trigger_of_a_sine(interface, make_source):
    x = np.sin(2 * np.pi * np.arange(24_000) / 480 - 0.001).astype(np.float32)
    source = make_source(channels=2)
    scope = Oscilloscope(interface, channels=2)
    source.feed(scope)
    source.write(np.stack([x, -x], axis=1))
    first, second, *_ = drain(scope)
    assert first.shape == (4000, 2)
    assert first[1999, 0] < 0 <= first[2000, 0]
    assert first.position + 2000 == 5 * 480 + 1
    assert second.position + 2000 == 10 * 480 + 1  # the first crossing at or after frame 401 + 4000
    assert np.array_equal(first[:, 1], -first[:, 0])


def test_a_signal_that_begins_above_does_not_trigger(interface, make_source):
    source = make_source()
    scope = Oscilloscope(interface, 0, 0.0, "rising_edge", 10)
    source.feed(scope)
    source.write(np.full(100, 0.5))
    assert drain(scope) == []


def test_waiting_for_a_trigger(interface, make_source):
    source = make_source()
    scope = Oscilloscope(interface, 10, 0.2, "rising_edge", 100)
    source.feed(scope)
    source.write(np.zeros(500))
    assert scope.get_buffer(timeout=0.01) is False
    source.write(np.full(30, 0.3))
    assert scope.get_buffer(timeout=0.01) is False  # the trigger is there, the frames after it are not
    writer = threading.Timer(0.05, source.write, [np.zeros(60)])
    writer.start()
    buffer = scope.get_buffer(timeout=20)
    writer.join()
    assert buffer.position == 490
    assert np.array_equal(np.flatnonzero(buffer), np.arange(10, 40))


def test_lost_frames_are_counted_and_do_not_trigger(interface, make_source):
    source = make_source()
    scope = Oscilloscope(interface, 10, -0.1, "both", 50)
    source.feed(scope)
    low = np.full(200, -0.5)
    source.write(low)
    source.write(low, position=230)  # zeros between them cross the threshold twice
    assert drain(scope) == []
    source.write(np.zeros(40))  # a true edge at 430
    source.write(np.zeros(100), position=480)  # 10 frames lost within its buffer
    (buffer,) = drain(scope)
    assert (buffer.position, buffer.lost) == (420, 0)
    source.write(low[:20])  # an edge at 580
    source.write(low, position=605)
    (buffer,) = drain(scope)
    assert (buffer.position, buffer.lost) == (570, 5)
    assert not buffer[30:35].any()


@pytest.mark.parametrize("mode", ["rising_edge", "both"])
def test_a_jump_across_lost_frames_is_no_edge(interface, make_source, mode):
    source = make_source()
    scope = Oscilloscope(interface, 10, 0.2, mode, 50)
    source.feed(scope)
    source.write(np.full(200, -0.5))
    source.write(np.full(200, 0.5), position=203)
    assert drain(scope) == []


def test_a_long_loss_begins_anew(interface, make_source):
    source = make_source(capacity=1000)
    scope = Oscilloscope(interface, 10, 0.0, "rising_edge", 50)
    source.feed(scope)
    source.write([-1.0] * 60 + [1.0] * 5)
    assert drain(scope) == []
    source.write([1.0] * 100 + [-1.0] * 100 + [1.0] * 100, position=10**9)
    (buffer,) = drain(scope)
    assert (buffer.position, buffer.lost) == (10**9 + 190, 0)


def test_what_was_overwritten_is_counted(interface, make_source):
    source = make_source(capacity=1000)
    scope = Oscilloscope(interface, 10, 0.0, "rising_edge", 50)
    source.feed(scope)
    x = np.where(np.arange(5000) % 100 < 50, -0.5, 0.5)
    source.write(x[:260], block=130)
    assert [buffer.position for buffer in drain(scope)] == [40, 140]
    source.write(x[260:], block=130)
    buffers = drain(scope)
    assert buffers[0].skipped == 4000 - 260
    assert all(buffer.skipped == 0 for buffer in buffers[1:])
    assert [buffer.position for buffer in buffers] == list(range(4040, 4941, 100))


def test_the_newest_trigger_for_displays(interface, make_source):
    source = make_source()
    scope = Oscilloscope(interface, 10, 0.0, "rising_edge", 50)
    source.feed(scope)
    x = np.where(np.arange(20_000) % 100 < 50, -0.5, 0.5)
    source.write(x[:10_000])
    buffer = scope.get_buffer(block=False, latest=True)
    assert (buffer.position, buffer.skipped) == (9940, 0)
    assert scope.get_buffer(block=False, latest=True) is False
    source.write(x[10_000:10_100])
    assert scope.get_buffer(block=False, latest=True).position == 10_040


def test_noise_on_the_signal_needs_hysteresis(interface, make_source):
    rng = np.random.default_rng(3)
    x = (np.sin(2 * np.pi * np.arange(48_000) / 4800) + rng.uniform(-0.05, 0.05, 48_000)) / 2
    phases = []
    for hysteresis in (0.0, 0.1):
        source = make_source()
        scope = Oscilloscope(interface, 0, 0.0, "rising_edge", 100, hysteresis=hysteresis)
        source.feed(scope)
        source.write(x)
        phases.append([buffer.position % 4800 for buffer in drain(scope)])
    assert any(1000 < phase < 4000 for phase in phases[0])  # also on the way down
    assert len(phases[1]) in (9, 10)
    assert all(min(phase, 4800 - phase) < 100 for phase in phases[1])


def test_crossings_keep_their_state():
    x = np.float32([0, 1, 0, -1, -1, 0, 0.5, 1])
    assert crossings(x, 0.5, 0.0, 0)[0].tolist() == [1, 6]
    assert crossings(x, 0.5, 1.0, 0)[0].tolist() == [6]
    indices, state = crossings(x[:1], 0.5, 1.0, -1)
    assert (indices.size, state) == (0, -1)
    indices, state = crossings(x[1:2], 0.5, 0.0, -1)
    assert (indices.tolist(), state) == ([0], 1)
    assert crossings(np.float32([np.nan]), 0.0, 0.0, 1)[1] == 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"xpos": -1}, "xpos"),
        ({"xpos": 4000}, "xpos"),
        ({"buffersize": 0, "xpos": 0}, "buffersize"),
        ({"mode": "rising"}, "rising_edge, falling_edge, both"),
        ({"ythreshold": np.nan}, "ythreshold"),
        ({"hysteresis": -0.1}, "hysteresis"),
    ],
)
def test_what_is_out_of_range_is_refused(interface, options, name):
    with pytest.raises(PatchError, match=name):
        Oscilloscope(interface, **options)
    assert interface.processors == ()
