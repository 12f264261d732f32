"""Vector: the signal itself, buffer after buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asmu_control.analyzer.buffered import Buffered

if TYPE_CHECKING:
    from asmu_control.analyzer.result import Result


class Vector(Buffered):
    """Hands out its inputs in buffers of `samples` frames.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    samples
        Frames a buffer, from 1 on.
    channels, paced
        Inputs to begin with; have an offline device wait for this analyzer. See `Follower`.
    """

    def get_buffer(self, block: bool = True, timeout: float | None = 2, *, latest: bool = False) -> Result | Literal[False]:
        """The next buffer, which begins where the last one ended.

        asmu drops what is not fetched in time; here nothing is, as long as the ring holds it.

        Parameters
        ----------
        block
            Wait for it.
        timeout
            Longest wait, seconds; None: no limit. What has come by then is kept for the next call.
        latest
            The newest frames instead, for displays: they may overlap with those before, or leave some out.

        Returns
        -------
        Result or False
            float32 (samples, channels), full scale 1.0, with `position`, `lost`, `skipped` and `clipped`. False on
            time-out, or when the stream has ended before the buffer was full.

        Raises
        ------
        EngineError
            ``engine_state``: no stream has run yet.
        PatchError
            ``bad_value``: `latest` with more samples than seven eighths of the ring.
        """
        result = self._fetch(block, timeout, latest)
        return False if result is None else result
