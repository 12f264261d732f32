"""The patch: each edit, each refusal, and that a refused transaction changes nothing."""

from __future__ import annotations

import copy
import math
import struct
from typing import Any

import pytest
from pydantic import TypeAdapter

from asmu_engine.host import patch as patch_module
from asmu_engine.host.change import Change
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, ONE_PORT, Kind, Parameter, Ports
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import PatchError

BLOCKSIZE = 256
_EDITS = TypeAdapter(list[Edit])

KINDS = (
    Kind(
        "sine",
        "generator",
        NO_PORTS,
        ANY_PORTS,
        (Parameter("frequency", default=1000.0, unit="Hz", minimum=0, maximum=96000, per_channel=True),),
        calls=("restart",),
    ),
    Kind(
        "gain",
        "effect",
        ANY_PORTS,
        ANY_PORTS,
        (Parameter("gain", default=1.0, minimum=-1000, maximum=1000, per_channel=True), Parameter("big", type="int", default=0)),
        paired=True,
    ),
    Kind("sum", "effect", ANY_PORTS, ONE_PORT, (Parameter("mode", type="choice", default="mean", choices=("mean", "sum")),)),
    Kind(
        "delay",
        "effect",
        ANY_PORTS,
        ANY_PORTS,
        (
            Parameter("frames", type="int", default=0, minimum=0, per_channel=True),
            Parameter("maximum", type="int", live=False, default=0),
        ),
        paired=True,
        breaks_cycle=True,
    ),
    Kind(
        "filter",
        "effect",
        Ports(1, 4),
        Ports(1, 4),
        (Parameter("taps", type="array", default=None), Parameter("note", type="text", default="")),
    ),
    Kind("lag", "effect", ONE_PORT, ONE_PORT, breaks_cycle=True),
    Kind("tap", "analyzer", ANY_PORTS, NO_PORTS, ring="tap"),
    Kind("feed", "generator", NO_PORTS, ANY_PORTS, ring="feed"),
)


def edits(*given: dict[str, Any]) -> list[Any]:
    return _EDITS.validate_python(list(given))


def add(node: str, kind: str, inputs: int = 0, outputs: int = 0, **parameters: Any) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source: str, target: str, output: int = 0, port: int = 0) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def disconnect(target: str, port: int = 0) -> dict[str, Any]:
    return {"op": "disconnect", "target": target, "input": port}


def set_(node: str, **parameters: Any) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": parameters}


def resize(node: str, inputs: int, outputs: int) -> dict[str, Any]:
    return {"op": "resize", "node": node, "inputs": inputs, "outputs": outputs}


def remove(node: str) -> dict[str, Any]:
    return {"op": "remove", "node": node}


@pytest.fixture
def patch() -> Patch:
    """sine1 → gain1 (2 channels) → out; sum1, delay1 and filter1 beside it."""
    patch = Patch(KINDS, BLOCKSIZE)
    patch.apply(
        edits(
            add("sine1", "sine", 0, 2),
            add("gain1", "gain", 2, 2, gain=[0.5, 0.25]),
            add("sum1", "sum", 2, 1),
            add("delay1", "delay", 1, 1),
            add("filter1", "filter", 1, 1),
            connect("sine1", "gain1", 0, 0),
            connect("sine1", "gain1", 1, 1),
            connect("gain1", "out", 0, 0),
        )
    )
    return patch


def state(patch: Patch) -> Any:
    """Everything that a patch is, both directions of its connections included."""
    nodes = {
        name: (node.kind.name, node.inputs, node.outputs, node.parameters, node.ring, node.sources, node.sinks)
        for name, node in patch.nodes.items()
    }
    return copy.deepcopy((patch.wire(), patch.connections, nodes))


def refusal(patch: Patch, *given: dict[str, Any]) -> PatchError:
    """The refusal of a transaction, after the check that nothing has changed."""
    before = state(patch)
    with pytest.raises(PatchError) as caught:
        patch.apply(edits(*given))
    assert state(patch) == before
    return caught.value


