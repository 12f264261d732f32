"""When a stream of PortAudio that does not call any more is lost, and a call of it that does not return is given up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from device_takes import Take
from fake_sounddevice import FakeStream, ramp

from asmu_engine.clocks import silence
from asmu_engine.devices import portaudio
from asmu_engine.protocol.errors import DeviceError


def test_a_stream_that_falls_silent_is_abandoned(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "DEVICE_SECONDS", 0.01)
    device, stream = opened("Plain", [1], [1])
    take = Take(device, 20)
    device.start(take, take.end)
    stream.block(ramp(1), ramp(1))
    assert take.ended.wait(10)
    assert take.reasons[0].startswith("lost: Plain has not called for")
    assert device.abandoned
    with pytest.raises(DeviceError, match="new process") as caught:
        device.start(take, take.end)
    assert caught.value.code == "device_lost"
    device.close()
    assert stream.calls == ["start"]


def test_one_block_before_anybody_watches_is_a_beginning(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to connect is over with it, and the silence behind it counts."""
    monkeypatch.setattr(silence, "DEVICE_SECONDS", 0.01)
    monkeypatch.setattr(portaudio, "BEGIN_SECONDS", 3600.0)
    device, stream = opened("Plain", [1], [1])
    stream.start = lambda: stream.block(ramp(1), ramp(1))
    take = Take(device, 20)
    device.start(take, take.end)
    assert take.ended.wait(10)
    assert take.reasons[0].startswith("lost: Plain has not called for")


def test_a_stop_that_hangs_is_given_up(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "_HANG_S", 0.05)
    device, stream = opened("Plain", [1], [1])
    stopping, release = threading.Event(), threading.Event()
    stream.on_stop = lambda: (stopping.set(), release.wait())
    take = Take(device, 20)
    device.start(take, take.end)
    device.close()
    assert device.abandoned
    assert stopping.wait(10)
    assert stream.calls == ["start", "stop"]
    release.set()


class Silent:
    """A silence of always `lasts` seconds; `looks` counts how often somebody asked."""

    lasts = 0.0
    looks: threading.Semaphore

    def __init__(self, sign: int, grace: float = 0.0) -> None:
        pass

    def seconds(self, sign: int) -> float:
        self.looks.release()
        return self.lasts


@pytest.mark.parametrize("latency", [(2.0, 0.5), (0.5, 2.0)])
def test_a_server_may_be_silent_for_as_long_as_the_buffers_last(
    opened: Any, monkeypatch: pytest.MonkeyPatch, latency: tuple[float, float]
) -> None:
    monkeypatch.setattr(silence, "DEVICE_SECONDS", 1.0)
    monkeypatch.setattr(portaudio, "Silence", Silent)
    monkeypatch.setattr(Silent, "looks", threading.Semaphore(0), raising=False)
    monkeypatch.setattr(Silent, "lasts", 2.9)
    monkeypatch.setattr(FakeStream, "latency", latency)
    device, _ = opened("Plain", [1], [1])
    take = Take(device, 20)
    device.start(take, take.end)
    for _ in range(3):  # whoever looks again has found nothing before
        assert Silent.looks.acquire(timeout=10)
    assert not device.abandoned
    Silent.lasts = 3.1
    assert take.ended.wait(10)
    assert take.reasons == ["lost: Plain has not called for 3.1 s; its server may be gone"]
