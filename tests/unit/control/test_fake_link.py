"""The engine in memory that ships for tests of scripts, and with it what the clients do against a whole engine."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import pickle
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control import exchange
from asmu_control.aio import AsyncClient
from asmu_control.asking import Asking
from asmu_control.client import Client, Event
from asmu_control.deviceverbs import DeviceVerbs
from asmu_control.exceptions import AccessError, DeviceError, EngineError, EngineTimeout, PatchError, ProtocolError, RingError
from asmu_control.patchverbs import PatchVerbs
from asmu_control.testing import FakeLink

ONE = [
    {"op": "add", "node": "one", "kind": "constant", "outputs": 1, "parameters": {"value": 0.5}},
    {"op": "connect", "source": "one", "output": 0, "target": "out", "input": 0},
]
SET = [{"op": "set", "node": "one", "parameters": {"value": 0.25}}]
REMOVE = [{"op": "remove", "node": "one"}]


@pytest.fixture
def link() -> FakeLink:
    return FakeLink("fake")


@pytest.fixture
def client(link: FakeLink) -> Iterator[Client]:
    with Client(link, "script") as client:
        yield client


def test_a_client_knows_who_it_is(link: FakeLink, client: Client) -> None:
    assert (client.engine, client.id, client.role, client.remote, client.alive()) == ("fake", "c1", "admin", False, True)
    assert (client.facts["samplerate"], client.facts["blocksize"]) == (48000, 256)
    (present,) = client.clients()
    assert (present["id"], present["name"], present["away"]) == ("c1", "script", False)
    assert FakeLink().name != FakeLink().name


def test_edits_are_done_by_a_real_engine(link: FakeLink, client: Client) -> None:
    assert client.edit(ONE)["revision"] == 1
    np.testing.assert_array_equal(link.run(2), np.full((512, 1), 0.5, np.float32))
    with pytest.raises(PatchError) as caught:
        client.edit([{"op": "set", "node": "two", "parameters": {"value": 1.0}}])
    assert caught.value.code == "unknown_node"
    assert client.edit(SET) == {**client.edit(SET), "revision": 2}
    assert link.run()[0, 0] == 0.25
    assert link.asked("transaction")[0] == {"edits": ONE}
    assert client.status()["frame_position"] == 768
    assert {kind["name"] for kind in client.catalogue()} >= {"constant", "gain", "sine"}
    client.ping()


def test_input_comes_from_the_test(link: FakeLink, client: Client) -> None:
    client.edit([{"op": "connect", "source": "in", "output": 1, "target": "out", "input": 0}])
    indata = np.arange(512, dtype=np.float32).reshape(256, 2)
    np.testing.assert_array_equal(link.run(1, indata)[:, 0], indata[:, 1])


@pytest.fixture
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is sent again soon, and then waited for as long as it takes."""
    monkeypatch.setattr(exchange, "_AGAIN_SECONDS", 0.05)


@pytest.mark.usefixtures("soon_again")
def test_a_lost_answer_costs_nothing(link: FakeLink, client: Client) -> None:
    link.lose_answer()
    assert client.edit(ONE, timeout=60)["revision"] == 1
    assert [request["type"] for request in link.sent] == ["hello", "transaction", "transaction"]
    assert link.sent[1] == link.sent[2]
    assert client.patch()["revision"] == 1


def test_two_lost_answers_are_a_timeout(link: FakeLink, client: Client) -> None:
    link.lose_answer(2)
    with pytest.raises(EngineTimeout):
        client.edit(ONE, timeout=0.1)
    assert client.patch()["revision"] == 1


def test_refusals_on_demand(link: FakeLink, client: Client) -> None:
    link.refuse("transaction", AccessError("gain1 is leased by c7", code="leased", where="gain1"), times=2)
    for _ in range(2):
        with pytest.raises(AccessError, match="leased by c7"):
            client.edit(ONE)
    assert client.edit(ONE)["revision"] == 1
    with pytest.raises(ValueError, match="no request 'transacton'"):
        link.refuse("transacton", PatchError("x", code="bad_value"))


