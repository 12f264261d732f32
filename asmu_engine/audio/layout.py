"""Which core runs which channels of the patch, and what has to move where when that changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

from asmu_engine.audio.chains import Chains
from asmu_engine.rt.acore import ACore, AEffect, Block
from asmu_engine.rt.context import Setup
from asmu_engine.rt.schedule import Move, Part, Takeover
from asmu_engine.rt.stackable import ALL, Columns, Stackable, columns_of

Member: TypeAlias = tuple[Stackable, int]
"""A channel of a node: the node's own core, and its number."""

_Pairs: TypeAlias = dict[tuple[Stackable, Stackable, bool], tuple[list[int], list[int]]]
"""Channels by core, former core, and whether with their values: the core's numbers, and the former's."""

_FIRST: Final = slice(0, 1)
"""The channel of a node that has one; known by its identity."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A core that runs the channels of several nodes, or some channels of one.

    Attributes
    ----------
    members
        Whose channel each of its own is.
    buffer
        Its outputs.
    parts
        By the nodes' own cores, where their channels are.
    nodes
        By name, each node's share.
    """

    core: Stackable
    members: tuple[Member, ...]
    buffer: Block
    parts: Mapping[Stackable, Part]
    nodes: Mapping[str, float]


def make_stack(members: tuple[Member, ...], buffer: Block) -> Stack:
    """A stack of channels, at the state after `prepare`."""
    first, count = members[0][0], len(members)
    setup = first.setup
    inputs = count if isinstance(first, AEffect) else 0
    core = type(first)(Setup(setup.samplerate, setup.blocksize, inputs, count, setup.context, f"stack of {first.kind}"), {})
    columns: dict[Stackable, tuple[list[int], list[int]]] = {}
    parts: dict[Stackable, Part] = {}
    nodes: dict[str, float] = {}
    for column, (owner, channel) in enumerate(members):
        if owner.channels == 1:
            parts[owner] = Part(core, slice(column, column + 1), _FIRST)
            nodes[owner.setup.node] = 1 / count
            continue
        mine, theirs = columns.setdefault(owner, ([], []))
        mine.append(column)
        theirs.append(channel)
        nodes[owner.setup.node] = len(mine) / count
    parts.update((owner, Part(core, columns_of(mine), columns_of(theirs))) for owner, (mine, theirs) in columns.items())
    return Stack(core, members, buffer, parts, nodes)


@dataclass
class Layout:
    """Of one schedule; never changed once that is made, so that the one before it can be gone back to.

    Attributes
    ----------
    buffers
        Outputs of the cores that run by themselves.
    stacks
        By their members.
    places
        By the own cores of all stackable nodes, where their channels run or sleep.
    asleep
        Own cores of which some channels are heard by nobody.
    chains
        By their gains.
    """

    buffers: dict[ACore, Block] = field(default_factory=dict)
    stacks: dict[tuple[Member, ...], Stack] = field(default_factory=dict)
    places: dict[Stackable, list[Part]] = field(default_factory=dict)
    asleep: set[Stackable] = field(default_factory=set)
    chains: Chains = field(default_factory=dict)

    def apart(self) -> dict[ACore, Sequence[Part]]:
        """The places of channels that run elsewhere than in their node's own core."""
        return {core: parts for core, parts in self.places.items() if len(parts) > 1 or parts[0].core is not core}


def home(core: Stackable) -> Part:
    """All channels in the node's own core."""
    return Part(core, ALL, ALL)


