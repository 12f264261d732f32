"""A callback for device tests: plays known samples, keeps what it was given, on the device's own frame axis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmu_engine.devices.base import Block, Device


class Take:
    """Plays seeded noise for `blocks` blocks; `heard` and `played` map each frame position to its samples."""

    def __init__(self, device: Device, blocks: int, during: Callable[[int], Any] | None = None) -> None:
        self.device = device
        self.blocks = blocks
        self.during = during
        self.rng = np.random.default_rng(5)
        self.position = 0
        self.starts: list[int] = []
        self.heard: list[NDArray[np.float32]] = []
        self.played: list[NDArray[np.float32]] = []
        self.flags: list[int] = []
        self.lost: list[int] = []
        self.due_ns: list[int] = []
        self.called_ns: list[int] = []
        self.device_times: list[float] = []
        self.reasons: list[str] = []
        self.ended = threading.Event()

    def __call__(self, indata: Block, outdata: Block, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        self.called_ns.append(time.monotonic_ns())
        assert indata.flags.c_contiguous
        assert outdata.flags.c_contiguous
        assert indata.dtype == outdata.dtype == np.float32
        self.position += lost
        self.starts.append(self.position)
        outdata[...] = self.rng.uniform(-1.0, 1.0, outdata.shape)
        self.heard.append(indata.copy())
        self.played.append(outdata.copy())
        self.flags.append(flags)
        self.lost.append(lost)
        self.due_ns.append(due_ns)
        self.device_times.append(device_time)
        self.position += len(indata)
        block = len(self.starts)
        if self.during is not None:
            self.during(block)
        return block < self.blocks

    def end(self, reason: str) -> None:
        self.reasons.append(reason)
        self.ended.set()

    def run(self) -> Take:
        """Start, and wait until the stream has ended by itself."""
        self.device.start(self, self.end)
        assert self.ended.wait(20.0), "the stream did not end"
        return self

    def axis(self, blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The blocks on the frame axis, with silence where frames were lost."""
        whole = np.zeros((self.position, blocks[0].shape[1]), dtype=np.float32)
        for start, block in zip(self.starts, blocks, strict=True):
            whole[start : start + len(block)] = block
        return whole

    def frames_got(self) -> NDArray[np.bool_]:
        """True where a frame was delivered."""
        got = np.zeros(self.position, dtype=bool)
        for start, block in zip(self.starts, self.heard, strict=True):
            got[start : start + len(block)] = True
        return got


def delayed(played: NDArray[np.float32], delay: int) -> NDArray[np.float32]:
    """`played` later by `delay` frames, as long as before."""
    later = np.zeros_like(played)
    later[delay:] = played[: len(played) - delay]
    return later


def closing(device: Device) -> Iterator[Device]:
    """Body of a fixture that closes what it gave."""
    yield device
    device.close()
