"""The history: what stands in it, what undoes each transaction, what stands in the way, and what it costs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import TypeAdapter

from asmu_engine.host import history as history_module
from asmu_engine.host.clients import Client
from asmu_engine.host.history import History
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, Kind, Parameter
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import PatchError

_EDITS = TypeAdapter(list[Edit])
KINDS = (
    Kind("sine", "generator", NO_PORTS, ANY_PORTS, (Parameter("frequency", default=1000.0),), calls=("restart",)),
    Kind("gain", "effect", ANY_PORTS, ANY_PORTS, (Parameter("gain", default=1.0, per_channel=True),), paired=True),
    Kind("filter", "effect", ANY_PORTS, ANY_PORTS, (Parameter("taps", type="array", default=None),), paired=True),
)
ME, YOU = Client("c1", "me"), Client("c2", "you")


class Bench:
    """A patch and its history."""

    def __init__(self) -> None:
        self.patch = Patch(KINDS, 256)
        self.history = History(self.patch)

    def do(self, *edits: dict[str, Any], client: Client = ME, at: int = 0, late: int = 0, undoes: int = 0) -> int:
        parsed = _EDITS.validate_python(list(edits))
        self.patch.apply(parsed)
        self.patch.revision += 1
        self.history.kept(client, self.patch.revision, at, parsed, late=late, undoes=undoes)
        return self.patch.revision

    def undo(self, revision: int, client: Client = ME) -> int:
        edits, _ = self.history.undo(revision)
        return self.do(*map(vars, edits), client=client, undoes=revision)

    def refusal(self, revision: int) -> PatchError:
        with pytest.raises(PatchError) as caught:
            self.history.undo(revision)
        assert caught.value.code == "not_undoable"
        return caught.value


@pytest.fixture
def bench() -> Bench:
    return Bench()


def add(node: str, kind: str, count: int = 1, **parameters: Any) -> dict[str, Any]:
    return {
        "op": "add",
        "node": node,
        "kind": kind,
        "inputs": 0 if kind == "sine" else count,
        "outputs": count,
        "parameters": parameters,
    }


def connect(source: str, target: str, output: int = 0, port: int = 0) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def set_(node: str, **parameters: Any) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": parameters}


def test_entries_say_who_when_where_and_how_much(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module.time, "time", lambda: 1_700_000_000.5)
    bench.do(add("sine1", "sine"), add("gain1", "gain"), connect("sine1", "gain1"), at=512, late=3)
    bench.do(set_("gain1", gain=0.5), client=YOU, at=1024)
    first, second = bench.history.entries()["entries"]
    assert first == {
        "revision": 1,
        "author": "me",
        "client": "c1",
        "utc": 1_700_000_000.5,
        "at": 512,
        "late": 3,
        "edits": 3,
        "undoable": True,
        "undoes": None,
    }
    assert (second["revision"], second["author"], second["client"], second["at"], second["edits"]) == (2, "you", "c2", 1024, 1)
    assert [entry["revision"] for entry in bench.history.entries(since=1)["entries"]] == [2]
    assert [entry["revision"] for entry in bench.history.entries(limit=1)["entries"]] == [2]
    assert bench.history.entries(since=2)["entries"] == []


def test_edits_and_what_undoes_them_are_told_when_asked_for(bench: Bench) -> None:
    edits = [add("sine1", "sine"), add("gain1", "gain", gain=0.5), connect("sine1", "gain1")]
    bench.do(*edits)
    bench.do(set_("gain1", gain=0.25))
    bench.do({"op": "remove", "node": "gain1"})
    first, second, third = bench.history.entries(edits=True)["entries"]
    assert first["done"] == edits
    assert first["back"] == [
        {"op": "disconnect", "target": "gain1", "input": 0},
        {"op": "remove", "node": "gain1"},
        {"op": "remove", "node": "sine1"},
    ]
    assert second["back"] == [set_("gain1", gain=0.5)]
    assert third["back"] == [add("gain1", "gain", gain=0.25), connect("sine1", "gain1")]


def test_large_arrays_are_told_by_type_and_shape(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    taps = Array("f4", (2000,), bytes(8000))
    small = Array("f4", (1,), bytes(4))
    bench.do(add("filter1", "filter", taps=taps))
    bench.do(set_("filter1", taps=small))
    first, second = bench.history.entries(edits=True)["entries"]
    assert first["done"][0]["parameters"] == {"taps": {"array": "f4", "shape": [2000]}}
    assert second["done"][0]["parameters"] == {"taps": small}
    assert second["back"][0]["parameters"] == {"taps": {"array": "f4", "shape": [2000]}}
    bench.undo(2)
    assert bench.patch.nodes["filter1"].value("taps") is taps  # kept by reference, not copied
    monkeypatch.setattr(history_module, "ANSWER_BYTES", 4500)
    told = bench.history.entries(edits=True)["entries"]
    assert [entry["done"] is None for entry in told] == [True, True, False]


def test_values_in_flight_do_not_confuse_what_was_there_before(bench: Bench) -> None:
    """Edits of values are checked before the ones ahead of them hold; what counts is the order in which they took effect."""
    bench.do(add("gain1", "gain"))
    edits = [_EDITS.validate_python([set_("gain1", gain=gain)]) for gain in (2.0, 3.0)]
    for one in edits:
        bench.patch.check(one)
    for one in edits:
        bench.patch.apply(one)
        bench.patch.revision += 1
        bench.history.kept(ME, bench.patch.revision, 0, one)
    assert [entry["back"] for entry in bench.history.entries(since=1, edits=True)["entries"]] == [
        [set_("gain1", gain=1.0)],
        [set_("gain1", gain=2.0)],
    ]


def test_undo_is_a_transaction_that_can_be_undone(bench: Bench) -> None:
    bench.do(add("gain1", "gain", 2, gain=[0.5, 0.25]))
    bench.do(set_("gain1", gain=[1.0, 2.0]))
    assert bench.undo(2, client=YOU) == 3
    assert bench.patch.nodes["gain1"].value("gain") == [0.5, 0.25]
    assert bench.history.entries()["entries"][-1]["undoes"] == 2
    assert bench.undo(3) == 4
    assert bench.patch.nodes["gain1"].value("gain") == [1.0, 2.0]
    assert bench.undo(2) == 5  # things are as revision 2 left them


def test_a_resize_gives_values_and_connections_back(bench: Bench) -> None:
    bench.do(add("sine1", "sine", 3), add("gain1", "gain", 3, gain=[1.0, 2.0, 3.0]))
    bench.do(*(connect("sine1", "gain1", n, n) for n in range(3)), connect("gain1", "out", 2, 7))
    bench.do({"op": "resize", "node": "gain1", "inputs": 1, "outputs": 1})
    bench.undo(3)
    gain = bench.patch.nodes["gain1"]
    assert (gain.inputs, gain.value("gain")) == (3, [1.0, 2.0, 3.0])
    assert gain.sources == {n: ("sine1", n) for n in range(3)}
    assert gain.sinks == {("out", 7): 2}


def test_calls_are_left_out_and_said(bench: Bench) -> None:
    call = {"op": "call", "node": "sine1", "call": "restart"}
    bench.do(add("sine1", "sine"))
    bench.do(set_("sine1", frequency=50.0), call)
    edits, left = bench.history.undo(2)
    assert [vars(edit) for edit in edits] == [set_("sine1", frequency=1000.0)]
    assert left == [call]
    bench.do(call)
    assert "only calls" in str(bench.refusal(3))
    assert bench.history.entries()["entries"][-1]["undoable"] is False


def test_what_stands_in_the_way_is_named(bench: Bench) -> None:
    bench.do(add("sine1", "sine", 2), add("gain1", "gain", 2))  # 1
    bench.do(connect("sine1", "gain1"))  # 2
    error = bench.refusal(1)
    assert str(error) == (
        "revision 1 cannot be undone: input 0 of gain1, which would go, is connected since; "
        "revision 2 of me did that, undo that first"
    )
    assert error.where == "1"
    bench.do(set_("gain1", gain=2.0))  # 3
    bench.do(set_("gain1", gain=3.0), client=YOU)  # 4
    assert str(bench.refusal(3)) == (
        "revision 3 cannot be undone: gain1.gain has another value since; revision 4 of you did that, undo that first"
    )
    bench.do({"op": "disconnect", "target": "gain1", "input": 0}, connect("sine1", "gain1", 1), client=YOU)  # 5
    assert "input 0 of gain1 is connected otherwise since; revision 5 of you" in str(bench.refusal(2))
    bench.do({"op": "resize", "node": "gain1", "inputs": 3, "outputs": 3})  # 6
    bench.do(connect("sine1", "gain1", 0, 2))  # 7
    assert "input 2 of gain1, which would go, is connected since; revision 7 of me" in str(bench.refusal(6))
    bench.undo(7)
    bench.do(connect("gain1", "out", 2, 4))  # 9
    assert "output 2 of gain1, which would go, is connected since; revision 9 of me" in str(bench.refusal(6))
    bench.undo(9)
    bench.do({"op": "resize", "node": "gain1", "inputs": 4, "outputs": 4})  # 11
    assert "another number of ports since; revision 11 of me" in str(bench.refusal(6))
    bench.do({"op": "remove", "node": "gain1"}, client=YOU)  # 12
    assert "node 'gain1' is no longer there; revision 12 of you" in str(bench.refusal(4))
    bench.undo(12)
    assert "revision 13 of me has undone it already" in str(bench.refusal(12))


def test_a_node_that_came_in_its_place_is_not_taken_away(bench: Bench) -> None:
    bench.do(add("one", "gain"))
    bench.do({"op": "remove", "node": "one"}, add("one", "filter"))
    assert "one is another node since, a filter; revision 2 of me" in str(bench.refusal(1))
    bench.do(add("two", "gain"))
    bench.do(connect("two", "out"))
    assert "two, which would go, feeds out since; revision 4 of me" in str(bench.refusal(3))


def test_what_the_patch_says_against_it_is_quoted(bench: Bench) -> None:
    bench.do(add("sine1", "sine"), add("gain1", "gain"), connect("sine1", "gain1"))
    bench.do({"op": "disconnect", "target": "gain1", "input": 0})
    bench.do(connect("sine1", "gain1"))
    assert "revision 2 cannot be undone: input 0 of gain1 is connected" in str(bench.refusal(2))
    bench.do({"op": "remove", "node": "gain1"})
    assert "there is no node 'gain1'" in str(bench.refusal(2))


def test_unknown_and_forgotten_revisions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the revisions in it: none" in str(bench.refusal(1))
    monkeypatch.setattr(history_module, "MAX_HISTORY", 3)
    bench.do(add("gain1", "gain"))
    for number in range(4):
        bench.do(set_("gain1", gain=float(number)))
    assert [entry["revision"] for entry in bench.history.entries()["entries"]] == [3, 4, 5]
    assert "the revisions in it: 3 to 5" in str(bench.refusal(2))
    assert "the revisions in it: 3 to 5" in str(bench.refusal(6))


def test_the_oldest_large_ones_lose_their_edits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MAX_BYTES", 10_000)
    monkeypatch.setattr(history_module, "LARGE_BYTES", 1_000)
    bench.do(add("filter1", "filter"))
    for number in range(4):
        bench.do(set_("filter1", taps=Array("f4", (1000,), bytes([number]) * 4000)))
    # What was set in one is what the next one found: each but the first has two arrays.
    assert [entry["undoable"] for entry in bench.history.entries()["entries"]] == [True, False, False, False, True]
    assert bench.history._size <= 10_000
    assert "too much memory" in str(bench.refusal(4))
    bench.undo(5)
    assert bench.patch.nodes["filter1"].value("taps").data == bytes([2]) * 4000
    bench.do(set_("filter1", taps=Array("f4", (4000,), bytes(16_000))))
    assert bench.history.entries()["entries"][-1]["undoable"] is False  # too much by itself
    assert bench.history._size < 1_000


def test_memory_that_is_forgotten_with_age_is_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MAX_HISTORY", 2)
    bench.do(add("filter1", "filter", taps=Array("f4", (50_000,), bytes(200_000))))
    assert bench.history._size > 200_000
    bench.do(add("gain1", "gain"))
    bench.do(set_("gain1", gain=2.0))
    assert bench.history._size < 1000
    assert not bench.history._large


def test_a_history_that_lost_the_thread_takes_it_up_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.do(add("sine1", "sine"), add("gain1", "gain"), connect("sine1", "gain1"))
    bench.patch.apply(_EDITS.validate_python([set_("gain1", gain=7.0)]))
    with caplog.at_level(logging.ERROR):
        bench.history.kept(ME, 2, 0, _EDITS.validate_python([{"op": "remove", "node": "never"}]))
    bench.patch.revision = 2
    assert "lost the thread" in caplog.text
    assert bench.history.entries()["entries"][-1]["undoable"] is False
    bench.do({"op": "remove", "node": "gain1"})
    assert bench.history.entries(since=2, edits=True)["entries"][0]["back"] == [
        add("gain1", "gain", gain=7.0),
        connect("sine1", "gain1"),
    ]


def test_who_stands_in_the_way_is_looked_for_in_no_more_than_so_much(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.do(add("g", "gain"))
    first = bench.do(set_gain := {"op": "set", "node": "g", "parameters": {"gain": 0.5}})
    bench.do({**set_gain, "parameters": {"gain": 0.25}})
    assert "revision 3 of me did that" in bench.refusal(first).message
    monkeypatch.setattr(history_module, "ANSWER_BYTES", 20)
    assert bench.refusal(first).message.endswith("g.gain has another value since")


def test_a_later_node_of_the_same_name_is_not_taken_for_the_one_that_was_added(bench: Bench) -> None:
    first = bench.do(add("a", "gain"))
    bench.do({"op": "remove", "node": "a"})
    second = bench.do(add("a", "gain"), client=YOU)
    assert "a is another node since, added by revision 3" in str(bench.refusal(first))
    bench.undo(second)
    assert "a" not in bench.patch.nodes
