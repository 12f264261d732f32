"""Each request crosses the wire whole; each thing that may be wrong with one is named."""

import math
import struct

import pytest

from asmu_engine.protocol import edits, messages
from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import PatchError, ProtocolError
from asmu_engine.protocol.messages import Request, event, parse_request, refusal, reply, request_id
from asmu_engine.protocol.version import MAX_CHANNELS, MAX_EDITS

TABLE = Array("f4", (1,), struct.pack("<f", 1))
EDITS = [
    edits.Add(node="s", kind="sine", outputs=2, parameters={"frequency": [250.0, 500.0], "table": TABLE}),
    edits.Remove(node="s"),
    edits.Resize(node="s", inputs=0, outputs=3),
    edits.Connect(source="s", output=0, target="out", input=1),
    edits.Disconnect(target="out", input=1023),
    edits.Set(node="s", parameters={"frequency": 1.0, "mode": "sum", "flag": True}),
    edits.Call(node="s", call="restart"),
]
REQUESTS = [
    messages.Hello(id=0, name="notebook", pid=4),
    messages.Ping(id=1),
    messages.Transaction(id=2, edits=EDITS),
    messages.Start(id=3, inputs=[1, 2], outputs=None, end_block=5, drop=3, reset=False),
    messages.Stop(id=4),
    messages.Step(id=5, blocks=10),
    messages.Status(id=6),
    messages.GetPatch(id=7),
    messages.GetCatalogue(id=8),
    messages.Profile(id=9, enabled=True),
    messages.Fault(id=10, fault="lose", frames=100),
    messages.Record(id=11, node="tap1", path="/tmp/a.wav", tags={"title": "Ω"}),
    messages.Acquire(
        id=29,
        node="tap1",
        folder="friday",
        channels=[ChannelFacts(name="m1", unit="Pa")],
        settings=AcquisitionSettings(aligned=True),
    ),
    messages.Play(id=12, node="feed1", path="/tmp/a.wav", loop=True, start=7),
    messages.JobStatus(id=13, job=1),
    messages.JobStop(id=14, job=1),
    messages.Goodbye(id=18),
    messages.Snapshot(id=19),
    messages.Lease(id=20, nodes=["gain1"], outputs=[2]),
    messages.Release(id=21),
    messages.Announce(id=22, service="relay", endpoint="tcp://*:5560", facts={"format": "float32"}),
    messages.Keys(id=23, action="revoke", name="anna"),
    messages.Scheduled(id=24),
    messages.Cancel(id=25, scheduled=1),
    messages.GetValue(id=26, node="vector1", parameter="samples"),
    messages.History(id=27, since=3, limit=10, edits=True),
    messages.Undo(id=28, revision=4, key="a-key"),
    messages.Seek(id=15, job=1, position=48000),
    messages.Reset(id=16, drop=2),
    messages.Shutdown(id=2**63 - 1),
]


def wire_form(request: Request) -> dict[str, object]:
    """What a client sends; `model_dump` would take the arrays in it apart."""
    message = dict(request)
    if isinstance(request, messages.Acquire):
        return request.model_dump()
    if isinstance(request, messages.Transaction):
        message["edits"] = [dict(edit) for edit in request.edits]
    return message


def wrong(message: dict[str, object]) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        parse_request(message)
    return caught.value


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.type)
def test_a_request_crosses_the_wire_whole(request_):
    assert parse_request(unpack(pack(wire_form(request_)))) == request_


def test_every_request_and_every_edit_is_among_the_samples():
    assert {type(r) for r in REQUESTS} == set(Request.__subclasses__())
    assert {type(e) for e in EDITS} == set(edits._Edit.__subclasses__())


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.type)
def test_an_unknown_field_is_refused_by_name(request_):
    error = wrong({**request_.model_dump(), "colour": "red"})
    assert (error.code, error.where) == ("bad_message", f"{request_.type}.colour")


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.type)
@pytest.mark.parametrize("identifier", [-1, 2**63, "1", 1.0, None, True])
def test_a_request_needs_a_usable_id(request_, identifier):
    error = wrong({**request_.model_dump(), "id": identifier})
    assert (error.code, error.where) == ("bad_message", f"{request_.type}.id")


