"""Changes of structure that wait for one another are done as one, and nobody but the audio process sees that."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.messages import Transaction

Edits = list[dict[str, Any]]
Make = Callable[..., Any]
Answers = list[dict[str, Any] | AsmuError]


def add(name: str, kind: str = "gain", outputs: int = 1) -> Edits:
    return [{"op": "add", "node": name, "kind": kind, "inputs": 1, "outputs": outputs}]


def put(name: str, gain: float) -> Edits:
    return [{"op": "set", "node": name, "parameters": {"gain": gain}}]


def connect(source: str, target: str) -> Edits:
    return [{"op": "connect", "source": source, "output": 0, "target": target, "input": 0}]


def at_once(host: Any, *transactions: Edits, then: Callable[[], None] = lambda: None, **fields: Any) -> Answers:
    """Have the host take all of them in one turn of its loop, so that those behind the first wait for it; the answers."""
    numbers: list[int] = []
    answers: Answers = []

    def submit() -> None:
        for number, edits in enumerate(transactions):

            def answer(result: dict[str, Any] | None, error: AsmuError | None, number: int = number) -> None:
                numbers.append(number)
                answers.append(error if result is None else result)  # type: ignore[arg-type]

            host.engine.submit(Transaction(id=0, edits=edits, **fields), answer)
        then()

    host.loop.post(submit)
    host.until(lambda: len(answers) == len(transactions), "all answers")
    assert numbers == list(range(len(transactions)))  # in the order of the requests
    return answers


def sent(host: Any) -> list[list[str]]:
    """What each message of edits to the audio process was about."""
    return [[edit.get("node") or edit["target"] for edit in one["edits"]] for one in host.commands() if one["do"] == "edit"]


def codes(answers: Answers) -> list[str]:
    return [one.code if isinstance(one, AsmuError) else "" for one in answers]


def test_what_waits_behind_a_change_of_structure_is_done_in_one_message(make_host: Make) -> None:
    host = make_host().up()
    answers = at_once(host, add("a"), add("b"), put("a", 0.5), connect("a", "b"), put("a", 0.25), [{"op": "remove", "node": "b"}])
    assert [answer["revision"] for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert sent(host) == [["a"], ["b", "a", "b", "a", "b", "b"]]  # a connection that goes with its node is named, too
    patch = host.result("patch")
    assert (list(patch["nodes"]), patch["connections"]) == (["a"], [])
    assert patch["nodes"]["a"]["parameters"] == {"gain": 0.25}
    entries = host.result("history", edits=True)["entries"]
    assert [(entry["revision"], len(entry["done"])) for entry in entries] == [(number, 1) for number in range(1, 7)]
    assert entries[-1]["back"][0]["node"] == "b"
    assert host.result("undo", revision=5)["revision"] == 7
    assert host.result("value", node="a", parameter="gain") == {"value": 0.5}


def test_what_the_host_refuses_is_refused_by_itself(make_host: Make) -> None:
    host = make_host().up()
    answers = at_once(host, add("a"), add("a"), add("b"), put("nobody", 1.0), connect("a", "b"), connect("b", "a"), put("b", 2.0))
    assert codes(answers) == ["", "duplicate_node", "", "unknown_node", "", "cycle", ""]
    assert [answer["revision"] for answer in answers if isinstance(answer, dict)] == [1, 2, 3, 4]
    assert sent(host) == [["a"], ["b", "b", "b"]]
    assert host.result("patch")["connections"] == [["a", 0, "b", 0]]


def test_what_the_audio_process_refuses_costs_the_others_nothing(make_host: Make) -> None:
    host = make_host().up()
    answers = at_once(host, add("a"), add("t", "tap", 0), add("fails"), put("fails", 1.0), add("fails"), connect("a", "t"))
    assert codes(answers) == ["", "", "core_failed", "unknown_node", "core_failed", ""]
    assert sent(host)[1:] == [["t", "fails", "fails", "t"], ["t"], ["fails"], ["fails"], ["t"]]
    patch = host.result("patch")
    assert (list(patch["nodes"]), patch["revision"]) == (["a", "t"], 3)
    ring = answers[1]["rings"]["t"]  # the ring that was made for the attempt is gone
    assert patch["nodes"]["t"]["ring"] == ring


def test_nothing_of_them_holds_when_the_audio_process_dies(make_host: Make) -> None:
    host = make_host().up()
    answers = at_once(host, add("a"), add("t", "tap", 0), add("crashes"), put("a", 0.5))
    assert codes(answers) == ["", "engine_failed", "engine_failed", "engine_failed"]
    host.event("engine", "audio_ended")
    patch = host.result("patch")
    assert (list(patch["nodes"]), patch["revision"]) == (["a"], 1)
    assert host.result("transaction", edits=put("a", 0.75))["revision"] == 2


def test_what_must_be_alone_is(make_host: Make) -> None:
    host = make_host().up()
    assert codes(at_once(host, add("a"), add("b"), if_revision=0)) == ["", "revision_changed"]
    answers = at_once(host, put("a", 0.5), put("a", 0.6), put("a", 0.7))
    assert [answer["revision"] for answer in answers] == [2, 3, 4]
    assert sent(host) == [["a"], ["a"], ["a"], ["a"]]  # values do not wait for one another


def test_those_that_one_transaction_would_do_in_another_order_are_done_apart(make_host: Make) -> None:
    host = make_host().up()
    wider = [{"op": "resize", "node": "a", "inputs": 2, "outputs": 2}]
    call = [{"op": "call", "node": "a", "call": "reset"}]
    host.result("transaction", edits=add("a"))
    assert codes(at_once(host, add("b"), call, wider)) == [""] * 3
    assert codes(at_once(host, add("c"), call, put("a", 0.5))) == [""] * 3
    assert codes(at_once(host, add("d"), wider, call + put("d", 0.5), add("e"))) == [""] * 4
    assert [len(message) for message in sent(host)] == [1] * 9 + [2, 1]
    assert codes(at_once(host, add("f"), wider, put("b", 0.5), add("g"))) == [""] * 4
    assert [len(message) for message in sent(host)][-2:] == [1, 3]


def test_a_process_that_is_stopped_meanwhile_is_not_waited_for_by_the_loop(make_host: Make) -> None:
    host = make_host().up()
    child = host.engine.audio.child.pid
    stopped: list[int] = []

    def stop() -> None:
        os.kill(child, signal.SIGSTOP)
        stopped.append(child)

    big = [edit for number in range(4000) for edit in add(f"n{number}")]  # more than a pipe takes

    def go_on() -> None:
        host.loop.later(0.05, lambda: os.kill(child, signal.SIGCONT))

    host.loop.post(stop)
    host.until(lambda: stopped, "the stop")
    assert codes(at_once(host, big, add("b"), add("c"), then=go_on)) == ["", "", ""]
    assert len(host.result("patch")["nodes"]) == 4002


@pytest.mark.parametrize("count", [200])
def test_no_more_than_so_many_are_done_as_one(make_host: Make, count: int) -> None:
    host = make_host().up()
    answers = at_once(host, *(add(f"n{number}") for number in range(count)))
    assert codes(answers) == [""] * count
    assert [len(message) for message in sent(host)] == [1, 64, 64, 64, 7]
