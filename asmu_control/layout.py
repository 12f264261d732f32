"""Where the nodes of a patch go in a drawing: in columns from the sources to the sinks, with few crossings.

Each node stands to the right of all that feed it; connections that lead back, which close a cycle, are set aside for that.
Connections that pass over columns get a place in each, so that they run between the nodes. The order within the columns comes
from sweeps to and fro, in which each place moves to the mean of its neighbours (Sugiyama, Tagawa and Toda 1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

Place = tuple[str, str, int]
"""A node (name, "", 0), or where a link from one node to another passes a column (source, target, column)."""

_SWEEPS: Final = 12


@dataclass
class Layout:
    """The result.

    Attributes
    ----------
    columns
        From left to right, the places in each from top to bottom.
    heights
        Vertical centre of each place, in the unit of the sizes given.
    back
        Links that lead back.
    """

    columns: list[list[Place]] = field(default_factory=list)
    heights: dict[Place, float] = field(default_factory=dict)
    back: set[tuple[str, str]] = field(default_factory=set)

    def route(self, source: str, target: str) -> list[Place]:
        """The places through which a link runs, both ends included."""
        between = [place for column in self.columns for place in column if place[:2] == (source, target) and place[1]]
        return [node(source), *between, node(target)]


def node(name: str) -> Place:
    """The place of a node."""
    return (name, "", 0)


def lay_out(names: Sequence[str], links: Iterable[tuple[str, str]], sizes: Mapping[str, float], gap: float) -> Layout:
    """Places for the nodes `names` and the `links` between them; `sizes` are their heights, at least `gap` apart."""
    layout = Layout()
    links = [link for link in dict.fromkeys(links) if link[0] != link[1]]
    layout.back = _back_links(names, links)
    forward = [link for link in links if link not in layout.back]
    column = _columns(names, forward)
    layout.columns = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name in names:
        layout.columns[column[name]].append(node(name))
    neighbours: dict[Place, list[Place]] = {}
    for source, target in forward:
        chain = [node(source)]
        for number in range(column[source] + 1, column[target]):
            chain.append((source, target, number))
            layout.columns[number].append(chain[-1])
        chain.append(node(target))
        for first, second in pairwise(chain):
            neighbours.setdefault(first, []).append(second)
            neighbours.setdefault(second, []).append(first)
    _arrange(layout, neighbours, {place: _size(place, sizes) for places in layout.columns for place in places}, gap)
    return layout


def _size(place: Place, sizes: Mapping[str, float]) -> float:
    return 0.0 if place[1] else sizes[place[0]]


def _back_links(names: Sequence[str], links: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Links that close a cycle, as a walk from the sources finds them."""
    targets: dict[str, list[str]] = {name: [] for name in names}
    fed = set()
    for source, target in links:
        targets[source].append(target)
        fed.add(target)
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    for root in sorted(names, key=lambda name: name in fed):
        if root in done:
            continue
        path = {root: iter(targets[root])}
        while path:
            name, rest = next(reversed(path.items()))
            following = next((target for target in rest if target not in done), None)
            if following is None:
                path.popitem()
                done.add(name)
            elif following in path:
                back.add((name, following))
            else:
                path[following] = iter(targets[following])
    return back


def _columns(names: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Of each node: one more than the most of those that feed it; a source that feeds others stands right before them."""
    sources: dict[str, list[str]] = {name: [] for name in names}
    targets: dict[str, list[str]] = {name: [] for name in names}
    for source, target in links:
        sources[target].append(source)
        targets[source].append(target)
    column: dict[str, int] = {}
    waiting = {name: len(sources[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    for name in ready:
        column[name] = max((column[source] + 1 for source in sources[name]), default=0)
        for target in targets[name]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for name in reversed(ready):
        if targets[name] and not sources[name]:
            column[name] = min(column[target] for target in targets[name]) - 1
    return column


def _arrange(layout: Layout, neighbours: Mapping[Place, Sequence[Place]], sizes: Mapping[Place, float], gap: float) -> None:
    for places in layout.columns:
        _stack(layout, places, {}, sizes, gap)
    for sweep in range(_SWEEPS):
        for places in layout.columns if sweep % 2 else reversed(layout.columns):
            wanted = {
                place: sum(layout.heights[other] for other in neighbours[place]) / len(neighbours[place])
                for place in places
                if place in neighbours
            }
            places.sort(key=lambda place: wanted.get(place, layout.heights[place]))
            _stack(layout, places, wanted, sizes, gap)
    top = min((layout.heights[place] - sizes[place] / 2 for places in layout.columns for place in places), default=0.0)
    for place in layout.heights:
        layout.heights[place] -= top


def _stack(
    layout: Layout, places: Sequence[Place], wanted: Mapping[Place, float], sizes: Mapping[Place, float], gap: float
) -> None:
    """One above the other without overlap, and the whole where its parts would like to be on average."""
    offset = 0.0
    offsets = []
    for place in places:
        offsets.append(offset + sizes[place] / 2)
        offset += sizes[place] + gap
    wishes = [wanted[place] - own for place, own in zip(places, offsets, strict=True) if place in wanted]
    shift = sum(wishes) / len(wishes) if wishes else -offset / 2
    heights = [shift + own for own in offsets]
    # Where there is room above or below, each goes nearer to its wish: first down from the last, then up from the first.
    for order, sign in ((range(len(places) - 1, -1, -1), 1), (range(len(places)), -1)):
        for index in order:
            place = places[index]
            if place not in wanted:
                continue
            wish = wanted[place]
            if sign * (wish - heights[index]) <= 0:
                continue
            beside = index + sign
            if 0 <= beside < len(places):
                limit = heights[beside] - sign * ((sizes[place] + sizes[places[beside]]) / 2 + gap)
                wish = min(wish, limit) if sign > 0 else max(wish, limit)
            heights[index] = wish if sign * (wish - heights[index]) > 0 else heights[index]
    layout.heights.update(zip(places, heights, strict=True))
