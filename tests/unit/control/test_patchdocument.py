"""Patches as text: what stands in a file, what comes back, what is refused."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from asmu_control.patchdocument import Connection, NodeEntry, PatchDocument, natural
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import ConfigError

ARRAY = Array("f4", (2,), b"\x00\x00\x80?\x00\x00\x00@")
WIRE = {
    "revision": 7,
    "nodes": {
        "gain10": {
            "kind": "gain",
            "inputs": 2,
            "outputs": 2,
            "parameters": {"gain": [0.5, 1e-07], "big": 3},
            "ring": "",
            "owner": "c1",
        },
        "gain2": {"kind": "gain", "inputs": 1, "outputs": 1, "parameters": {"gain": 1.0, "on": True}, "ring": "", "owner": ""},
        "a.b-c": {"kind": "vector", "inputs": 0, "outputs": 1, "parameters": {"vector": ARRAY, "none": None}, "ring": ""},
        "tap": {"kind": "tap", "inputs": 2, "outputs": 0, "parameters": {"note": 'ü "q" \\ \x7f\n\x01'}, "ring": "x"},
    },
    "connections": [["gain10", 1, "out", 11], ["gain10", 0, "out", 2], ["in", 0, "gain10", 1], ["a.b-c", 0, "gain2", 0]],
}
TOML = """\
# Ports count from 0: "out:0" is output channel 1 of the device, "in:0" its input channel 1.
format = "asmu patch 1"
samplerate = 48000.0
connections = [
    "a.b-c:0 -> gain2:0",
    "in:0 -> gain10:1",
    "gain10:0 -> out:2",
    "gain10:1 -> out:11",
]

[nodes."a.b-c"]
kind = "vector"
inputs = 0
outputs = 1

[nodes."a.b-c".parameters]
vector = {array = "float32", shape = [2], data = "AACAPwAAAEA="}

[nodes.gain2]
kind = "gain"
inputs = 1
outputs = 1

[nodes.gain2.parameters]
gain = 1.0
on = true

[nodes.gain10]
kind = "gain"
inputs = 2
outputs = 2

[nodes.gain10.parameters]
big = 3
gain = [0.5, 1e-07]

[nodes.tap]
kind = "tap"
inputs = 2
outputs = 0

