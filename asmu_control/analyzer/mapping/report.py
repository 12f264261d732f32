"""What a worker is told, and what it says of a block; both cross the pipe."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from asmu_engine.shm.end import Frames

Outcome: TypeAlias = Literal["done", "missed", "failed", "ended", "died"]
"""Its value follows; it was overwritten before it was done; the function raised; it will never come; the worker died."""


NOWHERE: Final = -1
"""The position of a block that could not be read."""


class Task(NamedTuple):
    """A block to do: its number in the order of results, and its first frame, counted from the first frame of all."""

    number: int
    offset: int


class Report(NamedTuple):
    """What came of a task.

    Attributes
    ----------
    number
        The task's; -1: none, the worker could not begin.
    position
        Frame position of the block's first frame.
    lost
        Frames in it that the device lost.
    utc_ns, monotonic_ns
        Times of the first frame, ns; 0 for unknown.
    seconds
        For how long the function ran.
    text
        Of a failure: the worker's traceback.
    """

    number: int
    outcome: Outcome
    position: int = 0
    lost: int = 0
    utc_ns: int = 0
    monotonic_ns: int = 0
    seconds: float = 0.0
    text: str = ""


class Taken(Protocol):
    """A block in a worker; `asmu_engine.shm.block.RingBlock` is one."""

    data: Frames
    position: int
    lost: int

    @property
    def utc_ns(self) -> int:
        """UTC of the first frame, ns since 1970; 0 for unknown."""

    @property
    def monotonic_ns(self) -> int:
        """Monotonic time of the first frame, ns; 0 for unknown."""

    def intact(self) -> bool:
        """True while nothing in `data` has been overwritten."""


class Taker(Protocol):
    """Gets a worker its blocks."""

    def take(self, offset: int) -> Taken | int | None:
        """The block there, waiting for it; its position where it is gone already; None where it will never come."""


class Place(Protocol):
    """Says a worker where its blocks are; pickled."""

    def open(self) -> Taker:
        """To be called in the worker."""


class Setup(NamedTuple):
    """The first message to a worker, with the function beside it."""

    path: list[str]
    place: Any
    copy: bool
