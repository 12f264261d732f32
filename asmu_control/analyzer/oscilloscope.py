"""Oscilloscope: buffers around the moments at which the first input crosses a threshold."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from asmu_control.analyzer.follower import Follower, check_count, deadline_of
from asmu_control.analyzer.result import Result, count_clipped
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from asmu_control.interface import Interface
    from asmu_engine.shm.reader import RingBlock

TriggerMode = Literal["rising_edge", "falling_edge", "both"]

# For each mode the signs with which signal and threshold are taken: a falling edge is a rising one upside down.
_SIGNS: Final[dict[str, tuple[int, ...]]] = {"rising_edge": (1,), "falling_edge": (-1,), "both": (1, -1)}
_LOOK_BACK: Final = 4  # buffers in which latest=True looks for a trigger


class Oscilloscope(Follower):
    """Waits for its first input to cross a threshold, and hands out the frames of all inputs around that moment.

    Sample `xpos` of a buffer is the first at or past the threshold: on a rising edge ``x[xpos-1] < ythreshold <= x[xpos]``,
    on a falling one ``x[xpos-1] > ythreshold >= x[xpos]``. Each trigger comes once. Having triggered, it holds off until
    the end of that buffer: the next trigger is the first from there on, its frames before `xpos` may be in both buffers.
    As with any oscilloscope a trigger needs `xpos` frames before it, so there is none in the first `xpos` of a stream;
    and none where frames that the device lost make the signal jump.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    xpos
        Where in the buffer the trigger is, frames: 0 to ``buffersize - 1``.
    ythreshold
        Threshold, full scale is 1.0.
    mode
        ``"rising_edge"``, ``"falling_edge"`` or ``"both"``.
    buffersize
        Frames a buffer.
    hysteresis
        How far, in full scale, the signal must have been on the other side of the threshold before it can trigger:
        with noise on it, a little more than the noise. Then ``x[xpos-1]`` may lie within this band.
    channels, paced
        Inputs to begin with; have an offline device wait for this analyzer. See `Follower`.

    Raises
    ------
    PatchError
        ``bad_value``: one of these is out of range.
    """

    def __init__(
        self,
        interface: Interface,
        xpos: int = 2000,
        ythreshold: float = 0,
        mode: TriggerMode = "rising_edge",
        buffersize: int = 4000,
        *,
        hysteresis: float = 0.0,
        channels: int = 1,
        paced: bool = False,
    ) -> None:
        self._size = check_count(buffersize, "buffersize")
        self._before = check_count(xpos, "xpos", 0)
        if self._before >= self._size:
            raise PatchError(f"xpos {xpos} is outside a buffer of {buffersize} frames", code="bad_value", where="xpos")
        if mode not in _SIGNS:
            raise PatchError(f"mode {mode!r}: use one of {', '.join(_SIGNS)}", code="bad_value", where="mode")
        for name, value, minimum in (("ythreshold", ythreshold, -math.inf), ("hysteresis", hysteresis, 0.0)):
            if not math.isfinite(value) or value < minimum:
                raise PatchError(f"{name} {value!r} is not a finite number in range", code="bad_value", where=name)
        self._threshold, self._hysteresis = float(ythreshold), float(hysteresis)
        self._signs = _SIGNS[mode]
        self._skipped = 0
        self._begun = False
        self._base = 0
        self._past: NDArray[np.float32] = np.empty((0, 1), np.float32)
        self._gaps: list[tuple[int, int]] = []
        self._triggers: deque[int] = deque()
        self._states = [0] * len(self._signs)
        super().__init__(interface, channels=channels, paced=paced)

    def get_buffer(self, block: bool = True, timeout: float | None = 2, *, latest: bool = False) -> Result | Literal[False]:
        """The frames around the next trigger after those already handed out.

        Parameters
        ----------
        block
            Wait for a trigger.
        timeout
            Longest wait, seconds; None: no limit.
        latest
            For displays: the newest trigger of late, or the next one; those before are left out.

        Returns
        -------
        Result or False
            float32 (buffersize, channels); the trigger is at frame ``position + xpos``. `skipped` counts all frames
            since the last buffer that were overwritten before they could be searched. False on time-out.

        Raises
        ------
        EngineError
            ``engine_state``: no stream has run yet.
        """
        deadline = deadline_of(block, timeout)
        with self._reading(deadline) as ready:
            result = None
            if ready and latest:
                self._leave_backlog()
                while (newer := self._next(time.monotonic())) is not None:
                    result = newer
            if ready and result is None:
                result = self._next(deadline)
        return False if result is None else result

    def _next(self, deadline: float | None) -> Result | None:
        while (result := self._complete()) is None:
            chunk = self._source.read_chunk(self._piece)
            if chunk is not None:
                self._take(chunk)
                continue
            missing = self._triggers[0] - self._before + self._size - self._end if self._triggers else 1
            if not self._wait(max(1, min(missing, self._piece)), deadline):
                return None
        return result

    @property
    def _end(self) -> int:
        """Frame position behind the frames kept."""
        return self._base + len(self._past)

    def _take(self, chunk: RingBlock) -> None:
        """Add the next frames to those kept, and note the triggers in them."""
        if chunk.skipped:
            self._forget()
            self._skipped += chunk.skipped
        data = chunk.data
        if not self._begun or chunk.lost > self._source.capacity:
            # At the beginning, or after so long a loss that there is nothing to be seen across it.
            self._forget()
            self._begun, self._base, self._past = True, chunk.position, data
        else:
            if chunk.lost:
                self._gaps.append((self._end, chunk.position))
                self._states = [0] * len(self._signs)
                data = np.concatenate((np.zeros((chunk.lost, data.shape[1]), data.dtype), data))
            self._past = np.concatenate((self._past, data))
        found: list[int] = []
        for edge, sign in enumerate(self._signs):
            signal = sign * chunk.data[:, 0]
            indices, self._states[edge] = crossings(signal, sign * self._threshold, self._hysteresis, self._states[edge])
            found += (indices + chunk.position).tolist()
        self._triggers.extend(sorted(found))

    def _complete(self) -> Result | None:
        """The buffer of the first trigger that counts, if all its frames are there; what is no longer needed goes."""
        triggers = self._triggers
        # The first frames of a stream have nothing before them.
        while triggers and triggers[0] < max(self._seen, self._base + self._before):
            triggers.popleft()
        oldest = max(self._base, (triggers[0] if triggers else self._end) - self._before)
        if oldest - self._base > len(self._past) // 2:
            self._past, self._base = self._past[oldest - self._base :], oldest
            self._gaps = [gap for gap in self._gaps if gap[1] > oldest]
        if not triggers:
            return None
        begin = triggers[0] - self._before
        end = begin + self._size
        if end > self._end:
            return None
        data = self._past[begin - self._base : end - self._base].copy()
        lost = sum(max(0, min(end, gap[1]) - max(begin, gap[0])) for gap in self._gaps)
        skipped, self._skipped = self._skipped, 0
        self._seen = end
        return Result(data, begin, lost, skipped, count_clipped(data))

    def _leave_backlog(self) -> None:
        """What is older than a few buffers is of no interest to a display."""
        recent = _LOOK_BACK * self._size
        if self._source.fill > recent and self._go_back(recent):
            self._forget()
            self._skipped = 0

    def _forget(self) -> None:
        self._begun = False
        self._base = 0
        self._past = np.empty((0, 1), np.float32)
        self._gaps = []
        self._triggers.clear()
        self._states = [0] * len(self._signs)


def crossings(signal: NDArray[Any], threshold: float, hysteresis: float, state: int) -> tuple[NDArray[np.intp], int]:
    """Where a signal rises through a threshold, and the state for the stretch that follows.

    Parameters
    ----------
    signal
        Shape (frames,).
    threshold, hysteresis
        At or above `threshold` it is up, below ``threshold - hysteresis`` it is down, between it stays what it was.
    state
        1: it was up before, -1: it was down, 0: unknown. From 0 the first way up is not a crossing.

    Returns
    -------
    indices, state
        Indices of the first samples up after one that was down.
    """
    side = (signal >= threshold).astype(np.int8) - (signal < threshold - hysteresis)
    known = np.flatnonzero(side)
    if not known.size:
        return known, state
    sides = side[known]
    before = np.concatenate((np.array([state], np.int8), sides[:-1]))
    return known[(sides == 1) & (before == -1)], int(sides[-1])
