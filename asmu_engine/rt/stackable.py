"""Cores of which several may run as one.

What a stackable core knows of a channel are entries of arrays, and no channel knows of another. So the builder runs nodes of one
kind that do not depend on each other as one core with all their channels, a *stack*, and moves channels between cores when the
patch changes, without a sample's difference to anyone who listens.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asmu_engine.rt.acore import ACore

Columns: TypeAlias = slice | NDArray[np.intp]
"""Some channels of a core; a slice wherever they are neighbours, for that is quicker."""

ALL: Final = slice(None)


class Stackable(ACore):
    """Mixin of kinds whose nodes may share a core.

    Attributes
    ----------
    remembered
        Names of the arrays, one entry a channel, that with the parameters are the whole state.
    idles
        A channel that nobody hears need not run: `skip` makes up for it.
    early
        What a new stack takes over is copied twice: before it is to run, so that what follows from it stands ready, and then.
    follows
        Of a copy that was made before only what time has changed need be copied again, which `follow` does.
    version
        Rises whenever the state is changed otherwise than by time; to be kept by those that follow.
    """

    stacks: ClassVar[bool] = True
    version: int = 0
    remembered: ClassVar[tuple[str, ...]] = ()
    idles: ClassVar[bool] = True
    early: ClassVar[bool] = True
    follows: ClassVar[bool] = False

    def carry_values(self, previous: Self, mine: Columns, theirs: Columns) -> None:
        """Channels `mine` have the parameters of channels `theirs` of another core of the kind; `carry` follows."""
        for parameter in self.parameters:
            getattr(self, parameter.name)[mine] = getattr(previous, parameter.name)[theirs]

    def carry(self, previous: Self, mine: Columns, theirs: Columns) -> None:
        """Channels `mine` go on where channels `theirs` of another core of the kind stand; `carried` follows."""
        for name in self.remembered:
            getattr(self, name)[mine] = getattr(previous, name)[theirs]

    def follow(self, previous: Self, mine: Columns, theirs: Columns) -> None:
        """What time has changed since `carry_values` and `carry`, which stands as `previous` has been changed by nothing else."""

    def carried(self) -> None:
        """Bring up to date what is derived from the state; runs in the callback, and should do little where little changed."""

    def join(self, previous: Self, mine: Columns, theirs: int) -> None:
        """Channels `mine` are new on a node of which channel `theirs` of `previous` is the first."""

    def put(self, name: str, value: Any, columns: Columns, channels: Columns) -> None:
        """Channels `columns` have a new value of a parameter: what `convert` of the node's own core gave, its `channels`."""
        getattr(self, name)[columns] = value[channels]

    def changed_at(self, name: str, columns: Columns) -> None:
        """As `changed`, of some channels."""

    def skip(self, frames: int) -> None:
        """The state after `frames` frames that were not processed, as if they had been."""

    def changed(self, name: str) -> None:
        """All channels have a new value."""
        self.changed_at(name, ALL)

    def adopt(self, previous: Self) -> None:
        """Channels that stay go on, and from there to the new values."""
        shared = slice(min(self.channels, previous.channels))
        self.carry(previous, shared, shared)
        if self.channels > previous.channels:
            self.join(previous, slice(previous.channels, self.channels), 0)
        self.carried()
        for parameter in self.parameters:
            self.changed(parameter.name)


def columns_of(numbers: list[int]) -> Columns:
    """Channels by their numbers, as a slice where they follow each other.

    >>> columns_of([3, 4, 5])
    slice(3, 6, None)
    >>> columns_of([5, 3])
    array([5, 3])
    """
    first = numbers[0]
    if numbers == list(range(first, first + len(numbers))):
        return slice(first, first + len(numbers))
    return np.array(numbers, dtype=np.intp)
