"""The virtual device: exact samples, exact due times, and every fault that it can be told to have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from device_takes import Take, delayed

from asmu_engine.devices.base import Device, Flags
from asmu_engine.devices.faults import plug
from asmu_engine.devices.open import open_device
from asmu_engine.protocol.errors import DeviceError

BLOCK = 64


@pytest.fixture
def opened() -> Iterator[Any]:
    devices: list[Device] = []

    def make(options: str = "", **more: Any) -> Device:
        # A deep buffer: on a busy machine a test that asks for no loss shall see none.
        buffer = [] if "buffer_s" in options else ["buffer_s=3600"]
        text = "virtual:" + ",".join(["name=test", *buffer, *([options] if options else [])])
        devices.append(open_device(text, 48000, BLOCK, **more))
        return devices[-1]

    yield make
    plug("test", present=True)
    for device in devices:
        device.close()


def assert_exact(take: Take, delay: int) -> None:
    """All that was heard is what was played `delay` frames before, on the frame axis."""
    got = take.frames_got()
    assert np.array_equal(take.axis(take.heard)[got], delayed(take.axis(take.played), delay)[got])


@pytest.mark.parametrize("channels", [1, 2, 128])
def test_what_is_played_is_heard_bit_for_bit(opened: Any, channels: int) -> None:
    device = opened(f"inputs={channels},outputs={channels},delay_frames=37,speed=20")
    take = Take(device, 100).run()
    assert_exact(take, BLOCK + 37)
    assert np.any(take.heard[-1])
    assert take.reasons == ["finished"]
    assert sum(take.flags) == sum(take.lost) == 0
    assert (device.name, device.host_api, device.paced) == ("test", "virtual", True)
    assert device.inputs == device.outputs == tuple(range(1, channels + 1))
    assert not device.running


def test_channels_in_use_and_their_maximum(opened: Any) -> None:
    device = opened("inputs=6,outputs=4,speed=50", inputs=[5, 2], outputs=[2, 4])
    assert (device.max_inputs, device.max_outputs, device.inputs, device.outputs) == (6, 4, (5, 2), (2, 4))
    take = Take(device, 10).run()
    heard, played = take.axis(take.heard), delayed(take.axis(take.played), BLOCK)
    assert not heard[:, 0].any()
    assert np.array_equal(heard[:, 1], played[:, 0])


@pytest.mark.parametrize(
    ("options", "rate"), [("", 48000), ("drift_ppm=-5000", 48000 * 0.995), ("speed=4,drift_ppm=100", 4 * 48000 * 1.0001)]
)
def test_due_times_are_absolute_at_the_devices_rate(opened: Any, options: str, rate: float) -> None:
    take = Take(opened(options), 40).run()
    due = np.array(take.due_ns) - take.due_ns[0]
    expected = np.arange(40) * BLOCK * 1e9 / rate
    assert np.abs(due - expected).max() <= 1.5
    assert all(called >= due for called, due in zip(take.called_ns, take.due_ns, strict=True))
    # The device's clock: the first frame of a block was captured one block before the block was due.
    first = np.array(take.due_ns) * 1e-9 - BLOCK / rate
    np.testing.assert_allclose(take.device_times, first, atol=1e-6, rtol=0)


def test_runs_again_after_the_end_from_the_start(opened: Any) -> None:
    device = opened("speed=50,noise_dbfs=-40")
    first, second = Take(device, 10).run(), Take(device, 10).run()
    assert np.array_equal(first.axis(first.heard), second.axis(second.heard))


def test_stop_ends_at_once_and_says_nothing(opened: Any) -> None:
    device = opened()
    begun = threading.Event()
    take = Take(device, 10**9, during=lambda block: begun.set())
    device.start(take, take.end)
    assert begun.wait(10)
    device.stop()
    blocks = len(take.starts)
    device.stop()
    assert not device.running
    assert take.reasons == []
    assert len(take.starts) == blocks


def test_stop_from_the_callback(opened: Any) -> None:
    device = opened("speed=50")
    finished = threading.Event()

    def stop(block: int) -> None:
        if block == 3:
            device.stop()
            finished.set()

    take = Take(device, 10**9, during=stop)
    device.start(take, take.end)
    assert finished.wait(10)
    device.stop()
    assert (len(take.starts), take.reasons) == (3, [])


def test_stop_from_on_end(opened: Any) -> None:
    device = opened("speed=50")
    done = threading.Event()
    device.start(Take(device, 3), lambda reason: (device.stop(), device.close(), done.set()))
    assert done.wait(10)


def test_a_callback_that_raises_ends_the_stream(opened: Any) -> None:
    def fail(block: int) -> None:
        raise ZeroDivisionError("oh")

    take = Take(opened(), 10, during=fail).run()
    assert take.reasons == ["lost: test failed: ZeroDivisionError: oh"]


def test_the_audio_thread_is_set_up_once_before_its_first_block(opened: Any) -> None:
    device = opened("speed=50")
    seen: list[object] = []
    device.thread_setup = lambda: seen.append(threading.current_thread())
    Take(device, 3, during=lambda block: seen.append(threading.current_thread())).run()
    assert len(seen) == 4
    assert len(set(seen)) == 1
    assert seen[0] is not threading.current_thread()


def test_a_stall_is_caught_up_without_a_loss(opened: Any) -> None:
    device = opened("delay_frames=5")
    take = Take(device, 80, during=lambda block: device.fault("stall", blocks=30) if block == 20 else None).run()
    assert sum(take.lost) == sum(take.flags) == 0
    block_ns = BLOCK * 1e9 / 48000
    # No callback for 30 blocks: the next one comes that much after it was due, and due times do not move.
    assert take.called_ns[20] - take.due_ns[20] >= 30 * block_ns - 1
    assert take.due_ns[20] - take.due_ns[19] == pytest.approx(block_ns, abs=1.5)
    assert_exact(take, BLOCK + 5)


def test_a_stall_beyond_the_buffer_loses_exactly_what_the_axis_jumps(opened: Any) -> None:
    device = opened("buffer_s=0.01")
    take = Take(device, 60, during=lambda block: device.fault("stall", blocks=100) if block == 20 else None).run()
    assert take.lost[20] >= 100 * BLOCK - 1
    assert take.flags[20] == Flags.INPUT_OVERFLOW | Flags.OUTPUT_UNDERFLOW
    due = np.array(take.due_ns)
    expected = np.array(take.starts) * 1e9 / 48000
    assert np.abs((due - due[0]) - (expected - expected[0])).max() <= 2.5
    assert_exact(take, BLOCK)


@pytest.mark.parametrize("frames", [1, 63, 64, 1000, 100000])
def test_lost_frames_are_exactly_as_many_as_ordered(opened: Any, frames: int) -> None:
    device = opened("speed=100,delay_frames=200")
    take = Take(device, 40, during=lambda block: device.fault("lose", frames=frames) if block == 10 else None).run()
    assert take.lost == [0] * 10 + [frames] + [0] * 29
    assert take.flags == [0] * 10 + [Flags.INPUT_OVERFLOW] + [0] * 29
    assert_exact(take, BLOCK + 200)


@pytest.mark.parametrize("flag", list(Flags))
def test_each_flag_alone_on_the_next_block(opened: Any, flag: Flags) -> None:
    device = opened("speed=20")
    take = Take(device, 10, during=lambda block: device.fault(str(flag.name).lower()) if block == 4 else None).run()
    assert take.flags == [0] * 4 + [flag] + [0] * 5
    assert_exact(take, BLOCK)


def test_gone_and_back(opened: Any) -> None:
    device = opened("speed=20")
    take = Take(device, 10**9, during=lambda block: device.fault("gone") if block == 5 else None).run()
    assert take.reasons == ["lost: device test is gone"]
    assert len(take.starts) == 5
    assert not device.running
    for attempt in (lambda: device.start(take, take.end), opened):
        with pytest.raises(DeviceError, match="test is gone") as caught:
            attempt()
        assert (caught.value.code, caught.value.retry) == ("device_lost", True)
    device.fault("back")
    assert Take(device, 5).run().reasons == ["finished"]
    assert Take(opened("speed=20"), 5).run().reasons == ["finished"]


def test_faults_that_do_not_exist_or_come_too_early(opened: Any) -> None:
    device = opened()
    with pytest.raises(DeviceError, match="start it before") as early:
        device.fault("stall")
    assert early.value.code == "device_state"
    take = Take(device, 10**9)
    device.start(take, take.end)
    for name, blocks in (("explode", 1), ("stall", 0)):
        with pytest.raises(DeviceError) as caught:
            device.fault(name, blocks=blocks)
        assert caught.value.code == "no_fault"
    with pytest.raises(DeviceError, match="cannot be stepped") as stepped:
        device.step(1)
    assert stepped.value.code == "device_state"


def test_wrong_states(opened: Any) -> None:
    device = opened()
    take = Take(device, 10**9)
    device.start(take, take.end)
    with pytest.raises(DeviceError, match="running already"):
        device.start(take, take.end)
    device.close()
    device.close()
    with pytest.raises(DeviceError, match="closed") as caught:
        device.start(take, take.end)
    assert caught.value.code == "device_state"