def test_events_on_demand(link: FakeLink, client: Client) -> None:
    client.edit(ONE)
    events = client.events("xrun", "patch", timeout=0)
    snapshot = next(events)
    assert snapshot.topic == "snapshot"
    assert snapshot["patch"]["revision"] == snapshot["numbers"]["patch"] == 1
    assert snapshot["scheduled"] == []
    link.publish("xrun", event="xrun", lost=3)
    link.publish("device", event="started")
    client.edit(SET)
    first, second = events
    assert first == Event("xrun", 1, {"event": "xrun", "lost": 3})
    assert (second.topic, second.number, second.what, second["revision"]) == ("patch", 2, "edited", 2)
    assert (second["author"], second["client"], second["edits"]) == ("script", "c1", 1)
    with pytest.raises(ValueError, match="no topic 'weather'"):
        link.publish("weather")


def test_of_more_events_than_wait_the_oldest_are_lost(link: FakeLink, client: Client) -> None:
    events = client.events("xrun", timeout=0, queue=3, snapshot=False)
    link.publish("xrun")
    assert next(events).number == 1
    for _ in range(10):
        link.publish("xrun")
    assert list(events) == [
        Event("lost", 0, {"topic": "xrun", "from": 2, "count": 7}),
        *(Event("xrun", number, {}) for number in (9, 10, 11)),
    ]


def test_a_loop_in_another_thread_sees_what_happens(link: FakeLink, client: Client) -> None:
    seen: list[Event] = []
    events = client.events("xrun", snapshot=False)
    thread = threading.Thread(target=lambda: seen.extend(events))
    thread.start()
    for _ in range(100):
        link.publish("xrun")
        client.ping()
    link.publish("engine", event="ending")
    thread.join(10)
    assert [event.number for event in seen] == list(range(1, 101))


def test_an_engine_that_is_killed(link: FakeLink, client: Client) -> None:
    events = client.events("patch", snapshot=False)
    link.gone()
    with pytest.raises(EngineError) as caught:
        client.edit(ONE)
    assert caught.value.code == "engine_gone"
    assert not client.alive()
    with pytest.raises(EngineError):
        events.next()


def test_a_client_that_was_away_is_the_same_again(link: FakeLink, client: Client) -> None:
    client.edit(ONE)
    events = client.events("client", timeout=0, snapshot=False)
    link.lose_connection()
    assert list(client.patch()["nodes"]) == ["one"]
    assert client.id == "c1"
    assert [event.what for event in events] == ["away", "back"]
    assert len(link.asked("hello")) == 1
    assert client.lapses == 0


def test_but_without_its_leases(link: FakeLink, client: Client) -> None:
    with client.lease(outputs=[1]) as lease:
        assert lease.held()
        link.lose_connection()
        assert not lease.held()