def takeover(former: Layout, now: Layout, replaced: Mapping[ACore, ACore]) -> Takeover:
    """What the cores of `now` take over from those of `former`; new stacks get a first copy of it at once.

    Parameters
    ----------
    replaced
        By the own core of a node that was resized the one before it.
    """
    change = Takeover()
    moves: _Pairs = {}
    fresh: _Pairs = {}
    joins: dict[tuple[Stackable, Stackable, int], list[int]] = {}
    old_stacks = {stack.core for stack in former.stacks.values()}
    new_stacks: set[Stackable] = set()

    def route(owner: Stackable, channel: int, core: Stackable, column: int) -> None:
        predecessor = cast(Stackable, replaced[owner]) if owner in replaced else owner
        parts = former.places.get(predecessor)
        if core is not owner and (parts is None or owner is not predecessor):
            _pair(fresh, (core, owner, True), column, channel)
        if parts is None or channel >= predecessor.channels:
            if parts is not None:
                first_core, first_column = _find(parts, 0)
                joins.setdefault((core, first_core, first_column), []).append(column)
            return
        old_core, old_column = _find(parts, channel)
        if old_core is not core or old_column != column:
            _pair(moves, (core, old_core, owner not in replaced), column, old_column)

    for stack in now.stacks.values():
        if stack.core not in old_stacks:
            new_stacks.add(stack.core)
            for column, owner, channel in _go_on(stack, former, replaced, moves):
                route(owner, channel, stack.core, column)
    for owner, parts in now.places.items():
        was = former.places.get(owner)
        if was is not None and len(was) == 1 and was[0].core is owner:
            continue  # its channels have been there
        if was is None and owner not in replaced:
            continue  # nothing came before
        for part in parts:
            if part.core is owner:
                for channel in channel_numbers(part.channels, owner.channels):
                    route(owner, channel, owner, channel)
    for (core, old, _), (mine, theirs) in fresh.items():
        core.carry_values(old, columns_of(mine), columns_of(theirs))
        if core.early:
            core.carry(old, columns_of(mine), columns_of(theirs))
    for (core, old, values), (mine, theirs) in moves.items():
        move = Move(core, columns_of(mine), old, columns_of(theirs), values)
        if core in new_stacks and core.early:  # as it is about now, so that little is left to do when it holds, or nothing
            seen = old.version if core.follows else -1
            move.do()
            move = move._replace(seen=seen)
        change.moves.append(move)
    change.joins = [(core, columns_of(mine), old, first) for (core, old, first), mine in joins.items()]
    for core in new_stacks:
        core.carried()
    concerned = {one[2] for one in (*change.moves, *change.joins)} | {move.core for move in change.moves}
    change.waking = [core for core in former.asleep if core in concerned or core not in now.asleep]
    woken = set(change.waking)
    change.sleeping = [core for core in now.asleep if core not in former.asleep or core in woken]
    return change


def _go_on(stack: Stack, former: Layout, replaced: Mapping[ACore, ACore], moves: _Pairs) -> Iterator[tuple[int, Stackable, int]]:
    """Into a new stack from another: note the moves of nodes of one channel, which nearly all are; yields the others' members."""
    before: Stackable | None = None
    mine: list[int] = []
    theirs: list[int] = []
    for column, (owner, channel) in enumerate(stack.members):
        parts = former.places.get(owner)
        if parts is None or parts[0].channels is not _FIRST or owner in replaced:
            yield column, owner, channel
            continue
        core, there, _ = parts[0]
        if core is not before:
            before = core
            mine, theirs = moves.setdefault((stack.core, core, True), ([], []))
        assert isinstance(there, slice)
        mine.append(column)
        theirs.append(there.start)


def _pair(pairs: _Pairs, between: tuple[Stackable, Stackable, bool], mine: int, theirs: int) -> None:
    columns = pairs.setdefault(between, ([], []))
    columns[0].append(mine)
    columns[1].append(theirs)


def _find(parts: Iterable[Part], channel: int) -> tuple[Stackable, int]:
    """The core in which a channel of a node runs, and its column there."""
    for part in parts:
        if part.channels is ALL:
            return part.core, channel
        if part.channels is _FIRST:
            assert isinstance(part.columns, slice)
            return part.core, part.columns.start
        channels = channel_numbers(part.channels, 0)
        if channel in channels:
            return part.core, channel_numbers(part.columns, 0)[channels.index(channel)]
    raise AssertionError(f"channel {channel} is nowhere")


def channel_numbers(columns: Columns, count: int) -> Sequence[int]:
    """Channels by their numbers; `count` says how many all are."""
    if isinstance(columns, slice):
        return range(count) if columns is ALL else range(columns.start, columns.stop)
    return [int(column) for column in columns]
