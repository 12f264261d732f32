"""Constant generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Generator
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PerChannel


class Constant(Generator):
    """The same value in every frame.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    value
        One for all outputs, or one an output; full scale is 1.
    """

    kind = "constant"
    parameters = (Parameter("value", default=1.0, minimum=-1e6, maximum=1e6, per_channel=True),)

    def __init__(self, interface: Interface, value: PerChannel) -> None:
        super().__init__(interface, value=value)

    @property
    def value(self) -> float | list[float]:
        """Value as last set."""
        value: float | list[float] = self._get("value")
        return value

    def set_value(self, value: PerChannel) -> None:
        """Change the value at the next block."""
        self._set(value=value)
