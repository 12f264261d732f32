"""The channels of an interface: found, made at their first use, and the numbers of those in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asmu_control.io import Channels, IInput, IOutput


class DeviceChannels:
    """What an interface can do with the channels of its device."""

    _iinputs: Channels[IInput]
    _ioutputs: Channels[IOutput]
    _more_inputs: set[int]
    _more_outputs: set[int]

    @property
    def iinputs(self) -> tuple[IInput, ...]:
        """Input channels in the order in which they were made."""
        return self._iinputs.all

    @property
    def ioutputs(self) -> tuple[IOutput, ...]:
        """Output channels in the order in which they were made."""
        return self._ioutputs.all

    @property
    def inputs(self) -> tuple[int, ...]:
        """Numbers of the input channels in use, from 1, ascending."""
        return tuple(sorted({*self._more_inputs, *(c.channel for c in self.iinputs)}))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Numbers of the output channels in use, from 1, ascending."""
        return tuple(sorted({*self._more_outputs, *(c.channel for c in self.ioutputs)}))

    def iinput(self, idx: int = 0, ch: int | None = None, **attributes: Any) -> IInput:
        """An input channel: number `ch` (from 1), made at its first use, or without `ch` the one at place `idx`.

        Parameters
        ----------
        attributes
            Without `ch`: look for the channel that has them, ``interface.iinput(name="mic")``; of several that at place
            `idx` among them. With `ch`: a new channel is given them, one that exists must have them.

        Raises
        ------
        ValueError
            Nothing at `idx`, no such channel, or a place that is not the next free one for a new channel.
        """
        return self._iinputs.get(idx, ch, attributes)

    def ioutput(self, idx: int = 0, ch: int | None = None, **attributes: Any) -> IOutput:
        """An output channel; see `iinput`."""
        return self._ioutputs.get(idx, ch, attributes)
