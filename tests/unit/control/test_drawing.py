"""Drawings of patches: columns from left to right, nothing on top of another, cycles and wide patches too."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from asmu_control.drawing import ports_in_words, to_dot, to_svg
from asmu_control.layout import lay_out, node
from asmu_control.patchdocument import Connection, PatchDocument

SVG = "{http://www.w3.org/2000/svg}"


def document(nodes: dict[str, tuple[str, int, int]], *connections: tuple[str, int, str, int]) -> PatchDocument:
    entries = {name: {"kind": k, "inputs": i, "outputs": o, "parameters": {}} for name, (k, i, o) in nodes.items()}
    return PatchDocument.from_wire({"nodes": entries, "connections": connections})


LOOP = document(
    {"sine1": ("sine", 0, 1), "sum1": ("sum", 2, 1), "delay1": ("delay", 1, 1), "tap1": ("tap", 1, 0)},
    ("sine1", 0, "sum1", 0),
    ("sum1", 0, "delay1", 0),
    ("delay1", 0, "sum1", 1),
    ("sum1", 0, "out", 0),
    ("in", 0, "tap1", 0),
)


def test_each_node_stands_right_of_what_feeds_it() -> None:
    layout = lay_out(
        ["in", "sine1", "sum1", "delay1", "tap1", "out"],
        [("sine1", "sum1"), ("sum1", "delay1"), ("delay1", "sum1"), ("sum1", "out"), ("in", "tap1")],
        dict.fromkeys(["in", "sine1", "sum1", "delay1", "tap1", "out"], 40.0),
        20.0,
    )
    column = {place[0]: number for number, places in enumerate(layout.columns) for place in places}
    assert column == {"in": 0, "sine1": 0, "sum1": 1, "tap1": 1, "delay1": 2, "out": 2}
    assert layout.back == {("delay1", "sum1")}


def test_links_that_pass_columns_have_a_place_in_each_and_nothing_overlaps() -> None:
    names = [f"n{k}" for k in range(30)]
    links = [(f"n{k}", f"n{k + step}") for k in range(30) for step in (1, 2, 5) if k + step < 30]
    sizes = {name: 30.0 + 3 * (index % 4) for index, name in enumerate(names)}
    layout = lay_out(names, links, sizes, 10.0)
    for source, target in links:
        route = layout.route(source, target)
        assert (route[0], route[-1]) == (node(source), node(target))
        where = [next(k for k, places in enumerate(layout.columns) if place in places) for place in route]
        assert where == list(range(where[0], where[-1] + 1))
    for places in layout.columns:
        for above, below in pairwise(places):
            half = sum((0.0 if place[1] else sizes[place[0]]) / 2 for place in (above, below))
            assert layout.heights[below] - layout.heights[above] >= half + 10.0 - 1e-6
    assert min(layout.heights[p] - (0.0 if p[1] else sizes[p[0]]) / 2 for places in layout.columns for p in places) == 0.0


def test_crossings_that_can_be_avoided_are() -> None:
    names = ["a", "b", "c", "x", "y", "z"]
    layout = lay_out(names, [("a", "z"), ("b", "y"), ("c", "x")], dict.fromkeys(names, 10.0), 5.0)
    left, right = ([place[0] for place in places] for places in layout.columns)
    assert [dict(a="z", b="y", c="x")[name] for name in left] == right


def test_svg_is_well_formed_with_a_box_for_each_node_within_the_picture() -> None:
    root = ElementTree.fromstring(to_svg(LOOP))
    width, height = float(root.get("width")), float(root.get("height"))
    boxes = [box for box in root.iter(f"{SVG}rect") if box.get("rx")]
    assert len(boxes) == 6
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for words in ("sine1", "sine 1 out", "delay ×1", "sum 2 in, 1 out", "inputs", "outputs", "0→1"):
        assert words in texts
    for box in boxes:
        x, y, w, h = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + w <= width
        assert y >= 0
        assert y + h <= height
    paths = [path for path in root.iter(f"{SVG}path") if path.get("class") == "link"]
    assert len(paths) == 5
    for path in paths:
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d", path.get("d"))]
        assert all(0 <= x <= width for x in numbers[::2])
        assert all(0 <= y <= height for y in numbers[1::2])


@pytest.mark.parametrize(
    "patch",
    [
        document({}),
        document({"alone": ("sine", 0, 1)}),
        document({"lag": ("delay", 1, 1)}, ("lag", 0, "lag", 0)),
        document({}, ("in", 0, "out", 0)),
    ],
)
def test_small_patches_are_drawn_too(patch: PatchDocument) -> None:
    ElementTree.fromstring(to_svg(patch))
    assert to_dot(patch).startswith("digraph patch {")


def test_many_connections_are_one_thick_line() -> None:
    wide = document(
        {"g": ("gain", 64, 64)}, *(("in", n, "g", n) for n in range(64)), *(("g", n, "out", 63 - n) for n in range(64))
    )
    root = ElementTree.fromstring(to_svg(wide))
    assert [path.get("stroke-width") for path in root.iter(f"{SVG}path") if path.get("class") == "link"] == ["3", "3"]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "0–63→0–63" in texts
    assert "64 connections" in texts


def test_a_large_patch_is_drawn_in_no_time_worth_mentioning() -> None:
    """Of columns that a thousand links pass each link is routed; the picture must not grow with the square of them."""
    nodes = {f"n{k}": ("gain", 2, 2) for k in range(400)}
    links = [(f"n{k}", 0, f"n{k + 1}", 0) for k in range(399)] + [(f"n{k}", 1, f"n{k + 7}", 1) for k in range(393)]
    ElementTree.fromstring(to_svg(document(nodes, *links)))


def test_dot_has_nodes_and_labelled_edges() -> None:
    text = to_dot(LOOP)
    assert '"sine1" [label="sine1\\nsine 1 out", fillcolor="#e3f4e5", color="#2e7d32"];' in text
    assert '"delay1" -> "sum1" [label="0→1"];' in text
    assert '"in" -> "tap1" [label="0→0"];' in text


def test_ports_in_words_puts_neighbours_together() -> None:
    connections = [Connection("a", output, "b", port) for output, port in ((3, 0), (0, 1), (1, 2), (2, 3), (9, 5))]
    assert ports_in_words(connections) == "3→0, 0–2→1–3, 9→5"
