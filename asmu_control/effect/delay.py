"""Delay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PerChannel

LATENCY: Final = 32
"""Frames by which a fractional delay is later than asked: half its interpolator."""


class Delay(Effect):
    """Output n is input n, so many frames later; silence before.

    The one processor through which a cycle may pass, if it delays by a block at least.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    frames
        Delay in frames, 0 to 16 777 216; one for all channels, or one a channel. Whole, unless `fractional`.
    maximum
        Longest delay that `set_frames` may ask for later, frames. Default: the longest of `frames`.
    fractional
        Delays need not be whole: 64 taps of a windowed sinc. Then every channel, also one whose delay is whole, is 32 frames
        (`latency_frames`) later than `frames` says. Amplitude and phase are within 1e-4 (0.001 dB) of an ideal delay up to
        0.907 of half the samplerate (20 kHz at 44.1 kHz); above it the level of a fractional channel falls.

    Raises
    ------
    PatchError
        ``bad_value``: out of range, or not whole without `fractional`.
    """

    kind = "delay"
    parameters = (
        Parameter("fractional", type="bool", default=False, live=False),
        Parameter("frames", default=0.0, unit="frames", minimum=0, maximum=2**24, per_channel=True),
        Parameter("maximum", type="int", default=0, unit="frames", minimum=0, maximum=2**24, live=False),
    )
    breaks_cycle = True

    def __init__(self, interface: Interface, frames: PerChannel, *, maximum: int = 0, fractional: bool = False) -> None:
        self._fractional = fractional
        super().__init__(interface, frames=frames, maximum=maximum, fractional=fractional)

    @property
    def frames(self) -> float | list[float]:
        """Delay as last set, frames, without the `latency_frames`."""
        value: float | list[float] = self._get("frames")
        if self._fractional:
            return value
        return [int(v) for v in value] if isinstance(value, list) else int(value)

    @property
    def latency_frames(self) -> int:
        """Frames by which every channel is later than `frames` says: 32 with `fractional`, else 0."""
        return LATENCY if self._fractional else 0

    def set_frames(self, frames: PerChannel) -> None:
        """Change the delay, frames, at the next block: the output jumps to what was there at that time."""
        self._set(frames=frames)

    def _checked(self, values: dict[str, Any], channels: int) -> dict[str, Any]:
        checked = super()._checked(values, channels)
        frames = checked.get("frames", 0)
        if not self._fractional and any(f != int(f) for f in (frames if isinstance(frames, list) else [frames])):
            raise PatchError(
                f"{self.name}.frames: a delay of {frames} frames is not whole; make the Delay with fractional=True",
                code="bad_value",
                where=f"{self.name}.frames",
            )
        return checked
