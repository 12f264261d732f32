"""Messages that nobody should send: valid requests damaged in every way, made reproducibly from a seed."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgpack

MARKS = bytes(
    [0x00, 0x7F, 0x80, 0x90, 0xA0, 0xC0, 0xC1, 0xC4, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCF, 0xD3, 0xD8, 0xDB, 0xDD, 0xDF, 0xFF]
)
"""Bytes that mean something to msgpack at the head of a value."""

ID_AT = 8
"""Where the 4 bytes of the id are: behind map, ``v``, 1, ``id`` and the mark of a 32-bit number."""

NAMES = [f"f{number}" for number in range(12)]
"""Nodes that requests are about; the bystanders' have other names."""


class Sent(NamedTuple):
    """One message: its `frames`, and whether the very same was sent before, so that it may share an answer."""

    frames: list[bytes]
    again: bool = False


def array(shape: Iterable[int], data: bytes, dtype: bytes = b"f4") -> msgpack.ExtType:
    """An array as it stands in a message, whether shape and data agree or not."""
    axes = list(shape)
    return msgpack.ExtType(1, dtype + bytes([len(axes)]) + struct.pack(f"<{len(axes)}Q", *axes) + data)


def nested(depth: int, leaf: Any = 0) -> Any:
    """A list in a list in a list."""
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


def edits(chance: random.Random) -> list[dict[str, Any]]:
    """A few edits that may or may not be possible."""

    def port() -> int:
        return chance.choice((0, 0, 0, 1, 1, 2, 7, 1023))

    def node() -> str:
        return chance.choice(NAMES)

    def values() -> dict[str, Any]:
        name, value = chance.choice(
            (
                ("gain", 0.5), ("gain", [0.25, 0.5]), ("frequency", 440.0), ("delay", 64), ("kind", "pink"),
                ("samples", array((4,), bytes(16))), ("matrix", array((1, 1), bytes(4))), ("loop", True),
            )
        )  # fmt: skip
        return {name: value}

    def one() -> dict[str, Any]:
        return chance.choice(
            (
                lambda: {"op": "set", "node": node(), "parameters": values()},
                lambda: {"op": "set", "node": node(), "parameters": {"gain": chance.random()}},
                lambda: {"op": "add", "node": node(), "kind": "gain", "inputs": 2, "outputs": 2, "parameters": {"gain": 0.5}},
                lambda: {"op": "add", "node": node(), "kind": chance.choice(KINDS), "inputs": port(), "outputs": port()},
                lambda: {"op": "remove", "node": node()},
                lambda: {"op": "resize", "node": node(), "inputs": port(), "outputs": port()},
                lambda: {"op": "connect", "source": node(), "output": port(), "target": node(), "input": port()},
                lambda: {"op": "disconnect", "target": node(), "input": port()},
                lambda: {"op": "call", "node": node(), "call": "restart"},
            )
        )()

    return [one() for _ in range(chance.choice((1, 1, 1, 2, 5)))]


KINDS = ("sine", "gain", "sum", "tap", "feed", "delay", "noise", "matrix", "filter", "convolver", "vector", "constant", "adsr")


def requests(chance: random.Random, folder: str) -> dict[str, Any]:
    """One request of an operator, valid in form; `folder` does not exist."""

    def transaction() -> dict[str, Any]:
        more = chance.choice(
            (
                {}, {}, {}, {}, {"at": chance.randrange(2_000_000)}, {"at": 2**61}, {"if_revision": chance.randrange(1000)},
                {"key": f"k{chance.randrange(50)}"}, {"keep": True},
            )
        )  # fmt: skip
        return {"type": "transaction", "edits": edits(chance), **more}

    number = chance.randrange(1, 2000)
    makers: tuple[Callable[[], dict[str, Any]], ...] = (
        *[transaction] * 12,
        lambda: {"type": "ping"},
        lambda: {"type": "status"},
        lambda: {"type": "snapshot"},
        lambda: {"type": "patch"},
        lambda: {"type": "catalogue"},
        lambda: {"type": "value", "node": chance.choice(NAMES), "parameter": "gain"},
        lambda: {"type": "history", "since": number, "limit": 10, "edits": True},
        lambda: {"type": "undo", "revision": number},
        lambda: {"type": "scheduled"},
        lambda: {"type": "cancel", "scheduled": number},
        lambda: {"type": "lease", "nodes": [chance.choice(NAMES)], "outputs": [2]},
        lambda: {"type": "release", "nodes": [], "outputs": []},
        lambda: {"type": "announce", "service": "relay", "endpoint": "tcp://*:5557", "facts": {"format": "float32"}},
        lambda: {"type": "keys", "action": "list", "name": ""},
        lambda: {"type": "record", "node": chance.choice(NAMES), "path": f"{folder}/{number}.wav", "tags": {"a": "b"}},
        lambda: {"type": "play", "node": chance.choice(NAMES), "path": f"{folder}/{number}.wav", "loop": False, "start": 0},
        lambda: {"type": "seek", "job": number, "position": 0},
        lambda: {"type": "job", "job": number},
        lambda: {"type": "job_stop", "job": number},
        lambda: {"type": "profile", "enabled": None},
        lambda: {"type": "start", "inputs": None, "outputs": [1], "end_block": 5, "drop": 0, "reset": True},
        lambda: {"type": "stop"},
        lambda: {"type": "step", "blocks": 3},
        lambda: {"type": "reset", "drop": 1},
        lambda: {"type": "fault", "fault": "gone", "blocks": 1, "frames": 1},
        lambda: {"type": "shutdown"},
    )  # fmt: skip
    return {"v": 1, "id": 2**32 - 1, **chance.choice(makers)()}


