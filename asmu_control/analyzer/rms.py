"""RMS: root mean square of each input, buffer after buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from asmu_control.analyzer.buffered import Buffered

if TYPE_CHECKING:
    from asmu_control.analyzer.result import Result


class RMS(Buffered):
    """The root mean square ``sqrt(mean(x**2))`` over `samples` frames, of each input; a constant part counts.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    samples
        Frames that one value is made of, from 1 on.
    channels, paced
        Inputs to begin with; have an offline device wait for this analyzer. See `Follower`.
    """

    def get_rms(self, block: bool = True, timeout: float | None = 2, *, latest: bool = False) -> Result | Literal[False]:
        """The values of the next `samples` frames, which begin where those of the last call ended.

        Parameters
        ----------
        block, timeout, latest
            See `Vector.get_buffer`.

        Returns
        -------
        Result or False
            float64 (channels,), 1/sqrt(2) for a sine at full scale, with `position`, `lost` (frames that count as
            zeros), `skipped` and `clipped`. False on time-out.

        Raises
        ------
        EngineError, PatchError
            See `Vector.get_buffer`.
        """
        result = self._fetch(block, timeout, latest)
        if result is None:
            return False
        data = np.asarray(result, np.float64)
        # In one pass, without an array of squares: an eighth of the time of `mean(square(data))` at 128 channels.
        return result.of(np.sqrt(np.einsum("fc,fc->c", data, data) / len(data)))
