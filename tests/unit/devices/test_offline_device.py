"""The offline device: the same samples on every run, free or stepped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from device_takes import Take, delayed

from asmu_engine.devices.base import Device, Flags
from asmu_engine.devices.open import open_device
from asmu_engine.protocol.errors import DeviceError

SYSTEM = "delay_frames=100,noise_dbfs=-60,tone_hz=997,matrix=1:0.5/0.25:1,taps=1:0.5:0.25"


@pytest.fixture
def opened() -> Iterator[Any]:
    devices: list[Device] = []

    def make(options: str = "") -> Device:
        devices.append(open_device(f"offline:{options}", 48000, 32))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


def test_every_run_is_the_same_to_the_bit_free_or_stepped(opened: Any) -> None:
    free = Take(opened(SYSTEM), 300).run()
    device = opened(SYSTEM + ",stepped=1")
    stepped = Take(device, 300)
    device.start(stepped, stepped.end)
    assert [device.step(blocks) for blocks in (1, 99, 150)] == [1, 99, 150]
    assert device.step(100) == 50
    assert stepped.reasons == free.reasons == ["finished"]
    assert np.array_equal(free.axis(free.heard), stepped.axis(stepped.heard))
    assert not device.paced
    again = Take(device, 300)
    device.start(again, again.end)
    device.step(300)
    assert np.array_equal(again.axis(again.heard), free.axis(free.heard))


def test_identity(opened: Any) -> None:
    take = Take(opened("inputs=3,outputs=3"), 50).run()
    assert np.array_equal(take.axis(take.heard), delayed(take.axis(take.played), 32))
    np.testing.assert_allclose(take.device_times, np.arange(50) * 32 / 48000, atol=1e-12)


def test_stepping_is_for_stepped_devices_that_were_started(opened: Any) -> None:
    with pytest.raises(DeviceError, match="offline:stepped=1") as free:
        opened().step(1)
    assert free.value.code == "device_state"
    device = opened("stepped=1")
    with pytest.raises(DeviceError, match="not started") as early:
        device.step(1)
    assert early.value.code == "device_state"
    take = Take(device, 10)
    device.start(take, take.end)
    assert device.running
    with pytest.raises(DeviceError, match="running already"):
        device.start(take, take.end)
    device.stop()
    assert not device.running
    with pytest.raises(DeviceError, match="not started"):
        device.step(1)


def test_it_waits_while_it_is_held(opened: Any) -> None:
    device = opened()
    asked: list[int] = []

    def hold(frames: int) -> bool:
        asked.append(frames)
        return len(asked) % 3 != 0

    device.hold = hold
    assert len(Take(device, 20).run().starts) == 20
    assert len(asked) == 60
    assert set(asked) == {32}


def test_stop_while_it_is_held(opened: Any) -> None:
    device = opened()
    held = threading.Event()
    device.hold = lambda frames: held.set() or True  # type: ignore[func-returns-value]
    take = Take(device, 20)
    device.start(take, take.end)
    assert held.wait(10)
    device.stop()
    assert (take.starts, take.reasons) == ([], [])


def test_a_callback_that_raises_ends_a_stepped_stream_too(opened: Any) -> None:
    def fail(block: int) -> None:
        raise ZeroDivisionError("oh")

    device = opened("stepped=1")
    take = Take(device, 10, during=fail)
    device.start(take, take.end)
    assert device.step(3) == 0
    assert take.reasons == ["lost: offline failed: ZeroDivisionError: oh"]
    assert not device.running


def test_damage_on_purpose_is_exact(opened: Any) -> None:
    device = opened("stepped=1,delay_frames=10")
    take = Take(device, 100)
    device.start(take, take.end)
    device.step(5)
    device.fault("lose", frames=123)
    device.fault("output_underflow")
    device.step(10)
    assert take.lost == [0] * 5 + [123] + [0] * 9
    assert take.flags == [0] * 5 + [Flags.INPUT_OVERFLOW | Flags.OUTPUT_UNDERFLOW] + [0] * 9
    got = take.frames_got()
    assert np.array_equal(take.axis(take.heard)[got], delayed(take.axis(take.played), 42)[got])
    with pytest.raises(DeviceError, match="stall") as caught:
        device.fault("stall")
    assert caught.value.code == "no_fault"
    device.fault("gone")
    assert device.step(1) == 0
    assert take.reasons == ["lost: device offline is gone"]
