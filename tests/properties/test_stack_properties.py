"""Nodes that run as one, that sleep, that move between cores: nobody who listens can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asmu_engine.audio.grouping import WORTH
from asmu_engine.local import LocalEngine
from asmu_engine.protocol.version import INPUTS_NODE, OUTPUTS_NODE
from asmu_engine.rt.stackable import Stackable

BLOCK = 64
PORTS = 2
RATE = 8000.0
KINDS = ("gain", "gain", "gain", "sine", "constant", "sum", "delay", "weight", "weight", "ear")

EAR = """
from asmu_engine.rt.acore import AAnalyzer

class AEar(AAnalyzer):
    kind = "ear"

    def prepare(self):
        self.heard = []

    def process(self, inputs, outputs):
        self.heard.append(inputs.copy())
"""

Numbers = list[int]


@contextmanager
def alone() -> Iterator[None]:
    """Every node runs by itself, heard or not."""
    Stackable.alone = True
    try:
        yield
    finally:
        Stackable.alone = False


class Patch:
    """Makes edits that are valid of whatever numbers it is given."""

    def __init__(self) -> None:
        self.ports: dict[str, tuple[str, int, int]] = {}
        self.sources: dict[str, set[int]] = {}
        self.made = 0

    def edit(self, numbers: Numbers) -> list[dict[str, Any]]:
        what, a, b, c, d = numbers
        nodes = list(self.ports)
        if what < 4 or len(nodes) < 2:
            return [self._add(a, b, c)]
        node = nodes[a % len(nodes)]
        kind, inputs, outputs = self.ports[node]
        if what < 10:
            return self._connect(nodes, a, b, c, d, whole=what < 7)
        if what < 13 and kind in ("gain", "sine", "constant"):
            name = {"gain": "gain", "sine": "frequency", "constant": "value"}[kind]
            value: Any = float(b) if c % 2 else [float((b + n) % 50) for n in range(outputs)]
            return [{"op": "set", "node": node, "parameters": {name: value}}]
        if what < 13 and kind == "weight":
            return [{"op": "set", "node": node, "parameters": {"weight": "ZAC"[b % 3]}}]
        if what < 15 and kind in ("gain", "sine", "constant", "weight"):
            count = 1 + b % 3
            self.ports[node] = kind, count if inputs else 0, count
            return [{"op": "resize", "node": node, "inputs": count if inputs else 0, "outputs": count}]
        if what == 15:
            del self.ports[node]
            return [{"op": "remove", "node": node}]
        return [{"op": "disconnect", "target": node, "input": b % inputs}] if inputs else []

    def _add(self, a: int, b: int, c: int) -> dict[str, Any]:
        kind = KINDS[a % len(KINDS)]
        count = (PORTS, 1, PORTS, 3)[b % 4]
        self.made += 1
        node = f"n{self.made}"
        inputs = 0 if kind in ("sine", "constant") else count
        outputs = {"sum": 2, "ear": 0}.get(kind, count)
        values: dict[str, Any] = {
            "gain": {"gain": c / 10}, "sine": {"frequency": 37.0 * c, "phase": c / 7}, "constant": {"value": c / 3},
            "sum": {"mode": "sum"}, "delay": {"frames": c % 5}, "weight": {"weight": "ZAC"[c % 3]}, "ear": {},
        }[kind]  # fmt: skip
        self.ports[node] = kind, inputs, outputs
        return {"op": "add", "kind": kind, "node": node, "inputs": inputs, "outputs": outputs, "parameters": values}

    def _connect(self, nodes: list[str], a: int, b: int, c: int, d: int, *, whole: bool) -> list[dict[str, Any]]:
        """From an older node, or the device, to a newer one, or the device: there is no cycle. One port, or the `whole` node."""
        sources = [INPUTS_NODE, *(node for node in nodes if self.ports[node][2])]
        source = sources[a % len(sources)]
        outputs = PORTS if source == INPUTS_NODE else self.ports[source][2]
        later = [
            OUTPUTS_NODE,
            *(n for n in nodes if self.ports[n][1] and (source == INPUTS_NODE or int(n[1:]) > int(source[1:]))),
        ]
        target = later[c % len(later)]
        inputs = PORTS if target == OUTPUTS_NODE else self.ports[target][1]
        pairs = [(port, port) for port in range(min(outputs, inputs))] if whole else [(b % outputs, d % inputs)]
        return [{"op": "connect", "source": source, "output": out, "target": target, "input": port} for out, port in pairs]


NUMBERS = st.tuples(
    st.integers(0, 16), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)
).map(list)  # fmt: skip


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugins") / "ear.py"
    path.write_text(EAR)
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def small_stacks() -> Iterator[None]:
    """Stacks are cut by the sums to which they lead also where these are small."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in WORTH:
            patch.setitem(WORTH, kind, 2)
        yield


def ears(engine: LocalEngine) -> list[np.ndarray]:
    """What each of them has heard since it was asked."""
    found = []
    for core in engine._builder.graph.cores.values():
        if core.kind == "ear":
            found.append(np.concatenate(core.heard))
            core.heard.clear()
    return found


@settings(deadline=None, max_examples=400)
@given(
    transactions=st.lists(
        st.tuples(st.lists(NUMBERS, min_size=1, max_size=8), st.integers(1, 2 * BLOCK)), min_size=1, max_size=12
    )
)
def test_stacks_sound_as_nodes_of_their_own(transactions: list[tuple[list[Numbers], int]], plugin: str) -> None:
    patch = Patch()
    engine = LocalEngine(RATE, BLOCK, inputs=PORTS, outputs=PORTS, plugins=[plugin])
    reference = LocalEngine(RATE, BLOCK, inputs=PORTS, outputs=PORTS, plugins=[plugin])
    noise = np.random.default_rng(0)
    for number, (edits, frames) in enumerate(transactions):
        transaction = [edit for numbers in edits for edit in patch.edit(numbers)]
        engine.edit(transaction)
        with alone():
            reference.edit(transaction)
        if number % 5 == 4:
            engine.reset()
            reference.reset()
        indata = noise.uniform(-1, 1, (frames, PORTS)).astype(np.float32)
        played = [engine.render(frames, indata), *ears(engine)]
        expected = [reference.render(frames, indata), *ears(reference)]
        for mine, theirs in zip(played, expected, strict=True):
            assert np.abs(mine - theirs).max() <= 4e-7 * max(1.0, float(np.abs(theirs).max()))
    assert engine.notices() == reference.notices() == []
    engine.close()
    reference.close()