def test_wire_shows_nodes_with_defaults_and_connections(patch: Patch) -> None:
    wire = patch.wire()
    assert wire["revision"] == 0
    assert wire["nodes"]["gain1"] == {
        "kind": "gain",
        "inputs": 2,
        "outputs": 2,
        "parameters": {"gain": [0.5, 0.25], "big": 0},
        "ring": "",
        "owner": "",
    }
    owned = patch.wire({"gain1": "c3"})["nodes"]
    assert {name: node["owner"] for name, node in owned.items() if node["owner"]} == {"gain1": "c3"}
    assert wire["nodes"]["sine1"]["parameters"] == {"frequency": 1000.0}
    assert sorted(wire["connections"]) == [["gain1", 0, "out", 0], ["sine1", 0, "gain1", 0], ["sine1", 1, "gain1", 1]]


def test_edits_for_the_audio_process_are_canonical(patch: Patch) -> None:
    change = patch.apply(edits(set_("gain1", gain=2), add("sine2", "sine", 0, 1, frequency=440), connect("sine2", "sum1", 0, 1)))
    assert change.wire == [
        {"op": "set", "node": "gain1", "parameters": {"gain": 2.0}},
        {"op": "add", "node": "sine2", "kind": "sine", "inputs": 0, "outputs": 1, "parameters": {"frequency": 440.0}},
        {"op": "connect", "source": "sine2", "output": 0, "target": "sum1", "input": 1},
    ]
    assert isinstance(change.wire[0]["parameters"]["gain"], float)


@pytest.mark.parametrize(
    ("given", "code", "where", "text"),
    [
        (add("x", "flanger", 1, 1), "unknown_kind", "x", "sine"),
        (add("gain1", "gain", 1, 1), "duplicate_node", "gain1", "already there, a gain"),
        (add("in", "gain", 1, 1), "duplicate_node", "in", "the device's own node"),
        (add("x", "sine", 1, 1), "unknown_port", "x", "sine has 0 inputs, not 1"),
        (add("x", "sine", 0, 0), "unknown_port", "x", "1 to 1024 outputs, not 0"),
        (add("x", "gain", 1, 2), "unknown_port", "x", "as many outputs as inputs"),
        (add("x", "gain", 1, 1, volume=1), "unknown_parameter", "x", "it has: gain, big"),
        (add("x", "gain", 1, 1, gain=math.nan), "bad_value", "x.gain", "not finite"),
        (add("x", "gain", 1, 1, gain=-math.inf), "bad_value", "x.gain", "not finite"),
        (add("x", "gain", 1, 1, gain=1001), "bad_value", "x.gain", "outside -1000 to 1000"),
        (add("x", "gain", 2, 2, gain=[1.0, 2.0, 3.0]), "bad_value", "x.gain", "3 values for 2 channels"),
        (add("x", "gain", 2, 2, gain=[1.0, math.nan]), "bad_value", "x.gain", "not finite"),
        (add("x", "gain", 1, 1, gain="loud"), "bad_value", "x.gain", "not a number"),
        (add("x", "gain", 1, 1, gain=True), "bad_value", "x.gain", "not a number"),
        (add("x", "gain", 1, 1, big=1e300), "bad_value", "x.big", "64 bits"),
        (add("x", "gain", 1, 1, big=1.5), "bad_value", "x.big", "whole number"),
        (add("x", "sum", 2, 1, mode="max"), "bad_value", "x.mode", "mean, sum"),
        (add("x", "filter", 1, 1, taps=[1.0]), "bad_value", "x.taps", "not an array"),
        (add("x", "filter", 1, 1, taps=Array("f4", (1,), struct.pack("<f", math.nan))), "bad_value", "x.taps", "NaN"),
        (add("x", "filter", 1, 1, note=3), "bad_value", "x.note", "not a text"),
        (set_("gain1", gain=math.nan), "bad_value", "gain1.gain", "not finite"),
        (set_("gain1", volume=1), "unknown_parameter", "gain1", "it has: gain, big"),
        (set_("nobody", gain=1), "unknown_node", "nobody", "no node 'nobody'"),
        (set_("out", gain=1), "bad_name", "out", "stands for the device"),
        (set_("delay1", maximum=5), "fixed_parameter", "delay1.maximum", "add it again"),
        (connect("nobody", "gain1"), "unknown_node", "nobody", "no node"),
        (connect("sine1", "nobody"), "unknown_node", "nobody", "no node"),
        (connect("sine1", "sum1", 2), "unknown_port", "sine1:2", "it has outputs 0 to 1"),
        (connect("sine1", "sum1", 0, 2), "unknown_port", "sum1:2", "it has inputs 0 to 1"),
        (connect("out", "sum1"), "unknown_port", "out:0", "it has no outputs"),
        (connect("sine1", "in"), "unknown_port", "in:0", "it has no inputs"),
        (
            connect("sine1", "gain1", 0, 1),
            "port_in_use",
            "gain1:1",
            "connected to output 1 of sine1; disconnect it first, or mix",
        ),
        (disconnect("sum1"), "not_connected", "sum1:0", "not connected"),
        (disconnect("out", 7), "not_connected", "out:7", "not connected"),
        (disconnect("sum1", 5), "unknown_port", "sum1:5", "it has inputs 0 to 1"),
        (disconnect("nobody"), "unknown_node", "nobody", "no node"),
        (remove("nobody"), "unknown_node", "nobody", "no node"),
        (remove("in"), "bad_name", "in", "stands for the device"),
        (resize("nobody", 1, 1), "unknown_node", "nobody", "no node"),
        (resize("out", 1, 1), "bad_name", "out", "stands for the device"),
        (resize("gain1", 2, 3), "unknown_port", "gain1", "as many outputs as inputs"),
        (resize("filter1", 5, 5), "unknown_port", "filter1", "1 to 4 inputs, not 5"),
        ({"op": "call", "node": "sine1", "call": "explode"}, "unknown_call", "sine1", "it has: restart"),
        ({"op": "call", "node": "gain1", "call": "restart"}, "unknown_call", "gain1", "it has: none"),
        ({"op": "call", "node": "in", "call": "restart"}, "bad_name", "in", "stands for the device"),
        (connect("gain1", "gain1", 0, 0), "port_in_use", "gain1:0", "disconnect it first"),
    ],
)
def test_refusals_name_cause_and_place_and_change_nothing(
    patch: Patch, given: dict[str, Any], code: str, where: str, text: str
) -> None:
    error = refusal(patch, given)
    assert (error.code, error.where) == (code, where)
    assert text in error.message