[nodes.tap.parameters]
note = "ü \\"q\\" \\\\ \\u007f\\n\\u0001"
"""


@pytest.fixture
def document() -> PatchDocument:
    return PatchDocument.from_wire(WIRE, 48000)


def test_toml_is_readable_and_in_a_stable_order(document: PatchDocument) -> None:
    assert document.to_toml() == TOML
    tomllib.loads(TOML)
    shuffled = {**WIRE, "nodes": dict(reversed(WIRE["nodes"].items())), "connections": WIRE["connections"][::-1]}
    assert PatchDocument.from_wire(shuffled, 48000).to_toml() == TOML


@pytest.mark.parametrize("as_json", [False, True])
def test_text_comes_back_as_the_same_patch_and_the_same_text(document: PatchDocument, as_json: bool) -> None:
    text = document.to_json() if as_json else document.to_toml()
    again = PatchDocument.from_text(text, as_json=as_json)
    assert again == document
    assert again.nodes["a.b-c"].parameters["vector"] == ARRAY
    assert (again.to_json() if as_json else again.to_toml()) == text


def test_an_empty_patch() -> None:
    empty = PatchDocument.from_wire({"nodes": {}, "connections": []})
    assert empty.edits() == ([], [])
    assert PatchDocument.from_text(empty.to_toml(), as_json=False) == empty
    assert json.loads(empty.to_json())["connections"] == []


def test_edits_build_it(document: PatchDocument) -> None:
    adds, connects = document.edits()
    assert adds[1] == {
        "op": "add",
        "node": "gain2",
        "kind": "gain",
        "inputs": 1,
        "outputs": 1,
        "parameters": {"gain": 1.0, "on": True},
    }
    assert connects[0] == {"op": "connect", "source": "a.b-c", "output": 0, "target": "gain2", "input": 0}
    assert [c["target"] for c in connects] == ["gain2", "gain10", "out", "out"]


def test_differences_are_told_in_lines(document: PatchDocument) -> None:
    assert document.differences(document) == []
    nodes: dict[str, Any] = {**document.nodes, "new": NodeEntry("sine", 0, 1)}
    del nodes["tap"]
    nodes["gain2"] = NodeEntry("gain", 2, 2, {"gain": [1.0, 2.0]})
    nodes["a.b-c"] = NodeEntry("vector", 0, 1, {"vector": Array("f4", (2,), bytes(8))})
    other = PatchDocument(48000.0, nodes, (*document.connections[1:], Connection("new", 0, "gain2", 1)))
    assert document.differences(other) == [
        "~ a.b-c.vector: float32 array of shape (2,), other values",
        "~ gain2: gain, inputs 1, outputs 1 → gain, inputs 2, outputs 2",
        "~ gain2.gain: 1.0 → [1.0, 2.0]",
        "~ gain2.on: true → none",
        "+ new: sine, inputs 0, outputs 1",
        "- tap: tap, inputs 2, outputs 0",
        "- a.b-c:0 -> gain2:0",
        "+ new:0 -> gain2:1",
    ]


def test_long_values_are_cut_short_in_differences() -> None:
    one, two = (PatchDocument(0.0, {"g": NodeEntry("gain", 1, 1, {"gain": [float(n)] * 64})}, ()) for n in (1, 2))
    (line,) = one.differences(two)
    assert line.startswith("~ g.gain: [1.0, 1.0, ")
    assert "… → [2.0" in line
    assert len(line) < 140


def test_names_are_sorted_with_their_numbers() -> None:
    assert sorted(["b10", "b9", "b", "a2x10", "a2x9", "10", "9"], key=natural) == ["9", "10", "a2x9", "a2x10", "b", "b9", "b10"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "asmu patch 2"}, 'format = "asmu patch 1"'),
        ({"more": 1}, "it has more"),
        ({"samplerate": "x"}, "samplerate is 'x'"),
        ({"samplerate": True}, "samplerate is True"),
        ({"nodes": []}, "nodes is []"),
        ({"nodes": {"a b": {"kind": "gain"}}}, "'a b' is no name"),
        ({"nodes": {"out": {"kind": "gain"}}}, "not in or out"),
        ({"nodes": {"a": 3}}, "nodes.a is 3"),
        ({"nodes": {"a": {"kind": 3}}}, "nodes.a.kind is 3"),
        ({"nodes": {"a": {"kind": "gain", "input": 1}}}, "nodes.a has input"),
        ({"nodes": {"a": {"kind": "gain", "inputs": -1}}}, "-1 ports"),
        ({"nodes": {"a": {"kind": "gain", "outputs": 1025}}}, "1025 ports"),
        ({"nodes": {"a": {"kind": "gain", "inputs": 1.0}}}, "1.0 ports"),
        ({"nodes": {"a": {"kind": "gain", "parameters": []}}}, "nodes.a.parameters is []"),
        ({"nodes": {"a": {"kind": "v", "parameters": {"v": {"array": "x", "shape": [], "data": ""}}}}}, "nodes.a.parameters.v"),
        ({"connections": {}}, "no list"),
        ({"connections": ["a:0 -> "]}, "'a:0 -> '"),
        ({"connections": [3]}, "has 3"),
        ({"connections": ["a:0 -> out:0"]}, "no node 'a'"),
        ({"connections": ["in:0 -> in:0"]}, "no node 'in'"),
        ({"connections": ["in:0 -> out:1", "in:1->out:1"]}, "out:1 is connected twice"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], words: str) -> None:
    text = json.dumps({"format": "asmu patch 1", **change})
    with pytest.raises(ConfigError) as caught:
        PatchDocument.from_text(text, as_json=True, name="my.json")
    assert words in str(caught.value)
    assert "my.json" in str(caught.value)
    assert caught.value.code == "bad_config"


@pytest.mark.parametrize(("text", "as_json"), [("{", True), ("[]", True), ("= 3", False), ("[" * 100_000, True)])
def test_what_is_no_document_at_all(text: str, as_json: bool) -> None:
    with pytest.raises(ConfigError):
        PatchDocument.from_text(text, as_json=as_json)
