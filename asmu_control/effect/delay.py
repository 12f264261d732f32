"""Delay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from asmu_control.interface import Interface


class Delay(Effect):
    """Output n is input n, a whole number of frames later; silence before.

    The one processor through which a cycle may pass, if it delays by a block at least.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    frames
        Delay in frames, 0 to 16 777 216; one for all channels, or one a channel.
    maximum
        Longest delay that `set_frames` may ask for later, frames. Default: the longest of `frames`.
    """

    kind = "delay"
    parameters = (
        Parameter("frames", type="int", default=0, unit="frames", minimum=0, maximum=2**24, per_channel=True),
        Parameter("maximum", type="int", default=0, unit="frames", minimum=0, maximum=2**24, live=False),
    )
    breaks_cycle = True

    def __init__(self, interface: Interface, frames: int | Sequence[int] | NDArray[np.integer[Any]], *, maximum: int = 0) -> None:
        super().__init__(interface, frames=frames, maximum=maximum)

    @property
    def frames(self) -> int | list[int]:
        """Delay as last set, frames."""
        value: int | list[int] = self._get("frames")
        return value

    def set_frames(self, frames: int | Sequence[int] | NDArray[np.integer[Any]]) -> None:
        """Change the delay, frames, at the next block: the output jumps to what was there at that time."""
        self._set(frames=frames)
