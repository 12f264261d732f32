"""Undo under random transactions: what was done last can be taken back to what was there before, whatever it was."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from asmu_engine.host.clients import Client
from asmu_engine.host.history import History
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind, Parameter
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import PatchError

BLOCKSIZE = 64
_EDITS = TypeAdapter(list[Edit])
_GAIN = Parameter("gain", default=1.0, minimum=-10, maximum=10, per_channel=True)
_FIXED = Parameter("fixed", default=2.0, per_channel=True, live=False)
KINDS = (
    Kind("gain", "effect", ANY_PORTS, ANY_PORTS, (_GAIN,), calls=("reset",), paired=True),
    Kind("bank", "effect", ANY_PORTS, ANY_PORTS, (_GAIN, _FIXED), paired=True),
    Kind("sum", "effect", ANY_PORTS, ANY_PORTS),
    Kind("tap", "analyzer", ANY_PORTS, NO_PORTS, ring="tap"),
)
ME = Client("c1", "me")

VALUES = (0.5, 2, 3.0)


def random_edit(random: Random, patch: Patch) -> dict[str, Any]:
    """One that the patch, as it is, will do more often than not."""
    own = [node for node in patch.nodes.values() if not node.reserved]
    op = random.choice(["add", "remove", "resize", "resize", "connect", "connect", "connect", "disconnect", "set", "set", "call"])
    if op == "add" or not own:
        kind = random.choice(KINDS).name
        count = random.randint(1, 3)
        parameters = {name: value_for(random, count) for name in {"gain": ["gain"], "bank": ["gain", "fixed"]}.get(kind, ())}
        outputs = 0 if kind == "tap" else count
        free = [name for name in "abcde" if name not in patch.nodes] or ["a"]
        return {
            "op": "add",
            "node": random.choice(free),
            "kind": kind,
            "inputs": count,
            "outputs": outputs,
            "parameters": parameters,
        }
    node = random.choice(own)
    if op == "resize":
        count = random.randint(1, 3)
        return {"op": "resize", "node": node.name, "inputs": count, "outputs": 0 if node.kind.name == "tap" else count}
    if op == "connect":
        source, target = random.choice([*own, patch.nodes["in"]]), random.choice([*own, patch.nodes["out"]])
        output, port = random.randrange(min(source.outputs, 3) or 1), random.randrange(min(target.inputs, 3) or 1)
        return {"op": "connect", "source": source.name, "output": output, "target": target.name, "input": port}
    if op == "disconnect":
        ends = [(name, port) for name, other in patch.nodes.items() for port in other.sources] or [("out", 0)]
        target_name, port = random.choice(ends)
        return {"op": "disconnect", "target": target_name, "input": port}
    if op == "set":
        return {"op": "set", "node": node.name, "parameters": {"gain": value_for(random, node.channels)}}
    return {"op": "remove", "node": node.name} if op == "remove" else {"op": "call", "node": node.name, "call": "reset"}


def value_for(random: Random, channels: int) -> Any:
    return random.choice(VALUES) if random.random() < 0.4 else [random.choice(VALUES) for _ in range(channels)]


class Bench:
    """A patch with its history, and nothing else of an engine."""

    def __init__(self) -> None:
        self.patch = Patch(KINDS, BLOCKSIZE)
        self.history = History(self.patch)

    def do(self, edits: list[Any], undoes: int = 0) -> None:
        """A transaction, or PatchError."""
        self.patch.apply(edits)
        self.patch.revision += 1
        self.history.kept(ME, self.patch.revision, 0, edits, undoes=undoes)

    def do_some(self, random: Random) -> list[dict[str, Any]]:
        """A random transaction that holds; its edits, none where one was refused."""
        done: list[dict[str, Any]] = []
        changes = []
        for _ in range(random.randint(1, 4)):
            edit = random_edit(random, self.patch)
            try:
                changes.append(self.patch.apply(_EDITS.validate_python([edit])))
            except PatchError:
                continue
            done.append(edit)
        for change in reversed(changes):
            change.revert()
        if done:
            self.do(_EDITS.validate_python(done))
        return done

    def undo(self, revision: int) -> None:
        """Take one back, or PatchError."""
        edits, _ = self.history.undo(revision)
        self.do(edits, undoes=revision)

    def state(self) -> Any:
        """What of the patch is heard."""
        nodes = {n.name: (n.kind.name, n.inputs, n.outputs, n.values(), n.sources, n.sinks) for n in self.patch.nodes.values()}
        return copy.deepcopy(nodes)


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_newest_transaction_can_be_undone_and_redone(random: Random) -> None:
    bench = Bench()
    for _ in range(20):
        before = bench.state()
        done = bench.do_some(random)
        if all(edit["op"] == "call" for edit in done):
            continue
        after = bench.state()
        revision = bench.patch.revision
        bench.undo(revision)
        assert bench.state() == before
        bench.undo(revision + 1)
        assert bench.state() == after


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_an_older_one_is_undone_whole_or_refused_with_nothing_changed(random: Random) -> None:
    bench = Bench()
    for _ in range(15):
        bench.do_some(random)
    for _ in range(10):
        before = bench.state()
        try:
            bench.undo(random.randint(1, bench.patch.revision + 1))
        except PatchError as error:
            refused = error.code
        else:
            refused = ""
            bench.undo(bench.patch.revision)
        assert refused in ("", "not_undoable")
        assert bench.state() == before
