"""The patch as a script holds it: copies, and who feeds whom, also after what did not come about."""

from __future__ import annotations

import random
from typing import Any

import pytest

import asmu_control as asmu
from asmu_control.graph import Graph, Port

Edit = dict[str, Any]


def graph_of(nodes: int) -> Graph:
    graph = Graph()
    graph.declare(asmu.effect.Gain.describe())
    for number in range(nodes):
        do(graph, {"op": "add", "node": f"n{number}", "kind": "gain", "inputs": 2, "outputs": 2, "parameters": {"gain": 1.0}})
    return graph


def do(graph: Graph, edit: Edit) -> None:
    graph.check(edit)
    graph.apply(edit)


def connection(source: Port, target: Port) -> Edit:
    return {"op": "connect", "source": source[0], "output": source[1], "target": target[0], "input": target[1]}


def fed(graph: Graph, output: Port) -> list[Port]:
    """What an output feeds, by looking at every connection."""
    return [target for target, source in graph.sources.items() if source == output]


def test_a_copy_and_its_original_go_their_own_ways() -> None:
    graph = graph_of(2)
    do(graph, connection(("n0", 0), ("n1", 0)))
    before = graph.copy()
    do(graph, {"op": "set", "node": "n0", "parameters": {"gain": 0.5}})
    do(graph, {"op": "resize", "node": "n1", "inputs": 3, "outputs": 3})
    do(graph, {"op": "disconnect", "target": "n1", "input": 0})
    do(before, connection(("n0", 0), ("n1", 1)))
    assert (before.nodes["n0"].parameters, before.nodes["n1"].inputs) == ({"gain": 1.0}, 2)
    assert (graph.nodes["n0"].parameters, graph.nodes["n1"].inputs) == ({"gain": 0.5}, 3)
    assert before.inputs_fed_by(("n0", 0)) == [("n1", 0), ("n1", 1)]
    assert not graph.feeds(("n0", 0))


def test_both_directions_of_the_connections_agree_whatever_is_done() -> None:
    chance = random.Random(3)
    graph, size = graph_of(6), 6
    for step in range(300):
        edits: list[Edit] = [
            connection((f"n{chance.randrange(size)}", chance.randrange(2)), (f"n{chance.randrange(size)}", chance.randrange(2)))
        ]
        if graph.sources:
            target, port = chance.choice(list(graph.sources))
            edits.append({"op": "disconnect", "target": target, "input": port})
        name = f"n{chance.randrange(size)}"
        edits.append({"op": "remove", "node": name})
        edit = edits[0] if step % 3 else chance.choice(edits)
        try:
            do(graph, edit)
        except asmu.exceptions.PatchError:
            continue  # the input is fed already
        if edit["op"] == "remove":
            assert not any(name in (target[0], source[0]) for target, source in graph.sources.items())
            do(graph, {"op": "add", "node": name, "kind": "gain", "inputs": 2, "outputs": 2, "parameters": {}})
        graph = graph.copy() if step % 7 == 0 else graph
        for number in range(size):
            for port in range(2):
                output = (f"n{number}", port)
                assert graph.inputs_fed_by(output) == fed(graph, output)
                assert graph.feeds(output) == bool(fed(graph, output))


def test_a_transaction_that_fails_leaves_no_trace() -> None:
    interface = asmu.Interface(device="virtual")
    sine, gain = asmu.generator.Sine(interface, 100), asmu.effect.Gain(interface, 1)
    sine.output().connect(gain.input())
    before = interface._patch.graph.edits()

    def fail() -> None:
        with interface.edit():
            other = asmu.effect.Gain(interface, 2)
            gain.disconnect()
            sine.output().connect(other.input())
            sine.set_frequency(200.0)
            raise RuntimeError("never mind")

    with pytest.raises(RuntimeError, match="never mind"):
        fail()
    assert interface.processors == (sine, gain)
    assert interface._patch.graph.edits() == before
    assert sine.output().inputs == (gain.input(),)
    assert sine.frequency == 100.0
    gain.disconnect()  # it is there, with all that goes with it
    assert interface.processors == (sine,)
    assert not sine.output()


def test_what_feeds_a_processor_is_kept_with_it() -> None:
    interface = asmu.Interface(device="virtual")
    sine, gain, apart = asmu.generator.Sine(interface, 100), asmu.effect.Gain(interface, 1), asmu.effect.Gain(interface, 1)
    sine.output().connect(gain.input())
    sine.output().connect(apart.input())
    interface.iinput(ch=1).connect(gain.input(1))
    interface._patch.keep(gain)
    assert interface._session.kept == {sine.name, gain.name}