class Hostile:
    """An endless source of such messages."""

    def __init__(self, seed: int, folder: str) -> None:
        self._chance = random.Random(seed)
        self._folder = folder
        self._seeds = [msgpack.packb(requests(self._chance, folder)) for _ in range(3000)]
        self._before: list[list[bytes]] = [[b""]]
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flipped, self._flipped, self._marked, self._marked, self._cut, self._longer, self._shorter, self._spliced,
            self._spliced, self._doubled, self._noise, *[self._rebuilt] * 5, *[self._whole] * 4,
        )  # fmt: skip
        self._values = self._nasty()

    def message(self, number: int) -> Sent:
        """The next message, of this id unless the damage is just there."""
        chance = self._chance
        if chance.random() < 0.02:
            return Sent(chance.choice(self._before), again=True)
        data = chance.choice(self._ways)(chance.choice(self._seeds))
        if len(data) > ID_AT:
            # Of one that is too large no smaller one could follow: those that do not get theirs get 0.
            data = data[:ID_AT] + (number if chance.random() < 0.95 else 0).to_bytes(4, "big") + data[ID_AT + 4 :]
        frames = [data]
        odd = chance.random()
        if odd < 0.02:
            frames = chance.choice(([b"", data], [data, b""], [data, data, data], [b""], [data] + [b""] * 20, [b"x", data]))
        if odd > 0.95:
            self._before[chance.randrange(len(self._before))] = frames
            if len(self._before) < 500:
                self._before.append(frames)
        return Sent(frames)

    # -- bytes ----------------------------------------------------------------------------------------------------

    def _spot(self, data: bytes | bytearray) -> int:
        # The head stays whole mostly: of a damaged one nothing behind it is looked at.
        begin = ID_AT + 4 if len(data) > ID_AT + 4 and self._chance.random() < 0.9 else 0
        return self._chance.randrange(begin, len(data))

    def _flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._chance.choice((1, 1, 2, 4, 16))):
            changed[self._spot(changed)] ^= 1 << self._chance.randrange(8)
        return bytes(changed)

    def _marked(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._chance.choice((1, 1, 2, 4))):
            changed[self._spot(changed)] = self._chance.choice(MARKS)
        return bytes(changed)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._spot(data)]

    def _longer(self, data: bytes) -> bytes:
        spot = self._spot(data)
        return data[:spot] + self._chance.randbytes(self._chance.choice((1, 2, 8, 100))) + data[spot:]

    def _shorter(self, data: bytes) -> bytes:
        spot = self._spot(data)
        return data[:spot] + data[spot + self._chance.choice((1, 2, 8, 30)) :]

    def _spliced(self, data: bytes) -> bytes:
        other = self._chance.choice(self._seeds)
        return data[: self._spot(data)] + other[self._spot(other) :]

    def _doubled(self, data: bytes) -> bytes:
        begin, end = sorted((self._spot(data), self._spot(data)))
        return data[:end] + data[begin:end] * self._chance.choice((1, 2, 20)) + data[end:]

    def _noise(self, data: bytes) -> bytes:
        return self._chance.randbytes(self._chance.choice((0, 1, 5, 50, 500)))

    def _whole(self, data: bytes) -> bytes:
        return data

    # -- structure ------------------------------------------------------------------------------------------------

    def _rebuilt(self, data: bytes) -> bytes:
        """A request in which one value is another, a key has gone, or one has come."""
        message = requests(self._chance, self._folder)
        places = list(_places(message))
        container, key = self._chance.choice(places)
        what = self._chance.random()
        if what < 0.7:
            container[key] = self._chance.choice(self._values)
        elif what < 0.85 and isinstance(container, dict):
            del container[key]
        elif isinstance(container, dict):
            container[self._chance.choice(("op", "at", "edits", "node", "", "Ω", "__class__", "x" * 300))] = container[key]
        else:
            container.append(self._chance.choice(self._values))
        return bytes(msgpack.packb(message))

    def _nasty(self) -> list[Any]:
        numbers = [0, 1, -1, 255, 1024, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]
        floats = [0.5, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7e308, 1e39]
        texts = ["", "f0", "in", "out", "..", "../../x", "/", "\0", "\n", "f0\n", "Ω" * 40, "a" * 64, "a" * 5000]
        texts += ["$(id)", "__import__('os')"]
        packed = [b"", b"\x00", bytes(1000), b"cos\nsystem\n(S'id'\ntR."]
        arrays = [
            array((4,), bytes(16)), array((0,), b""), array((2**48,), b""), array((2**32, 2**32), b""), array((4,), b"\xff" * 16),
            array((3,), bytes(16)), array((1,) * 5, bytes(4)), array((1, 1, 1, 1), bytes(4)), array((2,), bytes(8), b"O8"),
            msgpack.ExtType(1, b""), msgpack.ExtType(1, b"f4\xff"), msgpack.ExtType(77, b"x"), msgpack.Timestamp(1, 1),
            array((20_000,), bytes(80_000)),
        ]  # fmt: skip
        structures = [None, True, False, [], {}, [[]], [0] * 2000, [{}] * 200, {"": None}, {str(n): n for n in range(500)}]
        structures += [nested(5), nested(14), nested(17), nested(400), {"op": "set"}, [{"op": "remove", "node": "f0"}] * 100]
        return numbers + floats + texts + packed + arrays + structures