def test_refused_transaction_takes_back_what_came_before_and_names_the_edit(patch: Patch) -> None:
    error = refusal(
        patch,
        add("gain2", "gain", 2, 2),
        connect("gain1", "gain2", 1, 0),
        set_("gain1", gain=3),
        resize("gain1", 4, 4),
        disconnect("out", 0),
        remove("sine1"),
        {"op": "call", "node": "gain2", "call": "no"},
    )
    assert error.code == "unknown_call"
    assert error.message.startswith("edit 6: ")


def test_remove_cuts_connections_and_revert_restores_them(patch: Patch) -> None:
    before = state(patch)
    change = patch.apply(edits(remove("gain1")))
    assert patch.wire()["connections"] == []
    assert patch.connections == 0
    assert [edit["op"] for edit in change.wire] == ["disconnect", "disconnect", "disconnect", "remove"]
    change.revert()
    assert state(patch) == before


def test_node_replaced_within_one_transaction(patch: Patch) -> None:
    patch.apply(edits(remove("gain1"), add("gain1", "gain", 1, 1), connect("sine1", "gain1"), connect("gain1", "out")))
    assert patch.nodes["gain1"].inputs == 1
    assert sorted(patch.wire()["connections"]) == [["gain1", 0, "out", 0], ["sine1", 0, "gain1", 0]]


def test_resize_keeps_what_fits(patch: Patch) -> None:
    before = state(patch)
    change = patch.apply(edits(resize("gain1", 1, 1)))
    assert patch.nodes["gain1"].parameters["gain"] == [0.5]
    assert sorted(patch.wire()["connections"]) == [["gain1", 0, "out", 0], ["sine1", 0, "gain1", 0]]
    assert change.wire == [
        {"op": "disconnect", "target": "gain1", "input": 1},
        {"op": "resize", "node": "gain1", "inputs": 1, "outputs": 1},
        {"op": "set", "node": "gain1", "parameters": {"gain": [0.5]}},
    ]
    change.revert()
    assert state(patch) == before


