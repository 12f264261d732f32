"""Which columns of the device's arrays the channels of a patch are."""

from __future__ import annotations

from dataclasses import dataclass

from asmu_engine.protocol.errors import DeviceError


@dataclass(frozen=True)
class Wiring:
    """Column of each device channel (from 0) in the arrays that the device hands over; None before a device is open."""

    inputs: dict[int, int] | None = None
    outputs: dict[int, int] | None = None

    def input_column(self, port: int) -> int | None:
        """Column of an input channel; None while no device is open, DeviceError when it is not among the open ones."""
        return self._column(self.inputs, port, "input")

    def output_column(self, port: int) -> int | None:
        """Column of an output channel."""
        return self._column(self.outputs, port, "output")

    @staticmethod
    def _column(columns: dict[int, int] | None, port: int, side: str) -> int | None:
        if columns is None:
            return None
        if port not in columns:
            known = ", ".join(str(channel + 1) for channel in columns) or "none"
            raise DeviceError(
                f"{side} channel {port + 1} is not open; open are: {known}. "
                "Connect it before the stream starts, or stop and start again",
                code="device_channels",
                where=f"{side} {port + 1}",
            )
        return columns[port]