def test_and_without_its_nodes_when_it_was_away_for_too_long(
    link: FakeLink, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.edit(ONE)
    client.edit([{"op": "add", "node": "kept", "kind": "constant", "outputs": 1}], keep=True)
    events = client.events("client", timeout=0, snapshot=False)
    link.lose_connection(left=True)
    assert list(client.patch()["nodes"]) == ["kept"]
    assert (client.id, client.lapses) == ("c1", 1)
    assert link.asked("hello")[1]["resume"] == "token of c1"
    assert [event.what for event in events] == ["away", "left", "back"]
    assert "engine 'fake' had let client c1 go" in caplog.text


def test_or_as_another_client_when_nobody_knows_it_any_more(link: FakeLink, client: Client) -> None:
    link.lose_connection(left=True)
    link.refuse("hello", AccessError("who?", code="token_unknown"))
    client.ping()
    client.patch()
    assert (client.id, client.lapses) == ("c2", 1)


def test_goodbye_takes_out_what_was_not_to_be_kept(link: FakeLink) -> None:
    client = Client(link)
    client.edit(ONE)
    client.edit([{"op": "add", "node": "kept", "kind": "constant", "outputs": 1}], keep=True)
    events = link.subscribe(["patch"])
    client.close()
    client.close()
    assert len(link.asked("goodbye")) == 1
    assert list(link._ask("patch")["nodes"]) == ["kept"]
    assert events.closed
    with pytest.raises(EngineError) as caught:
        client.ping()
    assert caught.value.code == "engine_state"


def test_leases(link: FakeLink, client: Client) -> None:
    client.edit(ONE)
    with client.lease(nodes=["one"], outputs=[1]) as lease:
        assert repr(lease) == "<Lease of one, output 1>"
        assert client.clients()[0]["leases"] == {"nodes": ["one"], "outputs": [1]}
    assert client.clients()[0]["leases"] == {"nodes": [], "outputs": []}
    lease.release()
    assert link.asked("release") == [{"nodes": ["one"], "outputs": [1]}]
    client.lease(outputs=[2])
    client.release()
    assert client.clients()[0]["leases"] == {"nodes": [], "outputs": []}
    with pytest.raises(AccessError):
        client.lease(nodes=["none"])


def leave_with(lease, error: Exception) -> None:
    with lease:
        raise error


def test_a_lease_that_cannot_be_released(link: FakeLink, client: Client) -> None:
    for error, caught_class in ((None, EngineError), (KeyError("mine"), KeyError)):
        lease = client.lease(outputs=[1])
        link.refuse("release", EngineError("ending", code="engine_gone"))
        with pytest.raises(caught_class) as caught:
            leave_with(lease, error) if error else lease.__exit__(None, None, None)
    assert caught.value.__notes__ == ["releasing the lease then failed as well: ending"]


def test_services(link: FakeLink, client: Client) -> None:
    events = client.events("client", timeout=0, snapshot=False)
    client.announce("relay", "tcp://*:5557", {"format": "float32"})
    (service,) = client.status()["services"]
    assert (service["service"], service["endpoint"], service["client"]) == ("relay", "tcp://*:5557", "c1")
    client.announce("relay", "")
    assert client.status()["services"] == []
    assert [(event.what, event["endpoint"]) for event in events] == [("announced", "tcp://*:5557"), ("announced", "")]


def test_roles() -> None:
    with Client(FakeLink(role="operator")) as client:
        assert client.role == "operator"
        client.edit(ONE)
        with pytest.raises(AccessError, match="'start' takes the role admin, and this client is operator"):
            client.start()
    with Client(FakeLink(), role="observer") as client:
        assert client.role == "observer"
        with pytest.raises(AccessError) as caught:
            client.edit(ONE)
        assert caught.value.code == "not_allowed"
    with Client(FakeLink(role="observer"), role="admin") as client:
        assert client.role == "observer"


def test_the_device_is_the_test(link: FakeLink, client: Client) -> None:
    client.edit(ONE)
    events = client.events("engine", timeout=0, snapshot=False)
    assert client.start()["position"] == 0
    assert client.status()["state"] == "running"
    with pytest.raises(EngineError):
        client.start()
    assert client.step(3)["position"] == 768
    assert client.reset() == 768
    assert client.stop()["position"] == 768
    client.stop()
    assert [(event.what, event["state"]) for event in events] == [("state", "running"), ("state", "stopped")]


def test_what_is_no_request_is_refused(link: FakeLink, client: Client) -> None:
    for message, code in (({"type": "dance"}, "unknown_request"), ({"type": "step", "blocks": 0}, "bad_message")):
        with pytest.raises(ProtocolError) as caught:
            client.request(message)
        assert caught.value.code == code


def test_an_interface_on_it(link: FakeLink) -> None:
    interface = asmu.Interface(engine=Client(link))
    constant = asmu.generator.Constant(interface, 0.25)
    constant.output().connect(interface.ioutput(ch=1))
    tap = asmu.analyzer.Tap(interface)
    constant.output().connect(tap.input())
    with interface.start(drop=0) as stream:
        assert stream.active
        reader = tap.reader()
        np.testing.assert_array_equal(link.run(4), np.full((1024, 1), 0.25, np.float32))
        block = reader.read(1024, copy=True)
        assert block is not None
        np.testing.assert_array_equal(block.data, np.full((1024, 1), 0.25, np.float32))
        reader.close()
        link.refuse("transaction", PatchError("no", code="bad_value"))
        with pytest.raises(PatchError):
            constant.set_value(1.0)
    assert link.asked("start")
    assert link.alive()  # the client was given, and is still its owner's
    link.close()


def test_an_interface_whose_engine_cannot_start(link: FakeLink) -> None:
    with Client(link) as client:
        interface = asmu.Interface(engine=client)
        asmu.generator.Sine(interface, 100)
        link.refuse("start", DeviceError("unplugged", code="device_unknown"))
        with pytest.raises(DeviceError, match="unplugged"):
            interface.start()


def test_an_interface_that_was_taken_out(link: FakeLink) -> None:
    with Client(link) as client:
        interface = asmu.Interface(engine=client)
        sine = asmu.generator.Sine(interface, 100)
        interface.open()
        link.lose_connection(left=True)
        with pytest.raises(EngineError, match="close the interface and open it again") as caught:
            sine.set_frequency(200)
        assert caught.value.code == "engine_gone"
        interface.close()
        interface.open()
        sine.set_frequency(200)
        assert list(client.patch()["nodes"]) == [sine.name]
        interface.close()


# -- awaited --------------------------------------------------------------------------------------------------------------


def verbs() -> list[str]:
    return [
        name
        for verbs in (Asking, PatchVerbs, DeviceVerbs)
        for name, value in vars(verbs).items()
        if type(value).__name__ == "shared"
    ]


def test_both_clients_have_the_same_methods() -> None:
    assert len(verbs()) > 20
    for name in verbs():
        blocking, awaited = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(blocking) == inspect.signature(awaited)
        assert blocking.__doc__ == awaited.__doc__
        assert blocking.__doc__
        assert inspect.iscoroutinefunction(awaited)
        assert not inspect.iscoroutinefunction(blocking)
        assert "Steps" not in str(inspect.signature(blocking))
        assert awaited.__qualname__ == f"AsyncClient.{name}"
    public = {name for name in dir(Client) if not name.startswith("_")}
    assert public - {"connect", "event"} == {name for name in dir(AsyncClient) if not name.startswith("_")} - {"open"}


@pytest.mark.usefixtures("soon_again")
def test_awaited(link: FakeLink) -> None:
    async def main() -> None:
        async with AsyncClient(link, "twin") as client:
            assert (client.id, client.engine) == ("c1", "fake")
            answers = await asyncio.gather(client.edit(ONE), client.patch(), client.edit(SET))
            assert [answer["revision"] for answer in answers] == [1, 1, 2]
            with pytest.raises(PatchError):
                await client.edit(ONE)
            link.lose_answer()
            assert (await client.edit(SET, timeout=60))["revision"] == 3
            async with client.lease(nodes=["one"]) as lease:
                assert await lease.held()
            assert not await lease.held()
            lease = await client.lease(outputs=[1])
            assert await lease.held()
            await lease.release()
            await lease.release()
        assert client.closed
        await client.close()
        with pytest.raises(EngineError):
            await client.ping()

    asyncio.run(main())
    assert repr(AsyncClient(FakeLink("other"))) == "<AsyncClient of engine 'other': connected>"
    assert [request["type"] for request in link.sent][-1] == "goodbye"


def test_awaited_events(link: FakeLink) -> None:
    async def main() -> None:
        async with AsyncClient(link) as client:
            seen: list[Event] = []

            async def watch() -> None:
                async for event in client.events("xrun"):
                    seen.append(event)

            task = asyncio.ensure_future(watch())
            while not seen:
                await asyncio.sleep(0)
            for _ in range(10):
                link.publish("xrun", event="xrun")
                await client.ping()
            link.publish("engine", event="ending")
            await asyncio.wait_for(task, 10)
            assert [(event.topic, event.number) for event in seen] == [("snapshot", 0), *(("xrun", n) for n in range(1, 11))]
            events = client.events("patch", snapshot=False, timeout=0.01)
            assert [event async for event in events] == []
            async with events:
                pass
            assert await events.next() is None

    asyncio.run(main())


def test_a_task_that_is_cancelled_leaves_the_client_usable(link: FakeLink) -> None:
    async def main() -> None:
        async with AsyncClient(link) as client:
            link.lose_answer(2)
            task = asyncio.ensure_future(client.edit(ONE))
            while not link.asked("transaction"):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            link._losses = 0
            assert (await client.patch())["revision"] == 1

    asyncio.run(main())


def test_awaited_errors_close_what_was_opened(link: FakeLink) -> None:
    async def refused() -> None:
        link.refuse("hello", ProtocolError("version", code="protocol_version"))
        with pytest.raises(ProtocolError):
            await AsyncClient(link).open()
        assert not link.alive()
        other = FakeLink()
        async with AsyncClient(other) as client:
            other.refuse("snapshot", EngineError("ending", code="engine_gone"))
            events = client.events()
            with pytest.raises(EngineError):
                await events.next()
            assert await events.next(0) is None if events._sequence.begun else True
            for error in (None, KeyError("mine")):
                lease = await client.lease(outputs=[1])
                other.refuse("release", EngineError("ending", code="engine_gone"))
                with pytest.raises(EngineError if error is None else KeyError):
                    await leave_awaited(lease, error)

    asyncio.run(refused())


async def leave_awaited(lease, error: Exception | None) -> None:
    async with lease:
        if error is not None:
            raise error


def test_an_engine_that_is_stepped_by_hand_has_events_too() -> None:
    interface = asmu.Interface(device="virtual", samplerate=48000, blocksize=256)
    interface.callback(None, None, 256)
    events = interface.client.events("patch", timeout=0)
    assert next(events)["status"]["frame_position"] == 256
    sine = asmu.generator.Sine(interface, 100)
    edited = next(events)
    assert (edited.what, edited["revision"]) == ("edited", interface.client.patch()["revision"])
    assert list(interface.client.snapshot()["patch"]["nodes"]) == [sine.name]
    interface.close()
    assert list(events) == []


@pytest.mark.parametrize("module", ["testing", "zmqlink", "timeouts"])
def test_examples_in_docstrings(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"asmu_control.{module}"))
    assert outcome.attempted
    assert not outcome.failed


