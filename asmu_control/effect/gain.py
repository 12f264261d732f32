"""Gain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PerChannel


class Gain(Effect):
    """Output n is input n times its gain; a new gain is reached in a straight line over 5 ms, without a click.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    gain
        Factor; one for all channels, or one a channel.
    in_buffer, out_buffer
        Taken for asmu's scripts; they have no meaning here, since every port has its own buffer.
    """

    kind = "gain"
    parameters = (Parameter("gain", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True),)

    def __init__(self, interface: Interface, gain: PerChannel, in_buffer: bool = True, out_buffer: bool = False) -> None:
        super().__init__(interface, gain=gain)

    @property
    def gain(self) -> float | list[float]:
        """Gain as last set."""
        value: float | list[float] = self._get("gain")
        return value

    def set_gain(self, gain: PerChannel) -> None:
        """Change the gain from the next block on, over 5 ms."""
        self._set(gain=gain)