@pytest.mark.parametrize("version", [0, 2, None, "1", [1]])
def test_another_version_is_refused_with_both_numbers(version):
    error = wrong({"v": version, "id": 1, "type": "ping"})
    assert (error.code, error.where) == ("protocol_version", "v")
    assert f"version {version!r}; this engine speaks version 1" in str(error)


def test_a_message_without_version_is_of_another_version():
    assert wrong({"id": 1, "type": "ping"}).code == "protocol_version"


@pytest.mark.parametrize("kind", ["dance", 7, None, ["ping"], {"ping": 1}])
def test_an_unknown_request_is_refused(kind):
    assert wrong({"v": 1, "id": 1, "type": kind}).code == "unknown_request"


def test_a_request_without_type_is_refused():
    assert wrong({"v": 1, "id": 1}).code == "unknown_request"


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"type": "hello", "name": "a b"}, "hello.name"),
        ({"type": "hello", "name": "a\n"}, "hello.name"),
        ({"type": "hello"}, "hello.name"),
        ({"type": "start", "inputs": [0]}, "start.inputs.0"),
        ({"type": "start", "inputs": [MAX_CHANNELS + 1]}, "start.inputs.0"),
        ({"type": "start", "inputs": [1] * (MAX_CHANNELS + 1)}, "start.inputs"),
        ({"type": "start", "end_block": 0}, "start.end_block"),
        ({"type": "start", "drop": -1}, "start.drop"),
        ({"type": "start", "reset": 1}, "start.reset"),
        ({"type": "step", "blocks": 0}, "step.blocks"),
        ({"type": "step", "blocks": 1.5}, "step.blocks"),
        ({"type": "profile", "enabled": "yes"}, "profile.enabled"),
        ({"type": "fault", "fault": "explode"}, "fault.fault"),
        ({"type": "fault", "fault": "lose", "frames": 0}, "fault.frames"),
        ({"type": "record", "node": "t", "path": ""}, "record.path"),
        ({"type": "record", "node": "t", "path": "x" * 4097}, "record.path"),
        ({"type": "record", "node": "t", "path": "x", "tags": {"a": 1}}, "record.tags.a"),
        ({"type": "play", "node": "f", "path": "x", "start": -1}, "play.start"),
        ({"type": "job", "job": 0}, "job.job"),
        ({"type": "transaction", "edits": []}, "transaction.edits"),
        ({"type": "transaction", "edits": {}}, "transaction.edits"),
        ({"type": "transaction", "edits": [{"op": "explode"}]}, "transaction.edits.0"),
        ({"type": "transaction", "edits": [{}]}, "transaction.edits.0"),
        ({"type": "transaction", "edits": [{"op": "remove", "node": "x/y"}]}, "transaction.edits.0.remove.node"),
        ({"type": "transaction", "edits": [{"op": "set", "node": "x"}]}, "transaction.edits.0.set.parameters"),
        ({"type": "transaction", "edits": [{"op": "set", "node": "x", "parameters": [1]}]}, "transaction.edits.0.set.parameters"),
        (
            {"type": "transaction", "edits": [{"op": "add", "node": "x", "kind": "sum", "inputs": MAX_CHANNELS + 1}]},
            "transaction.edits.0.add.inputs",
        ),
        (
            {"type": "transaction", "edits": [{"op": "connect", "source": "x", "output": -1, "target": "out", "input": 0}]},
            "transaction.edits.0.connect.output",
        ),
        (
            {"type": "transaction", "edits": [{"op": "connect", "source": "x", "output": 0.0, "target": "out", "input": 0}]},
            "transaction.edits.0.connect.output",
        ),
        ({"type": "transaction", "edits": [{"op": "remove", "node": "x", "ring": "y"}]}, "transaction.edits.0.remove.ring"),
        (
            {"type": "transaction", "edits": [{"op": "remove", "node": "x"}, {"op": "call", "node": "x", "call": ""}]},
            "transaction.edits.1.call.call",
        ),
    ],
)
def test_a_wrong_field_is_named_where_it_stands(message, where):
    error = wrong({"v": 1, "id": 1, **message})
    assert (error.code, error.where) == ("bad_message", where)
    assert str(error).startswith(where + ": ")