def _places(value: Any) -> Iterable[tuple[Any, Any]]:
    """Every place of a structure that holds a value: its container, and the key or index there."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)) and value[key]:
            yield from _places(value[key])


def heavy() -> dict[str, bytes]:
    """Messages that are large, or that are small and would become large; what they are called."""
    list_of_8m = b"\xdd" + (8_000_000).to_bytes(4, "big")
    head = b"\x84\xa1v\x01\xa2id\x02\xa4type\xabtransaction\xa5edits"
    full = b"\xdd" + (131_072).to_bytes(4, "big")
    set_edit = msgpack.packb({"op": "set", "node": "nobody", "parameters": {"gain": 0.5}})
    return {
        "one value more than all others": head + list_of_8m + b"\x80" * 8_000_000,
        "maps in 60 lists": head + b"\xdc\x00\x3c" + (full + b"\x80" * 131_072) * 60,
        "texts in 20 lists": head + b"\xdc\x00\x14" + (full + b"\xa2ab" * 131_072) * 20,
        "small arrays": head + b"\x94" + (full + (b"\xc7\x0b\x01f4\x01" + bytes(8)) * 131_072) * 4,
        "lists in lists, each claiming all": b"\x81\xa1v" + b"\xdd\x00\x1f\xff\xff" * 900 + bytes(3_000_000),
        "100 000 levels": b"\x81\xa1v" + b"\x91" * 100_000 + b"\x00",
        "65 536 edits of nobody": head + b"\xdd\x00\x01\x00\x00" + set_edit * 65_536,
        "65 536 edits without sense": head + b"\xdd\x00\x01\x00\x00" + b"\x80" * 65_536,
        "a name of 7 MiB": head + b"\x91" + msgpack.packb({"op": "remove", "node": "x" * 7 * 2**20}),
        "a type of 7 MiB": msgpack.packb({"v": 1, "id": 2, "type": "x" * 7 * 2**20}),
        "a version of 7 MiB": msgpack.packb({"v": b"\xff" * 7 * 2**20, "id": 2, "type": "ping"}),
        "130 000 unknown fields": msgpack.packb({"v": 1, "id": 2, "type": "ping", **dict.fromkeys(map(str, range(130_000)))}),
        "beyond the limit": bytes(9 * 2**20),
        "far beyond the limit": b"\xc6" * (60 * 2**20),
    }
