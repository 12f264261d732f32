"""Fixtures of PortAudio's device on a stand-in for its library."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

import pytest
from fake_sounddevice import BLOCK, FakeSounddevice, FakeStream

from asmu_engine.clocks import silence
from asmu_engine.devices import portaudio
from asmu_engine.devices.open import open_device


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeSounddevice:
    fake = FakeSounddevice()
    monkeypatch.setitem(sys.modules, "sounddevice", cast(ModuleType, fake))
    monkeypatch.setattr(portaudio, "_open_streams", 0)
    monkeypatch.setattr(silence, "DEVICE_SECONDS", 3600.0)  # a test may be slow to call back
    return fake


@pytest.fixture
def opened(library: FakeSounddevice) -> Iterator[Any]:
    devices: list[Any] = []

    def make(text: str, inputs: Any = None, outputs: Any = None, samplerate: float = 48000) -> tuple[Any, FakeStream]:
        devices.append(open_device(text, samplerate, BLOCK, inputs, outputs))
        return devices[-1], library.streams[-1]

    yield make
    for device in devices:
        device.close()