# -- what a client may leave unsaid or say wrong ------------------------------------------------------------------------


def test_what_became_of_a_scheduled_transaction(link: FakeLink, client: Client) -> None:
    client.edit(ONE)
    number = client.edit(SET, at=500)["scheduled"]
    assert client.outcome(number) is None
    link.run(2)
    assert client.outcome(number) == {"state": "edited", "at": 500, "late": 0, "revision": 2}
    number = client.edit(SET, at=5000)["scheduled"]
    client.cancel(number)
    outcome = client.outcome(number)
    assert outcome is not None
    assert outcome["state"] == "cancelled"
    with pytest.raises(PatchError, match="99") as caught:
        client.outcome(99)
    assert caught.value.code == "scheduled_unknown"


def test_undo_may_be_kept(link: FakeLink, client: Client) -> None:
    client.edit(ONE)
    removed = client.edit(REMOVE)["revision"]
    back = client.undo(removed, key="one", keep=True)
    assert list(client.patch()["nodes"]) == ["one"]
    client.undo(back["revision"])
    first, second = (request for request in link.sent if request["type"] == "undo")
    assert (first["key"], first["keep"]) == ("one", True)
    assert "keep" not in second


def test_a_client_cannot_go_to_another_process(client: Client) -> None:
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(client)


