"""Any mix of transactions, for now and for frames to come, sounds as the same edits by hand in the order of effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asmu_engine.local import LocalEngine
from asmu_engine.shm.reader import RingReader

BLOCK = 256
NODES = ("a", "b", "c")


def add(node: str, value: int) -> list[dict[str, Any]]:
    return [{"op": "add", "node": node, "kind": "constant", "inputs": 0, "outputs": 1, "parameters": {"value": float(value)}}]


def remove(node: str, value: int) -> list[dict[str, Any]]:
    return [{"op": "remove", "node": node}]


def plug(node: str, value: int) -> list[dict[str, Any]]:
    return [{"op": "connect", "source": node, "output": 0, "target": "sum", "input": NODES.index(node)}]


def pull(node: str, value: int) -> list[dict[str, Any]]:
    return [{"op": "disconnect", "target": "sum", "input": NODES.index(node)}]


def change(node: str, value: int) -> list[dict[str, Any]]:
    return [{"op": "set", "node": node, "parameters": {"value": float(value)}}]


def grow(node: str, value: int) -> list[dict[str, Any]]:
    return [{"op": "resize", "node": node, "inputs": 0, "outputs": 1 + value % 3}]


def renew(node: str, value: int) -> list[dict[str, Any]]:
    return remove(node, value) + add(node, value) + plug(node, value)


SETTING = [{"op": "add", "node": "sum", "kind": "sum", "inputs": 3, "outputs": 1, "parameters": {}}]
for number, name in enumerate(NODES):
    SETTING += [*add(name, number + 1), *plug(name, 0)]
TRANSACTION = st.tuples(
    st.sampled_from((change, change, change, change, renew, renew, renew, grow, grow, remove, add, plug, pull)),
    st.sampled_from(NODES),
    st.integers(1, 1000),
    st.one_of(st.none(), st.integers(0, 3 * BLOCK)),
)
STEP = st.integers(1, 2)
CANCEL = st.integers(1, 8).map(lambda number: ("cancel", number))


def test_any_mix_is_as_by_hand(real_host: Callable[[str], Any]) -> None:
    host = real_host("offline:inputs=1,outputs=1,stepped=1")
    host.result("start", drop=0)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.one_of(TRANSACTION, TRANSACTION, TRANSACTION, STEP, CANCEL), min_size=10, max_size=40))
    def check(actions: list[Any]) -> None:
        tap = {"op": "add", "node": "t", "kind": "tap", "inputs": 1, "outputs": 0, "parameters": {}}
        tapped = {"op": "connect", "source": "sum", "output": 0, "target": "t", "input": 0}
        begun = host.result("transaction", edits=[*SETTING, tap, tapped])
        begin, reader = begun["at"], RingReader(begun["rings"]["t"], "first")
        done: list[tuple[int, int, list[dict[str, Any]]]] = []  # position, revision, edits
        waiting: dict[int, list[dict[str, Any]]] = {}
        try:
            for action in [*actions, 4]:
                if isinstance(action, int):
                    host.result("step", blocks=action)
                elif action[0] == "cancel":
                    if waiting:
                        number = sorted(waiting)[action[1] % len(waiting)]
                        host.ask("cancel", scheduled=number)
                else:
                    make, node, value, ahead = action
                    position = host.engine.audio.run.position
                    answer = host.ask("transaction", edits=make(node, value), at=None if ahead is None else position + ahead)
                    if answer["type"] == "reply" and "scheduled" in answer["result"]:
                        waiting[answer["result"]["scheduled"]] = make(node, value)
                    elif answer["type"] == "reply":
                        result = answer["result"]
                        assert (result["at"], result["late"]) == (position, 0)
                        done.append((result["at"], result["revision"], make(node, value)))
            for number, edits in waiting.items():
                outcome = host.result("scheduled", scheduled=number)["outcome"]
                if outcome["state"] == "edited":
                    assert outcome["late"] == 0
                    done.append((outcome["at"], outcome["revision"], edits))
            assert host.result("scheduled")["scheduled"] == []
            frames = host.engine.audio.run.position - begin
            heard = np.concatenate([chunk.data[:, 0] for chunk in iter(lambda: reader.read_chunk(frames), None)])
            assert np.array_equal(heard, by_hand(begin, frames, done))
        finally:
            reader.close()
            nodes = host.result("patch")["nodes"]
            host.result("transaction", edits=[{"op": "remove", "node": node} for node in nodes])

    check()


def by_hand(begin: int, frames: int, done: list[tuple[int, int, list[dict[str, Any]]]]) -> np.ndarray:
    engine = LocalEngine(48_000, BLOCK, inputs=0, outputs=1)
    engine.edit([*SETTING, {"op": "connect", "source": "sum", "output": 0, "target": "out", "input": 0}])
    sound: list[np.ndarray] = []
    position = begin
    for at, _, edits in [*sorted(done, key=lambda one: (one[0], one[1])), (begin + frames, 0, [])]:
        if at > position:
            sound.append(engine.render(at - position)[:, 0])
            position = at
        if edits:
            engine.edit(_complete(engine, edits))
    engine.close()
    return np.concatenate(sound) if sound else np.zeros(0, np.float32)


def _complete(engine: LocalEngine, edits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the value of each new channel, as a host gives it."""
    result = []
    for edit in edits:
        result.append(edit)
        if edit["op"] == "resize":
            value = engine.cores[edit["node"]].value.tolist()  # type: ignore[attr-defined]
            value = (value + value[-1:] * edit["outputs"])[: edit["outputs"]]
            result.append({"op": "set", "node": edit["node"], "parameters": {"value": value}})
    return result