def test_resize_to_more_channels_repeats_the_last_value(patch: Patch) -> None:
    patch.apply(edits(resize("gain1", 4, 4)))
    assert patch.nodes["gain1"].parameters["gain"] == [0.5, 0.25, 0.25, 0.25]
    assert patch.connections == 3


# -- cycles -----------------------------------------------------------------------------------------------------------


def test_cycle_is_refused_with_its_path(patch: Patch) -> None:
    error = refusal(patch, connect("gain1", "sum1", 1, 0), connect("sum1", "filter1"), connect("filter1", "sum1", 0, 1))
    assert error.code == "cycle"
    assert "sum1 → filter1 → sum1" in error.message
    assert "256 frames" in error.message


def test_node_connected_to_itself_is_a_cycle(patch: Patch) -> None:
    error = refusal(patch, connect("sum1", "sum1"))
    assert error.code == "cycle"
    assert "sum1 → sum1" in error.message


@pytest.mark.parametrize(("frames", "fine"), [(0, False), (BLOCKSIZE - 1, False), (BLOCKSIZE, True), (10 * BLOCKSIZE, True)])
def test_cycle_through_a_delay_needs_a_block_of_it(patch: Patch, frames: int, fine: bool) -> None:
    given = (set_("delay1", frames=frames), connect("sum1", "delay1"), connect("delay1", "sum1"))
    if fine:
        patch.apply(edits(*given))
    else:
        assert refusal(patch, *given).code == "cycle"


def test_shortest_channel_of_a_delay_decides(patch: Patch) -> None:
    patch.apply(edits(add("delay2", "delay", 2, 2, frames=[BLOCKSIZE, 10])))
    assert refusal(patch, connect("delay2", "sum1"), connect("sum1", "delay2")).code == "cycle"


def test_delay_in_a_cycle_cannot_be_shortened_below_a_block(patch: Patch) -> None:
    patch.apply(edits(set_("delay1", frames=BLOCKSIZE), connect("sum1", "delay1"), connect("delay1", "sum1")))
    assert refusal(patch, set_("delay1", frames=BLOCKSIZE - 1)).code == "cycle"
    patch.apply(edits(set_("delay1", frames=BLOCKSIZE + 1)))
    patch.apply(edits(disconnect("sum1"), set_("delay1", frames=0)))


def test_kind_that_breaks_cycles_whatever_its_parameters(patch: Patch) -> None:
    patch.apply(edits(add("lag1", "lag", 1, 1), connect("lag1", "lag1")))


def test_cycle_that_the_same_transaction_opens_again_is_none(patch: Patch) -> None:
    patch.apply(edits(connect("sum1", "filter1"), connect("filter1", "sum1"), disconnect("filter1")))


def test_two_paths_that_meet_are_no_cycle(patch: Patch) -> None:
    patch.apply(edits(connect("gain1", "sum1", 0, 0), connect("gain1", "sum1", 1, 1), connect("sum1", "filter1")))


def test_long_chain_neither_recurses_nor_takes_square_time() -> None:
    patch = Patch(KINDS, BLOCKSIZE)
    count = 4000
    patch.apply(edits(*(add(f"n{i}", "gain", 1, 1) for i in range(count))))
    # From the end on: each connection's walk would see the whole chain, were it made for each by itself.
    patch.apply(edits(*(connect(f"n{i}", f"n{i + 1}") for i in reversed(range(count - 1)))))
    error = refusal(patch, connect(f"n{count - 1}", "n0"))
    assert error.code == "cycle"


# -- limits -----------------------------------------------------------------------------------------------------------


def test_number_of_nodes_is_limited(monkeypatch: pytest.MonkeyPatch, patch: Patch) -> None:
    monkeypatch.setattr(patch_module, "MAX_NODES", len(patch.nodes))
    assert refusal(patch, add("x", "gain", 1, 1)).code == "patch_too_large"


def test_number_of_connections_is_limited(monkeypatch: pytest.MonkeyPatch, patch: Patch) -> None:
    monkeypatch.setattr(patch_module, "MAX_CONNECTIONS", patch.connections)
    assert refusal(patch, connect("sine1", "sum1")).code == "patch_too_large"


