"""Failing on purpose: what was ordered, handed from the control thread to the audio thread."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from asmu_engine.devices.base import Flags
from asmu_engine.protocol.errors import DeviceError

FLAG_FAULTS = {flag.name.lower(): flag for flag in Flags if flag.name is not None}
FAULTS = ("stall", "lose", *FLAG_FAULTS, "gone", "back")

_unplugged: set[str] = set()


class Fault(NamedTuple):
    """One order: `blocks` counts for ``stall``, `frames` for ``lose``."""

    name: str
    blocks: int
    frames: int


class Faults:
    """Orders in their order; `put` in the control thread, `take` in the audio thread, neither waits for the other."""

    def __init__(self, device: str, supported: tuple[str, ...] = FAULTS) -> None:
        self._device = device
        self._supported = supported
        self._orders: deque[Fault] = deque()

    def put(self, name: str, blocks: int, frames: int) -> None:
        """Order a fault; DeviceError ``no_fault`` lists those that exist."""
        if name not in self._supported:
            raise DeviceError(
                f"{self._device} cannot be told to {name!r}; it can: {', '.join(self._supported)}", code="no_fault", where=name
            )
        if blocks < 1 or frames < 1:
            raise DeviceError(f"a fault of {blocks} blocks, {frames} frames; use 1 or more", code="no_fault", where=name)
        self._orders.append(Fault(name, blocks, frames))

    def take(self) -> Fault | None:
        """The oldest order that is left."""
        return self._orders.popleft() if self._orders else None

    def clear(self) -> None:
        """Forget all orders."""
        self._orders.clear()


def plug(name: str, *, present: bool) -> None:
    """Make the simulated device `name` of this process gone, or there again."""
    (_unplugged.discard if present else _unplugged.add)(name)


def check_plugged(name: str) -> None:
    """DeviceError ``device_lost`` while the simulated device `name` is gone."""
    if name in _unplugged:
        raise DeviceError(f"device {name} is gone; it returns with the fault 'back'", code="device_lost", where=name, retry=True)
