"""Transactions for frame positions, through a host and a real audio process, to the exact sample."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from asmu_engine.host import devicecommands as devicecommands_module
from asmu_engine.host import schedule as schedule_module
from asmu_engine.shm.reader import RingReader

Real = Callable[[str], Any]
Make = Callable[..., Any]
STEPPED = "offline:inputs=1,outputs=1,stepped=1"
FREE = "offline:inputs=1,outputs=1"
BLOCK = 256


def add(node: str, kind: str, inputs: int = 0, outputs: int = 0, **parameters: Any) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source: str, target: str, port: int = 0) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": 0, "target": target, "input": port}


def cut(target: str, port: int = 0) -> dict[str, Any]:
    return {"op": "disconnect", "target": target, "input": port}


def change(node: str, **parameters: Any) -> dict[str, Any]:
    return {"op": "set", "node": node, "parameters": parameters}


BEGIN = [add("c", "constant", 0, 1, value=1.0), add("t", "tap", 1, 0), connect("c", "t")]
SWAP = [cut("t"), {"op": "remove", "node": "c"}, add("d", "constant", 0, 1, value=5.0), connect("d", "t")]


class Listening:
    """What goes into the tap of a host, from frame 0 on."""

    def __init__(self, host: Any) -> None:
        self.host = host
        ring = host.result("transaction", edits=BEGIN)["rings"]["t"]
        self.reader = RingReader(ring, "first")
        self.frames = np.zeros(0, np.float32)

    def to(self, position: int) -> np.ndarray:
        def there() -> bool:
            while (chunk := self.reader.read_chunk(100_000)) is not None:
                assert chunk.position == len(self.frames)
                assert not chunk.lost
                self.frames = np.concatenate([self.frames, chunk.data[:, 0]])
            return len(self.frames) >= position

        self.host.until(there, f"frame {position}")
        return self.frames[:position]

    def step(self, blocks: int) -> np.ndarray:
        self.host.result("step", blocks=blocks)
        return self.to(len(self.frames) + blocks * BLOCK)

    def close(self) -> None:
        self.reader.close()


@pytest.fixture
def stepped(real_host: Real) -> Any:
    host = real_host(STEPPED)
    heard = Listening(host)
    host.result("start", drop=0)
    yield host, heard
    heard.close()


def test_edits_take_effect_at_their_frames_within_a_block_and_are_told(stepped: Any) -> None:
    host, heard = stepped
    answers = [
        host.result("transaction", edits=[change("c", value=2.0)], at=10),
        host.result("transaction", edits=SWAP, at=300),
        host.result("transaction", edits=[change("d", value=6.0)], at=301),
    ]
    assert answers == [{"revision": 1, "at": at, "scheduled": number} for number, at in ((1, 10), (2, 300), (3, 301))]
    assert [entry["scheduled"] for entry in host.result("scheduled")["scheduled"]] == [1, 2, 3]
    assert set(host.result("patch")["nodes"]) == {"c", "t"}  # the present
    n = np.arange(2 * BLOCK)
    assert np.array_equal(heard.step(2), np.select([n < 10, n < 300, n < 301], [1, 2, 5], 6))
    for number, at in ((1, 10), (2, 300), (3, 301)):
        event = host.event("patch", "edited", scheduled=number)
        assert (event["at"], event["late"], event["revision"], event["author"]) == (at, 0, number + 1, "test")
    assert host.result("scheduled") == {"scheduled": []}
    assert set(host.result("patch")["nodes"]) == {"d", "t"}
    assert host.result("scheduled", scheduled=2) == {
        "scheduled": [],
        "outcome": {"state": "edited", "revision": 3, "at": 300, "late": 0},
    }


def test_order_of_those_for_one_frame_is_that_of_their_submission(stepped: Any) -> None:
    host, heard = stepped
    for value in (7.0, 8.0, 9.0):
        host.result("transaction", edits=[change("c", value=value)], at=100)
    assert set(heard.step(1)[100:]) == {9.0}


def test_one_that_is_over_takes_effect_now_and_says_how_late_it_is(stepped: Any) -> None:
    host, heard = stepped
    heard.step(2)
    result = host.result("transaction", edits=[change("c", value=3.0)], at=500)
    assert result == {"revision": 2, "at": 512, "late": 12}
    assert host.result("transaction", edits=[change("c", value=3.0)]) == {"revision": 3, "at": 512, "late": 0}
    assert host.result("transaction", edits=[change("c", value=4.0)], at=512)["late"] == 0


def test_what_is_scheduled_earlier_or_done_now_comes_first_whatever_is_armed(stepped: Any) -> None:
    host, heard = stepped
    host.result("transaction", edits=SWAP, at=300)
    host.result("transaction", edits=[change("d", value=6.0)], at=310)
    host.result("transaction", edits=[change("c", value=2.0)], at=20)  # on a node that one of the armed removes
    host.result("transaction", edits=[add("g", "gain", 1, 1, gain=10.0), connect("c", "g"), cut("t"), connect("g", "t")], at=200)
    host.result("transaction", edits=[change("c", value=0.5)])
    host.result("transaction", edits=[add("x", "constant", 0, 1)])
    n = np.arange(2 * BLOCK)
    assert np.array_equal(heard.step(2), np.select([n < 20, n < 200, n < 300, n < 310], [0.5, 2, 20, 5], 6))
    assert set(host.result("patch")["nodes"]) == {"d", "g", "t", "x"}


def test_what_cannot_be_done_any_more_is_dropped_with_all_that_needs_it(stepped: Any) -> None:
    host, heard = stepped
    host.result("transaction", edits=[add("g", "gain", 1, 1)], at=300)
    host.result("transaction", edits=[connect("c", "g")], at=310)
    host.result("transaction", edits=[change("c", value=3.0)], at=320)
    host.result("transaction", edits=[add("g", "gain", 1, 1)])
    dropped = host.event("patch", "dropped", scheduled=1)
    assert (dropped["code"], dropped["where"], dropped["at"], dropped["author"]) == ("duplicate_node", "g", 300, "test")
    assert host.result("scheduled", scheduled=1)["outcome"]["state"] == "dropped"
    host.result("transaction", edits=[{"op": "remove", "node": "g"}])
    assert host.event("patch", "dropped", scheduled=2)["code"] == "unknown_node"
    assert set(heard.step(2)[320:]) == {3.0}


def test_one_that_is_wrong_is_refused_at_once(stepped: Any) -> None:
    host, _ = stepped
    assert host.ask("transaction", edits=[change("nobody", value=1.0)], at=1000)["code"] == "unknown_node"
    host.result("transaction", edits=SWAP, at=1000)
    assert host.ask("transaction", edits=[change("c", value=1.0)], at=1001)["code"] == "unknown_node"
    assert host.ask("transaction", edits=[change("d", value=1.0)], at=999)["code"] == "unknown_node"
    assert [entry["scheduled"] for entry in host.result("scheduled")["scheduled"]] == [2]


def test_cancel_takes_back_what_is_armed_and_what_needs_it(stepped: Any) -> None:
    host, heard = stepped
    host.result("transaction", edits=SWAP, at=100)
    host.result("transaction", edits=[change("d", value=6.0)], at=110)
    host.result("transaction", edits=[add("x", "constant", 0, 1)], at=120)
    assert host.result("cancel", scheduled=1) == {"scheduled": 1, "at": 100, "author": "test", "client": "c1", "edits": 4}
    assert host.event("patch", "cancelled", scheduled=1)["at"] == 100
    assert host.event("patch", "dropped", scheduled=2)["code"] == "unknown_node"
    assert set(heard.step(1)) == {1.0}
    assert set(host.result("patch")["nodes"]) == {"c", "t", "x"}
    for number in (1, 2, 3, 99):
        assert host.ask("cancel", scheduled=number)["code"] == "scheduled_unknown"


def test_another_clients_transaction_is_an_admins_to_cancel(stepped: Any) -> None:
    host, _ = stepped
    host.result("transaction", edits=[change("c", value=2.0)], at=9999)
    other = host.context.socket(5)
    try:
        other.connect(host.endpoint.requests_endpoint)
        host.socket, mine = other, host.socket
        host.result("hello", name="other", role="operator", beat=True)
        answer = host.ask("cancel", scheduled=1)
        assert (answer["code"], answer["family"]) == ("not_allowed", "access")
        assert "test (c1)" in answer["message"]
        host.result("hello", name="other", role="admin", beat=True)
        assert host.result("cancel", scheduled=1)["client"] == "c1"
    finally:
        host.socket = mine
        other.close(0)


def test_a_revision_that_has_changed_refuses_and_one_that_has_not_does_not(stepped: Any) -> None:
    host, _ = stepped
    assert host.result("transaction", edits=[change("c", value=2.0)], if_revision=1)["revision"] == 2
    answer = host.ask("transaction", edits=[change("c", value=3.0)], if_revision=1)
    assert answer["code"] == "revision_changed"
    assert "revision 2, not 1" in answer["message"]
    for number in range(50):  # in flight together
        host.send("transaction", edits=[change("c", value=float(number))])
    host.send("transaction", edits=[change("c", value=0.5)], if_revision=52)
    assert [host.answer()["result"]["revision"] for _ in range(51)] == list(range(3, 54))
    assert host.ask("transaction", edits=[change("c", value=0.5)], if_revision=52, at=5000)["code"] == "revision_changed"
    assert host.result("transaction", edits=[change("c", value=0.5)], if_revision=53, at=5000)["scheduled"] == 1


def test_a_key_makes_a_repetition_harmless(stepped: Any) -> None:
    host, heard = stepped
    first = host.result("transaction", edits=[add("x", "constant", 0, 1)], key="a-1")
    assert host.result("transaction", edits=[add("x", "constant", 0, 1)], key="a-1") == first
    answer = host.ask("transaction", edits=[add("y", "constant", 0, 1)], key="a-1")
    assert (answer["code"], answer["family"]) == ("key_reused", "protocol")
    later = host.result("transaction", edits=[change("c", value=2.0)], at=100, key="a-2")
    assert host.result("transaction", edits=[change("c", value=2.0)], at=100, key="a-2") == later
    assert len(host.result("scheduled")["scheduled"]) == 1
    # Refused ones had no effect and may be tried again; those in the works are answered together.
    assert host.ask("transaction", edits=[change("nobody", value=2.0)], key="a-3")["code"] == "unknown_node"
    assert host.ask("transaction", edits=[change("c", value=2.0)], key="a-3")["type"] == "reply"
    for _ in range(2):
        host.send("transaction", edits=[add("z", "constant", 0, 1)], key="a-4")
    both = [host.answer()["result"] for _ in range(2)]
    assert both[0] == both[1]
    heard.step(1)
    assert host.result("transaction", edits=[change("c", value=2.0)], at=100, key="a-2") == later


def test_a_thousand_edits_one_a_frame(stepped: Any) -> None:
    host, heard = stepped
    order = np.random.default_rng(4).permutation(1000)
    for value in order:
        host.send("transaction", edits=[change("c", value=float(value))], at=int(value) + 1)
    assert all(host.answer()["type"] == "reply" for _ in order)
    sound = heard.step(4)
    assert np.array_equal(sound[1:1001], np.arange(1000))
    assert host.event("patch", "edited", scheduled=1000)["late"] == 0


def test_before_a_start_all_that_comes_is_in_place_also_on_a_device_without_a_clock(real_host: Real) -> None:
    host = real_host(FREE)
    heard = Listening(host)
    steps = np.random.default_rng(1).integers(1, 48_000 // 2, 200)
    value = np.ones(48_000 // 2 + 1, np.float32)
    for number, at in enumerate(steps):
        host.send("transaction", edits=[change("c", value=float(number + 2))], at=int(at))
    for _ in steps:
        host.answer()
    host.result("transaction", edits=SWAP, at=24_000)
    for number, at in sorted(enumerate(steps), key=lambda pair: (pair[1], pair[0])):
        value[at:] = number + 2
    value[24_000:] = 5
    host.result("start", drop=0, end_block=100)
    assert np.array_equal(heard.to(25_600)[:24_001], value)
    host.event("engine", "state", state="stopped")
    heard.close()


def test_many_large_ones_before_a_start_hold_the_device_until_they_are_there(real_host: Real) -> None:
    host = real_host(FREE)
    heard = Listening(host)
    large = [change("c", value=[2.0])] * 8000
    for number in range(12):
        host.result("transaction", edits=[*large, change("c", value=float(number + 10))], at=1 + number * 100)
    host.result("start", drop=0, end_block=10)
    assert np.array_equal(heard.to(2560)[1:1201], np.repeat(np.arange(10.0, 22.0), 100))
    heard.close()


def test_on_a_running_device_edits_now_come_between_those_to_come(real_host: Real) -> None:
    host = real_host("virtual:inputs=1,outputs=1,buffer_s=3600")
    heard = Listening(host)
    marks = [48_000 + 1001 * number for number in range(40)]
    for number, at in enumerate(marks):
        edits = [add(f"m{number}", "constant", 0, 1, value=float(number)), cut("t"), connect(f"m{number}", "t")]
        assert host.result("transaction", edits=edits, at=at)["scheduled"] == number + 1
    host.result("start", drop=0)
    number = 0
    while host.result("scheduled")["scheduled"]:
        number += 1
        host.result("transaction", edits=[add("x", "gain", 1, 1), {"op": "remove", "node": "x"}])
        host.result("transaction", edits=[change("c", value=1.0)])
        heard.to(0)
    assert number > 3
    events = [event for event in _all_edited(host) if event.get("scheduled")]
    assert [event["scheduled"] for event in events] == list(range(1, 41))
    # How late a machine under load makes them is told; on one at rest it is 0 throughout.
    assert [event["at"] - event["late"] for event in events] == marks
    effects = [event["at"] for event in events]
    sound = heard.to(effects[-1] + 1)
    last = {at: number for number, at in enumerate(effects)}
    assert {at: int(sound[at]) for at in last} == last
    assert [float(sound[at - 1]) for at in list(last)[1:]] == [float(number) for number in list(last.values())[:-1]]
    host.result("stop")
    heard.close()


def _all_edited(host: Any) -> list[dict[str, Any]]:
    host.event("patch", "edited", scheduled=40)
    return [event for event in host.seen if (event["topic"], event["event"]) == ("patch", "edited")]


def test_a_stop_leaves_them_waiting_and_a_later_start_has_them(stepped: Any) -> None:
    host, heard = stepped
    host.result("transaction", edits=[change("c", value=2.0)], at=300)
    host.result("transaction", edits=SWAP, at=400)
    heard.step(1)
    host.result("stop")
    assert len(host.result("scheduled")["scheduled"]) == 2
    host.result("transaction", edits=[add("x", "constant", 0, 1)])
    host.result("start", drop=0, reset=False)
    n = np.arange(2 * BLOCK)
    assert np.array_equal(heard.step(1), np.select([n < 300, n < 400], [1, 2], 5))


def test_a_stream_that_ends_by_itself_gives_back_what_it_did_not_come_to(real_host: Real) -> None:
    host = real_host(FREE)
    heard = Listening(host)
    host.result("transaction", edits=[change("c", value=2.0)], at=300)
    host.result("transaction", edits=SWAP, at=600)
    host.result("start", drop=0, end_block=2)
    host.event("engine", "state", state="stopped")
    assert set(heard.to(512)[300:]) == {2.0}
    assert [entry["at"] for entry in host.result("scheduled")["scheduled"]] == [600]
    assert host.event("patch", "edited", scheduled=1)["at"] == 300
    host.result("transaction", edits=[change("c", value=3.0)])
    host.result("start", drop=0, end_block=1, reset=False)
    assert [float(value) for value in heard.to(768)[[512, 599, 600]]] == [3.0, 3.0, 5.0]
    host.event("patch", "edited", scheduled=2)
    heard.close()


@pytest.mark.skipif(os.name != "posix", reason="kills a process by signal")
def test_those_before_a_death_count_as_done_and_the_others_wait_for_the_next_process(
    real_host: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devicecommands_module, "HORIZON_SECONDS", 1e4)  # the process that dies has all of them
    host = real_host("virtual:inputs=1,outputs=1")
    host.result("transaction", edits=BEGIN)
    host.result("transaction", edits=[change("c", value=2.0)], at=2400)
    host.result("transaction", edits=[add("far", "gain", 1, 1)], at=480_000 * 100)
    host.result("transaction", edits=[add("next", "gain", 1, 1)], at=48_000 * 4)
    host.result("start", drop=0)
    host.event("patch", "edited", scheduled=1)
    os.kill(host.engine.audio.child.pid, signal.SIGKILL)
    host.event("engine", "audio_restarted")
    event = host.event("patch", "edited", scheduled=3)
    assert event["at"] >= 48_000 * 4
    assert [entry["scheduled"] for entry in host.result("scheduled")["scheduled"]] == [2]
    host.result("stop")


def test_there_is_an_end_to_what_may_wait(stepped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host, _ = stepped
    monkeypatch.setattr(schedule_module, "MAX_SCHEDULED", 3)
    for _ in range(3):
        host.result("transaction", edits=[change("c", value=2.0)], at=10**9)
    answer = host.ask("transaction", edits=[change("c", value=2.0)], at=10**9)
    assert (answer["code"], answer["retry"]) == ("scheduled_full", True)


def test_what_a_client_that_left_has_scheduled_is_not_done_unless_it_is_kept(stepped: Any) -> None:
    host, _ = stepped
    other = host.context.socket(5)
    other.connect(host.endpoint.requests_endpoint)
    host.socket, mine = other, host.socket
    host.result("hello", name="other", beat=True)
    host.result("transaction", edits=[change("c", value=2.0)], at=10**6)
    host.result("transaction", edits=[change("c", value=2.0)], at=10**6, keep=True)
    host.result("goodbye")
    host.socket = mine
    other.close(0)
    host.event("patch", "cancelled", scheduled=1)
    assert [entry["scheduled"] for entry in host.result("scheduled")["scheduled"]] == [2]
