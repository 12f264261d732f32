"""Whatever arrives, the codec and the request parser answer with a message or a ProtocolError, never with anything else."""

import math
import struct
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import ProtocolError
from asmu_engine.protocol.messages import Request, parse_request, request_id

SETTINGS = settings(max_examples=200, deadline=None)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
ARRAYS = st.lists(st.floats(width=32, allow_nan=False), max_size=8).map(
    lambda values: Array("f4", (len(values),), struct.pack(f"<{len(values)}f", *values))
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.binary(max_size=40) | ARRAYS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=12,
)
NAMES = st.sampled_from(["s", "gain1", "out", "in", "", "a b", "x" * 64])
EDITS = st.one_of(
    st.fixed_dictionaries({"op": st.just("add"), "node": NAMES, "kind": NAMES, "parameters": st.dictionaries(TEXTS, VALUES)}),
    st.fixed_dictionaries({"op": st.just("set"), "node": NAMES, "parameters": st.dictionaries(TEXTS, VALUES, max_size=3)}),
    st.fixed_dictionaries(
        {
            "op": st.just("connect"),
            "source": NAMES,
            "output": st.integers(-1, 1025),
            "target": NAMES,
            "input": st.integers(-1, 1025),
        }
    ),
    st.fixed_dictionaries({"op": st.just("remove"), "node": NAMES}),
)
MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {"v": st.just(1), "id": st.integers(0, 2**63 - 1), "type": st.just("transaction"), "edits": st.lists(EDITS, max_size=4)}
    ),
    st.fixed_dictionaries(
        {"v": st.just(1), "id": st.integers(0, 9), "type": st.sampled_from(["ping", "stop", "status", "hello", "nothing"])},
        optional={"name": NAMES, "pid": NUMBERS},
    ),
)


def check(error: ProtocolError, *codes: str) -> None:
    """One of these, with words, and it can be told to whoever sent the message."""
    assert error.code in codes
    assert str(error)
    assert unpack(pack(error.to_wire())) == error.to_wire()


def read(data: bytes) -> dict[str, Any] | None:
    try:
        message = unpack(data)
    except ProtocolError as error:
        check(error, "bad_message", "message_too_large")
        return None
    assert isinstance(message, dict)
    return message


def parse(message: dict[str, Any]) -> Request | None:
    assert 0 <= request_id(message) < 2**63
    try:
        request = parse_request(message)
    except ProtocolError as error:
        check(error, "bad_message", "protocol_version", "unknown_request")
        return None
    assert request.id == message["id"]
    return request


def same(one: Any, other: Any) -> bool:
    """Equal, numbers in kind too."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other


@SETTINGS
@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(data):
    message = read(data)
    if message is not None:
        parse(message)


@SETTINGS
@given(st.dictionaries(TEXTS, VALUES, max_size=6))
def test_any_plain_message_comes_back_equal(message):
    assert same(unpack(pack(message)), message)


@SETTINGS
@given(VALUES)
def test_any_value_of_msgpack_is_a_message_or_refused(value):
    message = read(msgpack.packb(value, default=lambda array: msgpack.ExtType(1, array.encode())))
    assert (message is not None) == isinstance(value, dict)
    if message is not None:
        parse(message)


@SETTINGS
@given(MESSAGES, st.data())
def test_a_request_that_was_damaged_on_its_way_is_a_request_or_refused(message, data):
    packed = bytearray(pack(message))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(packed) - 1))
        match data.draw(st.sampled_from(["change", "insert", "drop"])):
            case "change":
                packed[place] = data.draw(st.integers(0, 255))
            case "insert":
                packed.insert(place, data.draw(st.integers(0, 255)))
            case "drop" if len(packed) > 1:
                del packed[place]
    damaged = read(bytes(packed))
    if damaged is not None:
        parse(damaged)


@SETTINGS
@given(MESSAGES, st.data())
def test_a_request_with_any_value_anywhere_is_a_request_or_refused(message, data):
    target: Any = message
    while True:
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else list(range(len(target)))))
        inner = target[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        target = inner
    target[key] = data.draw(VALUES)
    parse(unpack(pack(message)))


@SETTINGS
@given(st.binary(max_size=80))
def test_any_payload_is_an_array_or_refused(payload):
    message = read(msgpack.packb({"x": msgpack.ExtType(1, payload)}))
    if message is not None:
        array = message["x"]
        assert array.encode() == payload
        assert len(array.numbers()) == math.prod(array.shape)
