"""Drawings of a patch: for Graphviz, and as SVG without any other program.

Signals run from left to right. Generators are green, effects blue, analyzers orange, the device grey. A line stands for all
connections between two nodes: one for a single connection, a thicker one with its number for several.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from asmu_control.layout import Layout, lay_out, node
from asmu_control.patchdocument import Connection, NodeEntry, PatchDocument
from asmu_engine.protocol.version import INPUTS_NODE, OUTPUTS_NODE

_LETTER: Final = 7.2  # width of a letter of the sizes below, px
_SMALL: Final = 5.8
_LINE: Final = 15
_COLUMN_GAP: Final = 110.0
_ROW_GAP: Final = 22.0
_MARGIN: Final = 24.0
_AROUND: Final = 40.0
_COLOURS: Final = {
    "device": ("#eceff1", "#607d8b"),
    "generator": ("#e3f4e5", "#2e7d32"),
    "effect": ("#e2effb", "#1565c0"),
    "analyzer": ("#fff1df", "#ef6c00"),
}
"""Inside and border."""


def to_dot(document: PatchDocument) -> str:
    """The patch as a graph in the DOT language; edges are labelled with their ports, from 0."""
    lines = ["digraph patch {", "    rankdir=LR;", '    node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    for name in _names(document):
        fill, border = _COLOURS[_role(document, name)]
        label = _quoted("\n".join(_texts(document, name)))
        lines.append(f'    {_quoted(name)} [label={label}, fillcolor="{fill}", color="{border}"];')
    for (source, target), connections in _bundles(document).items():
        lines.append(f"    {_quoted(source)} -> {_quoted(target)} [label={_quoted(ports_in_words(connections))}];")
    return "\n".join([*lines, "}", ""])


def to_svg(document: PatchDocument) -> str:
    """The patch as an SVG picture."""
    names = _names(document)
    bundles = _bundles(document)
    texts = {name: _texts(document, name) for name in names}
    heights = {name: _LINE * len(texts[name]) + 14.0 for name in names}
    layout = lay_out(names, bundles, heights, _ROW_GAP)
    edges = _edges(layout, texts)
    height = max((layout.heights[place] + _half(place, heights) for places in layout.columns for place in places), default=0.0)
    below = height + _ROW_GAP
    lines: list[str] = []
    labels: list[str] = []
    for link, connections in bundles.items():
        back = link in layout.back or link[0] == link[1]
        line, label = _link(layout, edges, link, connections, below if back else None)
        lines.append(line)
        labels.append(label)
        below += _ROW_GAP if back else 0.0
    boxes: list[str] = []
    for name in names:
        left, right = edges[name]
        boxes += _box(texts[name], left, right, layout.heights[node(name)], heights[name], _COLOURS[_role(document, name)])
    width = max((right for _, right in edges.values()), default=0.0) + _MARGIN + _AROUND
    return _whole([*lines, *boxes, *labels], width, below + _MARGIN)


def ports_in_words(connections: Iterable[Connection]) -> str:
    """Which outputs lead to which inputs, runs of neighbours together.

    >>> ports_in_words([Connection("a", 0, "b", 2), Connection("a", 1, "b", 3), Connection("a", 1, "b", 0)])
    '1→0, 0–1→2–3'
    """
    runs: list[list[int]] = []
    for _, output, _, port in sorted(connections, key=lambda connection: connection.port):
        if runs and runs[-1][0] + runs[-1][2] == output and runs[-1][1] + runs[-1][2] == port:
            runs[-1][2] += 1
        else:
            runs.append([output, port, 1])
    return ", ".join(f"{_run(output, count)}→{_run(port, count)}" for output, port, count in runs)


def _run(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first}–{first + count - 1}"


def _names(document: PatchDocument) -> list[str]:
    used = {connection.source for connection in document.connections} | {c.target for c in document.connections}
    return [*[n for n in (INPUTS_NODE,) if n in used], *document.nodes, *[n for n in (OUTPUTS_NODE,) if n in used]]


def _bundles(document: PatchDocument) -> dict[tuple[str, str], list[Connection]]:
    bundles: dict[tuple[str, str], list[Connection]] = {}
    for connection in document.connections:
        bundles.setdefault((connection.source, connection.target), []).append(connection)
    return bundles


def _role(document: PatchDocument, name: str) -> str:
    entry = document.nodes.get(name)
    if entry is None:
        return "device"
    return "generator" if not entry.inputs else "effect" if entry.outputs else "analyzer"


def _texts(document: PatchDocument, name: str) -> list[str]:
    entry = document.nodes.get(name)
    if entry is None:
        return ["inputs" if name == INPUTS_NODE else "outputs", "of the device"]
    return [name, f"{entry.kind} {_ports(entry)}"]


def _ports(entry: NodeEntry) -> str:
    sides = [f"{count} {side}" for count, side in ((entry.inputs, "in"), (entry.outputs, "out")) if count]
    return ", ".join(sides) if entry.inputs != entry.outputs else f"×{entry.inputs}"


def _width(texts: Sequence[str]) -> float:
    return max(_LETTER * len(texts[0]), _SMALL * max(map(len, texts[1:]), default=0)) + 24.0


def _half(place: tuple[str, str, int], heights: dict[str, float]) -> float:
    return 0.0 if place[1] else heights[place[0]] / 2


def _edges(layout: Layout, texts: dict[str, list[str]]) -> dict[str, tuple[float, float]]:
    """Left and right edge of each box: boxes of a column are centred, columns as wide as their widest."""
    edges: dict[str, tuple[float, float]] = {}
    left = _MARGIN + _AROUND
    for places in layout.columns:
        widths = {place[0]: _width(texts[place[0]]) for place in places if not place[1]}
        widest = max(widths.values(), default=0.0)
        for name, width in widths.items():
            middle = left + widest / 2
            edges[name] = (middle - width / 2, middle + width / 2)
        left += widest + _COLUMN_GAP
    return edges


def _link(
    layout: Layout,
    edges: dict[str, tuple[float, float]],
    link: tuple[str, str],
    connections: list[Connection],
    below: float | None,
) -> tuple[str, str]:
    """Its line, and its label; one that leads back passes at height `below`."""
    source, target = link
    begin = (edges[source][1], layout.heights[node(source)])
    end = (edges[target][0], layout.heights[node(target)])
    path, label = _through(layout, edges, link, begin, end) if below is None else _around(begin, end, below)
    thick = 1.5 if len(connections) == 1 else 3.0
    text = ports_in_words(connections)
    text = text if len(text) <= 24 else f"{len(connections)} connections"
    return (
        f'<path d="{path}" class="link" stroke-width="{thick:g}" transform="translate(0 {_MARGIN:g})"/>',
        f'<text x="{label[0]:.1f}" y="{label[1] + _MARGIN - 5:.1f}" class="port">{escape(text)}</text>',
    )


def _through(
    layout: Layout,
    edges: dict[str, tuple[float, float]],
    link: tuple[str, str],
    begin: tuple[float, float],
    end: tuple[float, float],
) -> tuple[str, tuple[float, float]]:
    """A path that passes the columns between, level within each; and where its label goes: into its first gap."""
    spans = [_span(places, edges) for places in layout.columns]
    points = [begin]
    for place in layout.route(*link)[1:-1]:
        left, right = spans[place[2]]
        points += [(left, layout.heights[place]), (right, layout.heights[place])]
    points.append(end)
    path = f"M {_point(points[0])}"
    for first, second in zip(points[::2], points[1::2], strict=True):
        reach = (second[0] - first[0]) / 2
        path += f" C {_point((first[0] + reach, first[1]))} {_point((second[0] - reach, second[1]))} {_point(second)}"
        following = points[points.index(second) + 1 :][:1]
        path += f" L {_point(following[0])}" if following else ""
    return path, ((points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2)


def _around(begin: tuple[float, float], end: tuple[float, float], below: float) -> tuple[str, tuple[float, float]]:
    """A path back, below all boxes."""
    right, left = begin[0] + _AROUND, end[0] - _AROUND
    path = (
        f"M {_point(begin)} C {_point((right, begin[1]))} {_point((right, below))} {_point((begin[0], below))} "
        f"L {_point((end[0], below))} C {_point((left, below))} {_point((left, end[1]))} {_point(end)}"
    )
    return path, ((begin[0] + end[0]) / 2, below)


def _span(places: Sequence[tuple[str, str, int]], edges: dict[str, tuple[float, float]]) -> tuple[float, float]:
    boxes = [edges[place[0]] for place in places if not place[1]]
    return min(left for left, _ in boxes), max(right for _, right in boxes)


def _box(texts: Sequence[str], left: float, right: float, middle: float, height: float, colours: tuple[str, str]) -> list[str]:
    top = _MARGIN + middle - height / 2
    centre = (left + right) / 2
    fill, border = colours
    lines = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{height:.1f}" rx="7" fill="{fill}" '
        f'stroke="{border}" stroke-width="1.5"/>'
    ]
    for index, text in enumerate(texts):
        kind = "kind" if index else "name"
        lines.append(f'<text x="{centre:.1f}" y="{top + 19 + _LINE * index:.1f}" class="{kind}">{escape(text)}</text>')
    return lines


def _whole(parts: Sequence[str], width: float, height: float) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}">\n'
        "<style>text { font-family: sans-serif; text-anchor: middle; fill: #202124 } .name { font-size: 13px; font-weight: 600 } "
        ".kind { font-size: 11px; fill: #5f6368 } "
        ".port { font-size: 10px; fill: #5f6368; stroke: #ffffff; stroke-width: 3px; paint-order: stroke } "
        ".link { fill: none; stroke: #78909c; marker-end: url(#arrow) }</style>\n"
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M 0 0.5 L 8 4 L 0 7.5 z" fill="#78909c"/></marker></defs>\n'
        f'<rect {size} fill="#ffffff"/>\n'
    )
    return head + "".join(f"{part}\n" for part in parts) + "</svg>\n"


def _point(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
