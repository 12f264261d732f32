"""msgpack in and out: what is refused, and with which code."""

import math
import struct

import msgpack
import pytest

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.errors import ProtocolError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES, MAX_MESSAGE_DEPTH, MAX_MESSAGE_LIST, MAX_MESSAGE_VALUES


def refused(data: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        unpack(data)
    return caught.value


def nested(depth: int) -> dict[str, object]:
    """A message of `depth` levels, the outermost map being the first."""
    value: object = 0
    for level in range(depth - 1):
        value = [value] if level % 2 else {"x": value}
    return {"x": value}


MESSAGE = {
    "v": 1,
    "id": 2**63 - 1,
    "text": "Ω – gain",
    "numbers": [0, -1, 0.1, 2.5e300, math.inf],
    "raw": b"\x00\xff",
    "nothing": None,
    "truth": [True, False],
    "array": Array("f8", (1, 2), struct.pack("<2d", 0.5, -1)),
    "map": {"a": {"b": []}},
}


def test_a_message_comes_back_equal():
    assert unpack(pack(MESSAGE)) == MESSAGE


def test_nan_is_data_and_not_an_error_of_the_codec():
    assert math.isnan(unpack(pack({"x": math.nan}))["x"])


@pytest.mark.parametrize("length", range(len(pack(MESSAGE))))
def test_a_message_cut_anywhere_is_refused(length):
    assert refused(pack(MESSAGE)[:length]).code == "bad_message"


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",  # a byte that msgpack never uses
        b"GET / HTTP/1.1\r\n",
        pack({"a": 1}) + b"\x00",  # something behind the message
        b"\x81\x01\x02",  # a key that is no text
        b"\x81\xa1\xff\x01",  # a key that is not UTF-8
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million entries, none there
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 5000 + b"\x00",  # nested beyond msgpack's own stack
    ],
)
def test_what_is_not_msgpack_is_refused(data):
    error = refused(data)
    assert error.code == "bad_message"
    assert "not valid msgpack" in str(error)


@pytest.mark.parametrize(("value", "name"), [([1], "list"), (3, "int"), (None, "NoneType"), ("a", "str")])
def test_a_message_is_a_map(value, name):
    error = refused(msgpack.packb(value))
    assert (error.code, str(error)) == ("bad_message", f"message is a {name}, not a map")


def test_the_size_limit_is_exact_and_stated():
    overhead = len(pack({"x": b"\0" * 100_000})) - 100_000
    largest = pack({"x": bytes(MAX_MESSAGE_BYTES - overhead)})
    assert len(largest) == MAX_MESSAGE_BYTES
    assert len(unpack(largest)["x"]) == MAX_MESSAGE_BYTES - overhead
    error = refused(largest + b"\0")
    assert error.code == "message_too_large"
    assert str(MAX_MESSAGE_BYTES) in str(error)


def test_a_limit_can_be_given_or_waived():
    data = pack({"x": bytes(1000)})
    with pytest.raises(ProtocolError, match="the limit is 999"):
        unpack(data, limit=999)
    assert unpack(pack({"x": bytes(MAX_MESSAGE_BYTES)}), limit=None)["x"] == bytes(MAX_MESSAGE_BYTES)


def test_the_depth_limit_is_exact_and_stated():
    assert unpack(pack(nested(MAX_MESSAGE_DEPTH))) == nested(MAX_MESSAGE_DEPTH)
    error = refused(pack(nested(MAX_MESSAGE_DEPTH + 1)))
    assert (error.code, str(error)) == ("bad_message", f"message is nested deeper than {MAX_MESSAGE_DEPTH} levels")


def test_empty_containers_count_as_levels():
    inside: object = []
    for _ in range(MAX_MESSAGE_DEPTH - 2):
        inside = [inside]
    assert unpack(pack({"x": inside})) == {"x": inside}
    assert refused(pack({"x": [inside]})).code == "bad_message"


def of_bytes(*parts: bytes) -> bytes:
    """A map with one entry `x`, made of these bytes."""
    return b"\x81\xa1x" + b"".join(parts)


def list_of(count: int, entry: bytes) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big") + entry * count


def test_a_list_has_a_longest_length():
    assert len(unpack(of_bytes(list_of(MAX_MESSAGE_LIST, b"\x00")))["x"]) == MAX_MESSAGE_LIST
    assert refused(of_bytes(list_of(MAX_MESSAGE_LIST + 1, b"\x00"))).code == "bad_message"
    assert len(unpack(of_bytes(list_of(MAX_MESSAGE_LIST + 1, b"\x00")), limit=None)["x"]) == MAX_MESSAGE_LIST + 1


def test_a_map_has_a_longest_length():
    entries = {f"{number}": 0 for number in range(MAX_MESSAGE_LIST + 1)}
    assert refused(pack(entries)).code == "bad_message"
    del entries["0"]
    assert unpack(pack(entries)) == entries


@pytest.mark.parametrize("entry", [b"\x80", b"\x90", b"\xc0", b"\xa2ab"], ids=["maps", "lists", "nothing", "texts"])
def test_the_number_of_values_is_limited_and_stated(entry):
    full = MAX_MESSAGE_VALUES // MAX_MESSAGE_LIST
    lists = list_of(MAX_MESSAGE_LIST, entry) * (full - 1)
    # The entry of the outermost map and the lists themselves are values too.
    assert len(unpack(of_bytes(bytes([0x90 + full]), lists, list_of(MAX_MESSAGE_LIST - full - 1, entry)))["x"]) == full
    error = refused(of_bytes(bytes([0x90 + full]), lists, list_of(MAX_MESSAGE_LIST - full, entry)))
    assert (error.code, str(error)) == (
        "message_too_large",
        f"message holds more than {MAX_MESSAGE_VALUES} values; send it in parts",
    )


def test_an_array_counts_as_8_values():
    array = b"\xc7\x0b\x01f4\x01" + bytes(8)
    assert len(unpack(of_bytes(list_of(MAX_MESSAGE_VALUES // 9 - 1, array)))["x"]) == MAX_MESSAGE_VALUES // 9 - 1
    assert refused(of_bytes(list_of(MAX_MESSAGE_VALUES // 9 + 1, array))).code == "message_too_large"


def test_an_unknown_extension_is_refused():
    error = refused(msgpack.packb({"x": msgpack.ExtType(5, b"abc")}))
    assert error.code == "bad_message"
    assert "unknown msgpack extension 5" in str(error)


def test_a_damaged_array_is_refused():
    error = refused(msgpack.packb({"x": msgpack.ExtType(1, b"f4\x01" + bytes(11))}))
    assert error.code == "bad_message"
    assert "bytes, not" in str(error)


@pytest.mark.parametrize("value", [object(), {1, 2}, 10**30, "\udcff", 1j])
def test_what_has_no_wire_form_is_refused_before_it_is_sent(value):
    with pytest.raises(ProtocolError, match="message cannot be sent") as caught:
        pack({"x": value})
    assert caught.value.code == "bad_message"


def test_a_message_that_contains_itself_is_refused_before_it_is_sent():
    message: dict[str, object] = {}
    message["x"] = message
    with pytest.raises(ProtocolError, match="message cannot be sent"):
        pack(message)
