"""Bad input, sent from outside with plain pyzmq and msgpack: one clear error each, the patch untouched, the audio going on."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from plain_engine import PlainEngine, add, connect, until

pytestmark = pytest.mark.e2e

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def engine(module_folders: object) -> Iterator[PlainEngine]:
    """sine1 → gain1 → tap1 and out, running."""
    with PlainEngine("bad") as engine:
        engine.client.edit(
            add("sine1", "sine", 0, 1, frequency=1000.0),
            add("gain1", "gain", 1, 1),
            add("sum1", "sum", 2, 1),
            add("tap1", "tap", 1),
            connect("sine1", "gain1"),
            connect("gain1", "tap1"),
            connect("gain1", "out"),
            connect("gain1", "sum1"),
        )
        engine.client.result("start")
        yield engine


def request(**fields: Any) -> bytes:
    return msgpack.packb({"v": 1, "id": 77, **fields})


def transaction(*edits: dict[str, Any], **fields: Any) -> bytes:
    return request(type="transaction", edits=list(edits), **fields)


def gain(value: Any) -> bytes:
    return transaction({"op": "set", "node": "gain1", "parameters": {"gain": value}})


def array(*values: float) -> msgpack.ExtType:
    return msgpack.ExtType(1, b"f4\x01" + struct.pack("<Q", len(values)) + struct.pack(f"<{len(values)}f", *values))


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


WHOLE = transaction(add("x", "gain", 1, 1))

BAD: dict[str, tuple[bytes, str]] = {
    "unknown kind": (transaction(add("x", "flanger", 1, 1)), "unknown_kind"),
    "unknown node": (transaction({"op": "remove", "node": "nobody"}), "unknown_node"),
    "unknown parameter": (transaction({"op": "set", "node": "gain1", "parameters": {"volume": 1.0}}), "unknown_parameter"),
    "unknown call": (transaction({"op": "call", "node": "gain1", "call": "explode"}), "unknown_call"),
    "node there already": (transaction(add("gain1", "gain", 1, 1)), "duplicate_node"),
    "out of range": (transaction({"op": "set", "node": "sine1", "parameters": {"frequency": -1.0}}), "bad_value"),
    "NaN": (gain(math.nan), "bad_value"),
    "infinite": (gain(math.inf), "bad_value"),
    "text for a number": (gain("loud"), "bad_value"),
    "wrong shape": (gain([1.0, 1.0]), "bad_value"),
    "array for a number": (gain(array(1.0)), "bad_value"),
    "unknown output": (transaction(connect("sine1", "sum1", 1, 1)), "unknown_port"),
    "unknown input": (transaction(connect("sine1", "sum1", 0, 2)), "unknown_port"),
    "channel the device lacks": (transaction(connect("sine1", "out", 0, 2)), "unknown_port"),
    "input in use": (transaction(connect("sine1", "sum1")), "port_in_use"),
    "not connected": (transaction({"op": "disconnect", "target": "sum1", "input": 1}), "not_connected"),
    "cycle": (transaction({"op": "disconnect", "target": "gain1", "input": 0}, connect("sum1", "gain1")), "cycle"),
    "second edit bad": (transaction({"op": "remove", "node": "tap1"}, add("x", "flanger", 1, 1)), "unknown_kind"),
    "wrong number of ports": (transaction(add("x", "gain", 1, 2)), "unknown_port"),
    "too many ports": (transaction(add("x", "tap", 5000)), "bad_message"),
    "negative port": (transaction(connect("sine1", "sum1", -1)), "bad_message"),
    "name with a slash": (transaction(add("../x", "gain", 1, 1)), "bad_message"),
    "unknown edit": (transaction({"op": "explode"}), "bad_message"),
    "unknown field": (transaction(add("x", "gain", 1, 1), at_once=True), "bad_message"),
    "no edits": (transaction(), "bad_message"),
    "text for a list": (request(type="transaction", edits="all"), "bad_message"),
    "unknown request": (request(type="reboot"), "unknown_request"),
    "no type": (request(), "unknown_request"),
    "no id": (msgpack.packb({"v": 1, "type": "ping"}), "bad_message"),
    "id of another type": (msgpack.packb({"v": 1, "id": "one", "type": "ping"}), "bad_message"),
    "other protocol version": (msgpack.packb({"v": 2, "id": 77, "type": "ping"}), "protocol_version"),
    "no protocol version": (msgpack.packb({"id": 77, "type": "ping"}), "protocol_version"),
    "empty": (b"", "bad_message"),
    "not msgpack": (b"\xc1\xff\xfe", "bad_message"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "bad_message"),
    "not a map": (msgpack.packb([1, 2, 3]), "bad_message"),
    "truncated": (WHOLE[:-5], "bad_message"),
    "something behind it": (WHOLE + b"\x00", "bad_message"),
    "damaged array": (gain(msgpack.ExtType(1, b"f4\x09")), "bad_message"),
    "array of a petabyte": (gain(msgpack.ExtType(1, b"f4\x01" + struct.pack("<Q", 2**48))), "bad_message"),
    "unknown extension": (gain(msgpack.ExtType(42, b"x")), "bad_message"),
    "keys that are no texts": (msgpack.packb({1: 2}), "bad_message"),
    "nested too deep": (gain(nested(40)), "bad_message"),
    "nested far too deep": (b"\x81\xa1v" + b"\x91" * 100_000 + b"\x00", "bad_message"),
    "too large": (gain(b"x" * (8 * MEBIBYTE)), "message_too_large"),
    "far too large": (gain(b"x" * (60 * MEBIBYTE)), "message_too_large"),
    "relative path": (request(type="record", node="tap1", path="take.wav"), "bad_message"),
    "record what is no tap": (request(type="record", node="gain1", path="/tmp/take.wav"), "unknown_node"),
    "record to nowhere": (request(type="record", node="tap1", path="/nonexistent/take.wav"), "file_unwritable"),
    "play what is no file": (request(type="play", node="nobody", path="/nonexistent.wav"), "unknown_node"),
    "unknown job": (request(type="job_stop", job=99), "disk_job_unknown"),
    "started twice": (request(type="start"), "engine_state"),
    "channel 0": (request(type="start", inputs=[0]), "bad_message"),
}
"""What is sent, and the code of the refusal."""


def facts(engine: PlainEngine) -> tuple[Any, Any]:
    """The patch, and the counters that show a disturbance of the audio."""
    counters = engine.client.result("status")["counters"]
    return engine.client.result("patch"), {key: counters[key] for key in ("lost_frames", "core_exceptions", "edits")}


def send(engine: PlainEngine, *frames: bytes) -> dict[str, Any]:
    """The answer to these frames, from a client that has sent nothing but its hello: ids of one client must grow."""
    client = engine.connect()
    answer = client.raw(*frames)
    client.close()
    return answer


@pytest.mark.parametrize("case", BAD)
def test_refused_with_its_code_and_without_effect(engine: PlainEngine, case: str) -> None:
    data, code = BAD[case]
    before = facts(engine)
    blocks = engine.client.result("status")["counters"]["blocks"]

    answer = send(engine, data)

    assert answer["type"] == "error"
    assert (answer["code"], answer["v"]) == (code, 1)
    assert answer["id"] in (0, 77)
    assert 10 < len(answer["message"]) < 1100
    assert answer["family"] in ("protocol", "access", "patch", "disk", "engine")
    assert facts(engine) == before
    until(lambda: engine.client.result("status")["counters"]["blocks"] > blocks, "the next block")
    status = engine.client.result("status")
    assert status["state"] == "running"
    assert status["processes"]["audio"]["restarts"] == 0


def test_refusal_has_the_id_where_it_is_readable(engine: PlainEngine) -> None:
    assert send(engine, BAD["NaN"][0])["id"] == 77
    assert send(engine, BAD["other protocol version"][0])["id"] == 77
    assert send(engine, BAD["not msgpack"][0])["id"] == 0


def test_refusals_say_what_would_be_right(engine: PlainEngine) -> None:
    says = {case: send(engine, data)["message"] for case, (data, _) in BAD.items() if len(data) < 10_000}
    assert "sine" in says["unknown kind"]
    assert "gain" in says["unknown parameter"]
    assert "Hz is outside 0" in says["out of range"]
    assert "disconnect it first, or mix the two with a Sum" in says["input in use"]
    assert "gain1 → sum1 → gain1" in says["cycle"]
    assert "channels: 1, 2" in says["channel the device lacks"]
    assert says["second edit bad"].startswith("edit 1: ")
    assert "speaks version 1" in says["other protocol version"]
    assert "absolute" in says["relative path"]
    limit = send(engine, BAD["too large"][0])["message"]
    assert str(8 * MEBIBYTE) in limit


def test_several_frames_are_refused(engine: PlainEngine) -> None:
    answer = send(engine, b"one", b"two", b"three")
    assert (answer["type"], answer["code"]) == ("error", "bad_message")


def test_message_beyond_the_hard_limit_costs_its_sender_the_connection_and_nobody_else(engine: PlainEngine) -> None:
    stranger = engine.stranger()
    assert stranger.ask("ping")["type"] == "reply"
    stranger.requests.send(b"\xc4" + bytes(65 * MEBIBYTE))
    assert not stranger.requests.poll(300)
    assert engine.client.ask("ping")["type"] == "reply"
    assert engine.client.result("status")["state"] == "running"
    # ZeroMQ connects the sender again by itself.
    until(lambda: stranger.ask("ping")["type"] == "reply", "the connection")


def test_request_by_a_req_socket_is_answered_in_its_envelope(engine: PlainEngine) -> None:
    answer = send(engine, b"", request(type="ping"))
    assert answer == {"v": 1, "id": 77, "type": "reply", "result": {}}


def test_garbage_in_quantity_does_not_stop_the_others(engine: PlainEngine) -> None:
    noisy = engine.connect()
    for number in range(2000):
        noisy.requests.send(bytes([number % 256]) * (number % 97))
    assert engine.client.ask("ping")["type"] == "reply"
    for _ in range(2000):
        assert noisy.answer()["type"] == "error"
