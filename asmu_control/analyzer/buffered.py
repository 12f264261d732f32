"""Buffered: consecutive buffers of a fixed length, the base of the analyzers that measure one buffer after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from asmu_control.analyzer.follower import Follower, check_count, deadline_of
from asmu_control.analyzer.result import Result, count_clipped
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from asmu_control.interface import Interface


class Buffered(Follower):
    """Cuts the frame axis into buffers of `samples` frames: one begins where the last one ended, none is dropped.

    A buffer that could not be fetched in time is left out (its frames are counted as `Result.skipped` in the next one).

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    samples
        Frames a buffer, from 1 on; more than the ring holds is fine, if somebody waits for the buffer meanwhile.
    channels, paced
        See `Follower`.

    Raises
    ------
    PatchError
        ``bad_value``: `samples` is not a whole number from 1 on.
    """

    def __init__(self, interface: Interface, samples: int, *, channels: int = 1, paced: bool = False) -> None:
        self._samples = check_count(samples, "samples")
        self._parts: list[NDArray[np.float32]] = []
        self._have = self._lost = self._skipped = 0
        super().__init__(interface, channels=channels, paced=paced)

    @property
    def samples(self) -> int:
        """Frames a buffer."""
        return self._samples

    def _fetch(self, block: bool, timeout: float | None, latest: bool) -> Result | None:
        """The next buffer, or the newest; None on time-out."""
        deadline = deadline_of(block, timeout)
        with self._reading(deadline) as ready:
            if not ready:
                return None
            return self._newest(deadline) if latest else self._next(deadline)

    def _next(self, deadline: float | None) -> Result | None:
        """The buffer that follows the last one."""
        while self._have < self._samples:
            frames = min(self._samples - self._have, self._piece)
            block = self._source.read(frames, copy=True)
            if block is None:
                if not self._wait(frames, deadline):
                    return None
                continue
            if block.skipped:
                self._skipped += self._have + block.skipped
                self._parts.clear()
                self._have = self._lost = 0
            self._parts.append(block.data)
            self._have += frames
            self._lost += block.lost
        data = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
        end = self._seen = self._source.position
        result = Result(data, end - self._samples, self._lost, self._skipped, count_clipped(data))
        self._forget()
        return result

    def _newest(self, deadline: float | None) -> Result | None:
        """The newest `samples` frames, which may overlap with those before, but end later."""
        reader = self._source
        if self._samples > reader.capacity - self._piece:
            raise PatchError(
                f"latest=True takes at most {reader.capacity - self._piece} samples out of a ring of {reader.capacity}; "
                "make the interface with more ring_seconds",
                code="bad_value",
                where=self.name,
            )
        self._forget()
        while True:
            self._source.seek("newest")
            if self._source.writer_position > self._seen and self._go_back(self._samples):
                block = self._source.read(self._samples, copy=True)
                if block is not None:
                    self._seen = block.position + self._samples
                    return Result(block.data, block.position, block.lost, 0, count_clipped(block.data))
            # Too few so far, or nothing new: the next block of the device brings more.
            if not self._wait(self._samples if self._source.fill > 0 else 1, deadline):
                return None

    def _forget(self) -> None:
        self._parts = []
        self._have = self._lost = self._skipped = 0
