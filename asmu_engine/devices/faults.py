"""Failing on purpose: what was ordered, handed from the control thread to the audio thread."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from asmu_engine.devices.base import Flags
from asmu_engine.protocol.errors import DeviceError

FLAG_FAULTS = {flag.name.lower(): flag for flag in Flags if flag.name is not None}
CLOCK_FAULTS = ("clock_zero", "clock_jump")
FAULTS = ("stall", "lose", *FLAG_FAULTS, "gone", "back", *CLOCK_FAULTS)

_unplugged: set[str] = set()


class Fault(NamedTuple):
    """One order: `blocks` counts for ``stall`` and the clock's faults, `frames` for ``lose``."""

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


class WrongClock:
    """A device's clock that says 0, or jumps about, for as many blocks as were ordered."""

    def __init__(self) -> None:
        self._zero = self._jump = 0

    def order(self, fault: Fault) -> bool:
        """Take an order; False for one that is none of a clock."""
        if fault.name == "clock_zero":
            self._zero = fault.blocks
        elif fault.name == "clock_jump":
            self._jump = fault.blocks
        else:
            return False
        return True

    def read(self, seconds: float) -> float:
        """What it says in a block where it should say `seconds`."""
        if self._zero:
            self._zero -= 1
            return 0.0
        if self._jump:
            self._jump -= 1
            # Now ahead, now behind, by some seconds: as drivers do that mix up two clocks.
            return seconds + (3.7 if self._jump % 3 else -2.3)
        return seconds


def plug(name: str, *, present: bool) -> None:
    """Make the simulated device `name` of this process gone, or there again."""
    (_unplugged.discard if present else _unplugged.add)(name)


def check_plugged(name: str) -> None:
    """DeviceError ``device_lost`` while the simulated device `name` is gone."""
    if name in _unplugged:
        raise DeviceError(f"device {name} is gone; it returns with the fault 'back'", code="device_lost", where=name, retry=True)
