"""When a block of a PortAudio stream was due, and how many frames its device lost before it.

PortAudio tells neither. A block is due one period after the one before; the estimate follows blocks that come
earlier at once and slowly those that come later, so it runs along the lower edge of the jitter. A device that has not
caught up within a quarter of a second will not: from then on it is where it is that blocks are due. A host whose own
period is longer than a block calls for several blocks at once: none of those is late. Losses are counted
only where two witnesses agree: the overflow (or, without inputs, underflow) flag, and a device clock that jumped by
half a block or more. Under JACK the device clock is the system's clock and jumps at every stall, also where the
server waited and nothing was lost, so no loss is ever counted there. Nor is one that would take longer than the
time that has passed, by the machine's own clock: some drivers' clocks jump about.
"""

from __future__ import annotations

import math

_LATENCY_S = 0.25
"""By so much more than the time between two callbacks a device clock may go on between them, for what lies in buffers."""
_MEMORY = 64
"""Blocks over which the jitter of the device clock is averaged."""
_NORMAL = 1.2533
"""Standard deviation of a normal distribution in mean absolute deviations: the root of half of pi."""
_CATCH_UP_S = 0.25
"""A device that is late all the time for so long, and eight blocks, has a new pace."""
_FOLLOW = 1.001
"""A period may be longer than nominal by this factor before blocks count as late: far above any clock's error."""


class StreamClock:
    """Told of each block in turn.

    Parameters
    ----------
    samplerate, blocksize
        Hz, frames.
    loss_flag
        The flag that a loss comes with.
    counts_losses
        False where the device clock is no witness.
    """

    def __init__(self, samplerate: float, blocksize: int, loss_flag: int, *, counts_losses: bool) -> None:
        self._samplerate = samplerate
        self._nominal_ns = int(1e9 * blocksize / samplerate)
        self._period_ns = int(_FOLLOW * self._nominal_ns)
        # Later than this is a stall: the device's own clock stood still or jumped, and the pace starts anew.
        self._stall_ns = max(4 * self._period_ns, 100_000_000)
        self._window = max(8, round(_CATCH_UP_S * samplerate / blocksize))
        self._loss_flag = int(loss_flag)  # to ask an IntFlag takes microseconds
        self._counts_losses = counts_losses
        self._least_loss = blocksize / 2 / samplerate
        self.restart()

    def restart(self) -> None:
        """Forget all blocks."""
        self._anchor_ns = 0
        self._last_ns = 0
        self._gap_ns = self._nominal_ns
        self._least_ns = self._stall_ns
        self._left = self._window
        self._expected = 0.0
        self._jitter = 0.0

    @property
    def loss_uncertainty(self) -> int:
        """Standard uncertainty of a loss that was counted, frames: what the device clock is off by from block to block."""
        return max(1, math.ceil(_NORMAL * self._jitter * self._samplerate))

    def due(self, now_ns: int) -> int:
        """When the block that came at `now_ns` was due; never later."""
        # Without min, max and calls: in a callback that finds cold caches, what is not touched is time saved.
        if not self._anchor_ns:
            self._anchor_ns = self._last_ns = now_ns
            return now_ns
        nominal_ns = self._nominal_ns
        gap, self._last_ns = now_ns - self._last_ns, now_ns
        if nominal_ns < 2 * gap and gap < self._stall_ns:
            self._gap_ns += (gap - self._gap_ns) // 16  # mean time between bursts: those within one count for nothing
        edge = self._anchor_ns + self._period_ns
        late = now_ns - edge
        if late <= 0:
            edge, late = now_ns, 0
        if late < self._least_ns:  # noqa: PLR1730 - see above
            self._least_ns = late
        self._anchor_ns = edge
        self._left -= 1
        if late >= self._stall_ns or not self._left:
            self._anchor_ns = now_ns if late >= self._stall_ns else edge + self._least_ns
            self._least_ns, self._left = self._stall_ns, self._window
        blocks_at_once = (self._gap_ns + nominal_ns // 2) // nominal_ns
        if blocks_at_once > 1:
            edge += (blocks_at_once - 1) * nominal_ns
            return edge if edge < now_ns else now_ns
        return edge

    def lost(self, device_time: float, frames: int, flags: int, now_ns: int) -> int:
        """Frames lost right before the block whose first frame is at `device_time`, seconds; 0.0 when unknown.

        To be asked before `due`, for a block that came at `now_ns`.
        """
        expected = self._expected
        if not device_time:
            self._expected = 0.0
            return 0
        self._expected = device_time + frames / self._samplerate
        jump = device_time - expected
        if not expected or not jump:
            return 0
        if not flags & self._loss_flag:
            self._jitter += (abs(jump) - self._jitter) / _MEMORY
        elif self._counts_losses and self._least_loss <= jump <= (now_ns - self._last_ns) * 1e-9 + _LATENCY_S:
            return int(jump * self._samplerate)
        return 0
