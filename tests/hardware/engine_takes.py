"""A patch that plays known noise and records what comes back, for the engine on a sound server."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sound_servers import Server

import asmu_control as asmu

SEED = 11
RATE = 48000


def use(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.env.items():
        if os.environ.get(name) != value and name != "PYTHONPATH":
            monkeypatch.setenv(name, value)


def noise(frames: int, channels: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(SEED)).random((frames, channels), dtype=np.float32) * 2 - 1


def patch(server: Server, path: Path, channels: int, blocksize: int) -> tuple[asmu.Interface, asmu.analyzer.Recorder]:
    interface = asmu.Interface(device=server.device, samplerate=RATE, blocksize=blocksize)
    source = asmu.generator.Noise(interface, seed=SEED)
    recorder = asmu.analyzer.Recorder(interface, path, channels=channels)
    for index in range(channels):
        source.output(index).connect(interface.ioutput(index, ch=index + 1))
        interface.iinput(index, ch=index + 1).connect(recorder.input(index))
    return interface, recorder


def first_sound(data: np.ndarray) -> int:
    return int(np.flatnonzero(data[:, 0])[0])
