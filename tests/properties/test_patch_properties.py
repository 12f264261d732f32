"""The patch under random transactions: refused and reverted ones change nothing, replay rebuilds it, no cycle slips in."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from asmu_engine.host.patch import Patch
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind, Parameter
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import PatchError

BLOCKSIZE = 64
_EDITS = TypeAdapter(list[Edit])
_GAIN = Parameter("gain", default=1.0, minimum=-10, maximum=10, per_channel=True)
_FRAMES = Parameter("frames", type="int", default=0, minimum=0, maximum=1000, per_channel=True)
KINDS = (
    Kind("gain", "effect", ANY_PORTS, ANY_PORTS, (_GAIN,), paired=True),
    Kind("sum", "effect", ANY_PORTS, ANY_PORTS),
    Kind("delay", "effect", ANY_PORTS, ANY_PORTS, (_FRAMES,), paired=True, breaks_cycle=True),
    Kind("tap", "analyzer", ANY_PORTS, NO_PORTS, ring="tap"),
)

names = st.sampled_from(["a", "b", "c", "d"])
ends = st.sampled_from(["a", "b", "c", "d", "in", "out"])
ports = st.integers(0, 2)
numbers = st.sampled_from([0.0, 0.5, 63, 64, 500, 5000, float("nan")])
values = st.one_of(numbers, st.lists(numbers, min_size=1, max_size=3))
parameters = st.dictionaries(st.sampled_from(["gain", "frames"]), values, max_size=1)
edit = st.one_of(
    st.fixed_dictionaries(
        {"op": st.just("add"), "node": names, "kind": st.sampled_from([k.name for k in KINDS]), "parameters": parameters}
    ).flatmap(lambda e: st.integers(1, 3).map(lambda n: {**e, "inputs": n, "outputs": 0 if e["kind"] == "tap" else n})),
    st.builds(lambda n: {"op": "remove", "node": n}, names),
    st.builds(lambda n, i, o: {"op": "resize", "node": n, "inputs": i, "outputs": o}, names, ports, ports),
    st.builds(lambda n, i: {"op": "resize", "node": n, "inputs": i, "outputs": i}, names, st.integers(1, 3)),
    st.builds(lambda s, o, t, i: {"op": "connect", "source": s, "output": o, "target": t, "input": i}, ends, ports, ends, ports),
    st.builds(lambda t, i: {"op": "disconnect", "target": t, "input": i}, ends, ports),
    st.builds(lambda n, p: {"op": "set", "node": n, "parameters": p}, names, parameters),
)
transactions = st.lists(st.lists(edit, min_size=1, max_size=5), max_size=25)


def state(patch: Patch) -> Any:
    nodes = {n.name: (n.kind.name, n.inputs, n.outputs, n.parameters, n.sources, n.sinks) for n in patch.nodes.values()}
    return copy.deepcopy((nodes, patch.connections))


def check(patch: Patch) -> None:
    """What must hold of every patch, worked out in the plainest way."""
    pairs = []
    for node in patch.nodes.values():
        for port, (source, output) in node.sources.items():
            assert port < node.inputs
            assert output < patch.nodes[source].outputs
            assert patch.nodes[source].sinks[node.name, port] == output
            pairs.append((source, node.name))
        assert all(patch.nodes[target].sources[port] == (node.name, output) for (target, port), output in node.sinks.items())
        gain = node.parameters.get("gain")
        assert not isinstance(gain, list) or len(gain) == node.channels
    assert patch.connections == len(pairs)

    # Peel off nodes that nothing but what is gone feeds; delays of a block feed nobody within it.
    def holds(name: str) -> bool:
        if patch.nodes[name].kind.name != "delay":
            return True
        frames = patch.nodes[name].value("frames")
        return min(frames if isinstance(frames, list) else [frames]) < BLOCKSIZE

    edges = {(s, t) for s, t in pairs if holds(s)}
    left = set(patch.nodes)
    while ready := {name for name in left if not any(t == name and s in left for s, t in edges)}:
        left -= ready
    assert not left


@settings(max_examples=300, deadline=None)
@given(transactions)
def test_patch_stays_sound(given_transactions: list[list[dict[str, Any]]]) -> None:
    patch = Patch(KINDS, BLOCKSIZE)
    for number, transaction in enumerate(given_transactions):
        before = state(patch)
        try:
            change = patch.apply(_EDITS.validate_python(transaction))
        except PatchError:
            assert state(patch) == before
            continue
        check(patch)
        if number % 3 == 0:
            change.revert()
            assert state(patch) == before
    again = Patch(KINDS, BLOCKSIZE)
    again.apply(_EDITS.validate_python([{k: v for k, v in e.items() if k != "ring"} for e in patch.replay()]) or [])
    assert state(again) == state(patch)


@settings(max_examples=300, deadline=None)
@given(transactions)
def test_edits_for_the_audio_process_lead_to_the_same_patch(given_transactions: list[list[dict[str, Any]]]) -> None:
    """The canonical edits alone, without any rule of the host, must give the graph that the host believes in."""
    patch = Patch(KINDS, BLOCKSIZE)
    ports_of: dict[str, tuple[int, int]] = {}
    wires: dict[tuple[str, int], tuple[str, int]] = {}
    for transaction in given_transactions:
        try:
            change = patch.apply(_EDITS.validate_python(transaction))
        except PatchError:
            continue
        for e in change.wire:
            if e["op"] in ("add", "resize"):
                ports_of[e["node"]] = (e["inputs"], e["outputs"])
            elif e["op"] == "remove":
                del ports_of[e["node"]]
            elif e["op"] == "connect":
                wires[e["target"], e["input"]] = (e["source"], e["output"])
            elif e["op"] == "disconnect":
                del wires[e["target"], e["input"]]
    assert ports_of == {n.name: (n.inputs, n.outputs) for n in patch.nodes.values() if not n.reserved}
    assert wires == {(n.name, port): source for n in patch.nodes.values() for port, source in n.sources.items()}
