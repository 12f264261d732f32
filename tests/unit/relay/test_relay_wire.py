"""The relay's messages: what a foreign subscriber sees, and what of a foreign relay is refused."""

from __future__ import annotations

import msgpack
import pytest

from asmu_control.relay.wire import Header, decode, encode, topic_of
from asmu_engine.protocol.errors import ProtocolError, RingError

FULL = Header(
    node="tap1",
    stream="ab",
    run="cd",
    sequence=3,
    position=4096,
    first=0,
    frames=2,
    channels=3,
    samplerate=48000.0,
    capacity=480000,
    format="flac",
    parts=[10],
    clipped=1,
    lost=5,
    gaps=[[4091, 5, 2]],
    uncertainties=[12],
    skipped=7,
    stamp=[4096, 1, 2],
)


def test_a_message_is_topic_header_and_samples() -> None:
    topic, head, payload = encode(FULL, b"samples")
    assert (topic, payload) == (b"tap1\0", b"samples")
    assert decode(head) == FULL
    assert msgpack.unpackb(head) == {
        "v": 1,
        "node": "tap1",
        "stream": "ab",
        "run": "cd",
        "sequence": 3,
        "position": 4096,
        "first": 0,
        "frames": 2,
        "channels": 3,
        "samplerate": 48000.0,
        "capacity": 480000,
        "format": "flac",
        "parts": [10],
        "clipped": 1,
        "lost": 5,
        "gaps": [[4091, 5, 2]],
        "uncertainties": [12],
        "skipped": 7,
        "stamp": [4096, 1, 2],
    }


def test_a_topic_is_of_one_node_only() -> None:
    assert not topic_of("tap10").startswith(topic_of("tap1"))


def test_what_is_not_said_is_as_it_mostly_is() -> None:
    header = decode(encode(Header(node="tap1"))[1])
    assert (header.position, header.frames, header.lost, header.skipped, header.closed, header.gaps) == (None, 0, 0, 0, False, [])


def test_a_newer_relay_may_say_more() -> None:
    assert decode(msgpack.packb({"v": 1, "node": "tap1", "colour": "blue"})).node == "tap1"


def test_a_refusal_is_an_error_of_its_class() -> None:
    error = RingError("there is no such tap", code="ring_unknown", where="tap1", retry=True)
    found = decode(encode(Header(node="tap1", error=error.to_wire()))[1]).refusal()
    assert isinstance(found, RingError)
    assert (found.code, found.where, found.retry, str(found)) == ("ring_unknown", "tap1", True, "there is no such tap")
    assert FULL.refusal() is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xc1",
        msgpack.packb([1, 2]),
        msgpack.packb({"v": 1}),
        *(
            msgpack.packb({**FULL.model_dump(), **wrong})
            for wrong in (
                {"node": "../up"},
                {"frames": -1},
                {"frames": 65537},
                {"frames": "2"},
                {"channels": 1025},
                {"position": -1},
                {"position": 2**62},
                {"samplerate": -1.0},
                {"format": "mp3"},
                {"parts": [-1]},
                {"gaps": [[1, 2]]},
                {"stamp": [1, 2]},
                {"closed": 1},
                {"error": "none"},
            )
        ),
    ],
)
def test_a_header_that_is_none_is_refused(head: bytes) -> None:
    with pytest.raises(ProtocolError, match="header of a relay's message") as caught:
        decode(head)
    assert caught.value.code == "bad_message"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused_as_that(version: object) -> None:
    with pytest.raises(ProtocolError, match="one version on both sides") as caught:
        decode(msgpack.packb({"v": version, "node": "tap1"}))
    assert caught.value.code == "protocol_version"