def test_the_number_of_edits_has_a_limit():
    edit = {"op": "remove", "node": "x"}
    assert len(parse_request({"v": 1, "id": 1, "type": "transaction", "edits": [edit] * MAX_EDITS}).edits) == MAX_EDITS
    assert wrong({"v": 1, "id": 1, "type": "transaction", "edits": [edit] * (MAX_EDITS + 1)}).where == "transaction.edits"


def test_the_first_of_many_wrong_edits_is_named():
    right, wrong = {"op": "remove", "node": "x"}, {"op": "remove"}
    with pytest.raises(ProtocolError) as caught:
        parse_request({"v": 1, "id": 1, "type": "transaction", "edits": [right, wrong, {"op": "explode"}] * 20_000})
    assert (caught.value.code, caught.value.where) == ("bad_message", "transaction.edits.1.remove.node")


def test_requests_and_edits_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        REQUESTS[0].id = 5
    with pytest.raises(ValueError, match="frozen"):
        EDITS[0].node = "x"


@pytest.mark.parametrize(
    ("message", "identifier"),
    [({"id": 5}, 5), ({"id": 0}, 0), ({"id": -1}, 0), ({"id": 2**63}, 0), ({"id": True}, 0), ({"id": "5"}, 0), ({}, 0)],
)
def test_an_answer_finds_its_request(message, identifier):
    assert request_id(message) == identifier


def test_answers_and_events_have_their_documented_form():
    assert reply(3, {"a": 1}) == {"v": 1, "id": 3, "type": "reply", "result": {"a": 1}}
    assert refusal(4, PatchError("no", code="cycle", where="a")) == {
        "v": 1,
        "id": 4,
        "type": "error",
        "code": "cycle",
        "family": "patch",
        "message": "no",
        "where": "a",
        "retry": False,
    }
    assert event(9, "xrun", {"lost": 5}) == {"v": 1, "number": 9, "topic": "xrun", "lost": 5}


def test_nan_in_a_parameter_is_left_to_the_catalogue():
    edit = {"op": "set", "node": "x", "parameters": {"gain": math.nan}}
    parsed = parse_request({"v": 1, "id": 1, "type": "transaction", "edits": [edit]})
    assert math.isnan(parsed.edits[0].parameters["gain"])


@pytest.mark.parametrize(
    "message",
    [
        {"type": "announce", "service": "s", "facts": {"key": "v" * 256}},
        {"type": "announce", "service": "s", "facts": {"k" * 256: "v"}},
        {"type": "record", "node": "tap1", "path": "x.wav", "format": "W" * 65},
        {"type": "record", "node": "tap1", "path": "x.wav", "tags": {"title": "t" * 4097}},
        {"type": "record", "node": "tap1", "path": "x.wav", "tags": {str(number): "" for number in range(65)}},
    ],
)
def test_what_the_engine_keeps_of_a_request_has_a_limit(message):
    with pytest.raises(ProtocolError) as caught:
        parse_request(
            {"v": 1, "id": 1, "endpoint": "tcp://*:1"} | message if message["type"] == "announce" else {"v": 1, "id": 1} | message
        )
    assert caught.value.code == "bad_message"
    assert caught.value.where.split(".")[1] in ("facts", "tags", "format")
