"""When a block of a PortAudio stream was due, and how many frames its device lost before it.

PortAudio tells neither. A block is due one period after the one before; the estimate follows blocks that come
earlier at once and slowly those that come later, so it runs along the lower edge of the jitter. A host whose own
period is longer than a block calls for several blocks at once: none of those is late. Losses are counted
only where two witnesses agree: the overflow (or, without inputs, underflow) flag, and a device clock that jumped by
half a block or more. Under JACK the device clock is the system's clock and jumps at every stall, also where the
server waited and nothing was lost, so no loss is ever counted there.
"""

from __future__ import annotations

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
        self._loss_flag = loss_flag
        self._counts_losses = counts_losses
        self._least_loss = blocksize / 2 / samplerate
        self.restart()

    def restart(self) -> None:
        """Forget all blocks."""
        self._anchor_ns = 0
        self._last_ns = 0
        self._gap_ns = self._nominal_ns
        self._expected = 0.0

    def due(self, now_ns: int) -> int:
        """When the block that came at `now_ns` was due; never later."""
        if not self._anchor_ns:
            self._anchor_ns = self._last_ns = now_ns
            return now_ns
        gap, self._last_ns = now_ns - self._last_ns, now_ns
        if self._nominal_ns < 2 * gap and gap < self._stall_ns:
            self._gap_ns += (gap - self._gap_ns) // 16  # mean time between bursts: those within one count for nothing
        edge = min(now_ns, self._anchor_ns + self._period_ns)
        self._anchor_ns = edge if now_ns - edge < self._stall_ns else now_ns
        blocks_at_once = (self._gap_ns + self._nominal_ns // 2) // self._nominal_ns
        return min(now_ns, edge + max(0, blocks_at_once - 1) * self._nominal_ns)

    def lost(self, device_time: float, frames: int, flags: int) -> int:
        """Frames lost right before the block whose first frame is at `device_time`, seconds; 0.0 when unknown."""
        jump = device_time - self._expected if self._expected and device_time else 0.0
        self._expected = device_time + frames / self._samplerate if device_time else 0.0
        if self._counts_losses and flags & self._loss_flag and jump >= self._least_loss:
            return int(jump * self._samplerate)
        return 0
