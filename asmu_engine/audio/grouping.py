"""Which channels of one kind on one level share a core: few calls, and few copies before and behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from asmu_engine.audio.heard import Port
from asmu_engine.cores.gain import AGain
from asmu_engine.cores.sine import ASine
from asmu_engine.rt.stackable import Stackable

Source: TypeAlias = tuple[int, int]
"""Number of a buffer, −1 for the device's input, and a column of it."""

Channel: TypeAlias = tuple[int, int, int, int, int, Stackable, str]
"""A channel of a stack to be: its place in order, its source, number of the node and channel; own core, node."""

NOWHERE: Final[Source] = (-2, 0)
"""The source of a port that has none."""

NO_SUM: Final = ""
WORTH: Final[dict[type[Stackable], int]] = {AGain: 16, ASine: 48}
"""So many channels of a kind that lead to one sum are a stack of their own: what the sum takes over of their work is worth it."""


def goal_of(sums: Mapping[Port, Port | None], node: str, channels: Sequence[int]) -> tuple[str, Sequence[int]]:
    """The sum to which all channels of a node lead, and by which of its inputs each; `NO_SUM` where there is none.

    `sums`: see `asmu_engine.audio.heard.heard_channels`.
    """
    if len(channels) == 1:
        end = sums[node, channels[0]]
        return (end[0], (end[1],)) if end else (NO_SUM, channels)
    ends = [sums[node, channel] for channel in channels]
    names = {end[0] if end else NO_SUM for end in ends}
    if len(names) > 1 or NO_SUM in names:
        return NO_SUM, channels
    return names.pop(), [end[1] for end in ends if end]


def stacks_of(groups: Mapping[str, list[Channel]], worth: int) -> Iterator[list[Channel]]:
    """The channels of each stack in their order: one stack for each sum that has enough of them, and one for the others.

    Parameters
    ----------
    groups
        Channels by the sum to which they lead; their places are its inputs.
    worth
        How many are enough.
    """
    others: list[Channel] = []
    for goal, members in groups.items():
        if goal and (len(members) >= worth or len(groups) == 1):
            members.sort()
            yield members
        else:
            others += members
    # Columns in their order, and where one has several readers in laps, so that runs of columns are copied.
    laps: dict[Source, int] = {}
    for place, (_, buffer, column, number, channel, core, node) in enumerate(others):
        source = buffer, column
        lap = laps.get(source, 0)
        if source != NOWHERE:
            laps[source] = lap + 1
        others[place] = lap, buffer, column, number, channel, core, node
    if others:
        others.sort()
        yield others
