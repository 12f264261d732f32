"""Sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import ANY_PORTS, Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface


class Sum(Effect):
    """Every output is the arithmetic mean of all inputs, or their plain sum.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    out_buffer
        Taken for asmu's scripts; it has no meaning here, since every output has its own buffer.
    mode
        ``"mean"``: divided by the number of inputs that exist, connected or not. ``"sum"``: not divided.
    """

    kind = "sum"
    parameters = (Parameter("mode", type="choice", default="mean", choices=("mean", "sum")),)
    output_ports = ANY_PORTS
    paired = False

    def __init__(self, interface: Interface, out_buffer: bool = False, *, mode: Literal["mean", "sum"] = "mean") -> None:
        super().__init__(interface, mode=mode)