def test_only_channels_in_use_can_be_connected_while_the_device_runs(patch: Patch) -> None:
    patch.open_channels([2], [1, 3])
    error = refusal(patch, connect("sine1", "out", 0, 1))
    assert error.code == "unknown_port"
    assert "channel 2 is not in use; the device runs with channels: 1, 3" in error.message
    assert refusal(patch, connect("in", "sum1", 0)).where == "in:0"
    patch.apply(edits(connect("in", "sum1", 1), connect("sine1", "out", 0, 2)))
    assert patch.used_channels() == ([2], [1, 3])
    patch.open_channels(None, None)
    patch.apply(edits(connect("sine1", "out", 0, 1)))


def test_connection_to_a_channel_no_longer_in_use_can_be_cut(patch: Patch) -> None:
    patch.open_channels([], [2])
    patch.apply(edits(disconnect("out", 0)))


# -- values without structure -----------------------------------------------------------------------------------------


def test_check_changes_nothing_before_redo(patch: Patch) -> None:
    before = state(patch)
    given = edits(set_("gain1", gain=3), {"op": "call", "node": "sine1", "call": "restart"})
    assert not patch.structural(given)
    change = patch.check(given)
    assert state(patch) == before
    assert change.wire == [
        {"op": "set", "node": "gain1", "parameters": {"gain": 3.0}},
        {"op": "call", "node": "sine1", "call": "restart"},
    ]
    change.redo()
    assert patch.nodes["gain1"].parameters["gain"] == 3.0


def test_check_refuses_as_apply_does(patch: Patch) -> None:
    with pytest.raises(PatchError) as caught:
        patch.check(edits(set_("gain1", gain=1), set_("gain1", gain=math.nan)))
    assert caught.value.code == "bad_value"
    assert caught.value.message.startswith("edit 1: ")


def test_value_of_a_delay_is_structure(patch: Patch) -> None:
    assert patch.structural(edits(set_("delay1", frames=1)))
    assert patch.structural(edits(set_("gain1", gain=1), connect("sine1", "sum1")))
    assert not patch.structural(edits(set_("nobody", gain=1)))


# -- rings and replay -------------------------------------------------------------------------------------------------


def test_ring_is_asked_for_with_its_channels() -> None:
    patch = Patch(KINDS, BLOCKSIZE)
    change = patch.apply(edits(add("tap1", "tap", 3), add("feed1", "feed", 0, 2)))
    assert [(node.name, channels) for node, _, channels in change.made] == [("tap1", 3), ("feed1", 2)]
    assert change.made[0][1] is change.wire[0]
    patch.nodes["tap1"].ring = "old"
    change = patch.apply(edits(resize("tap1", 2, 0)))
    assert [(node.name, channels) for node, _, channels in change.made] == [("tap1", 2)]
    change = patch.apply(edits(resize("tap1", 2, 0)))
    assert change.made == []
    change = patch.apply(edits(remove("tap1")))
    assert list(change.dropped) == ["old"]


def rebuilt(patch: Patch) -> Patch:
    """A patch made of nothing but the replayed edits, in the host's own terms."""
    again = Patch(KINDS, BLOCKSIZE)
    change: Change = again.apply(edits(*({k: v for k, v in edit.items() if k != "ring"} for edit in patch.replay())))
    for node, wire, _ in change.made:
        node.ring = wire["ring"]
    return again


def test_replay_rebuilds_the_patch(patch: Patch) -> None:
    taps = Array("f4", (2,), struct.pack("<2f", 1, 2))
    patch.apply(
        edits(add("tap1", "tap", 2), connect("gain1", "tap1", 1, 1), set_("filter1", taps=taps), set_("delay1", frames=BLOCKSIZE))
    )
    patch.apply(edits(connect("delay1", "delay1"), remove("sum1"), resize("gain1", 3, 3)))
    replay = patch.replay()
    assert {"op": "set", "node": "filter1", "parameters": {"taps": taps}} in replay
    for edit in replay:
        if edit["op"] == "add" and edit["node"] == "tap1":
            assert edit["ring"] == ""
    again = rebuilt(patch)
    assert again.wire()["nodes"] == patch.wire()["nodes"]
    assert sorted(again.wire()["connections"]) == sorted(patch.wire()["connections"])