def test_one_edit_is_given_in_a_list(link: FakeLink, client: Client) -> None:
    with pytest.raises(ValueError, match=r"\[edit\]"):
        client.edit(SET[0])
    assert not link.asked("transaction")


def test_numbers_of_numpy_are_numbers(link: FakeLink, client: Client) -> None:
    edit = {"op": "set", "node": "one", "parameters": {"value": np.float32(0.25)}}
    assert client.edit(ONE, at=np.int64(0))["revision"] == 1
    client.edit([edit])
    assert client.value("one", "value") == 0.25
    with pytest.raises(ProtocolError, match="tolist"):
        client.edit([{**edit, "parameters": {"value": np.zeros(2)}}])


@pytest.mark.parametrize(("nodes", "outputs"), [("one", ()), ((), 1), ((), ())])
def test_what_cannot_be_leased(link: FakeLink, client: Client, nodes: object, outputs: object) -> None:
    with pytest.raises(ValueError, match=r"nodes=\['gain1'\]"):
        client.lease(nodes=nodes, outputs=outputs)
    with pytest.raises(ValueError, match=r"nodes=\['gain1'\]"):
        AsyncClient(FakeLink()).lease(nodes=nodes, outputs=outputs)
    assert not link.asked("lease")


TAP = [*ONE, {"op": "add", "node": "tap", "kind": "tap", "inputs": 1}, {**ONE[1], "target": "tap"}]


def test_a_tap_is_read_without_blocking_the_loop(link: FakeLink) -> None:
    async def main() -> None:
        async with AsyncClient(link) as client:
            await client.edit(TAP)
            tap = client.tap("tap")
            assert repr(tap) == "<AsyncTap tap of engine 'fake'>"
            with pytest.raises(RingError, match="taps: tap"):
                await client.tap("tub").reader()
            link.run(2)
            blocks = tap.blocks(100, start="oldest", timeout=0.01)
            for position in range(0, 500, 100):
                block = await anext(blocks)
                assert block.position == position
                assert np.array_equal(block.data, np.full((100, 1), 0.5, np.float32))
            with pytest.raises(RingError, match=r"100 frames of tap 'tap' within 0\.01 s") as caught:
                await anext(blocks)
            assert caught.value.code == "ring_timeout"
            waiting = asyncio.create_task(anext(tap.blocks(100)))
            await client.status()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

            blocks = tap.blocks(200, start="oldest")
            assert (await anext(blocks)).position == 0
            await client.edit([{"op": "remove", "node": "tap"}])
            assert [(block.position, len(block.data)) async for block in blocks] == [(200, 200), (400, 112)]

    asyncio.run(main())
