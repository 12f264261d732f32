"""A patch as a document: nodes with their values, and connections, as readable text in TOML or JSON.

In TOML::

    format = "asmu patch 1"
    samplerate = 48000.0
    connections = [
        "sine1:0 -> gain1:0",
        "gain1:0 -> out:0",
    ]

    [nodes.gain1]
    kind = "gain"
    inputs = 1
    outputs = 1

    [nodes.gain1.parameters]
    gain = 0.5

Ports count from 0: ``out:0`` is output channel 1 of the device, ``in:0`` its input channel 1. An array stands as
``{array = "float32", shape = [2], data = "…"}``, its data little-endian in C order as base64. Nodes come in the order of their
names, numbers in these as numbers, connections in the order of what they lead to: the same patch is always the same text.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.plain import from_plain, to_plain, type_name
from asmu_engine.protocol.version import INPUTS_NODE, MAX_CHANNELS, NAME_PATTERN, OUTPUTS_NODE

FORMAT: Final = "asmu patch 1"

_HEAD: Final = '# Ports count from 0: "out:0" is output channel 1 of the device, "in:0" its input channel 1.\n'
_NAME: Final = NAME_PATTERN[1:-1]
_CONNECTION: Final = re.compile(rf"({_NAME}):(\d{{1,4}}) *-> *({_NAME}):(\d{{1,4}})")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


class Connection(NamedTuple):
    """Output `output` of node `source` feeds input `port` of node `target`; ports from 0."""

    source: str
    output: int
    target: str
    port: int

    def __str__(self) -> str:
        return f"{self.source}:{self.output} -> {self.target}:{self.port}"


@dataclass(frozen=True)
class NodeEntry:
    """One node; `parameters` by name, of those that have a value."""

    kind: str
    inputs: int = 0
    outputs: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PatchDocument:
    """A whole patch.

    Attributes
    ----------
    samplerate
        Hz, of the engine that it was made with; 0 where that is not known.
    nodes
        By name.
    connections
        All of them, each input at most once.
    """

    samplerate: float
    nodes: Mapping[str, NodeEntry]
    connections: tuple[Connection, ...]

    @classmethod
    def from_wire(cls, patch: Mapping[str, Any], samplerate: float = 0.0) -> Self:
        """From what an engine answers to a request for its patch."""
        nodes = {
            name: NodeEntry(
                node["kind"],
                node["inputs"],
                node["outputs"],
                {key: _named(value) for key, value in sorted(node["parameters"].items()) if value is not None},
            )
            for name, node in patch["nodes"].items()
        }
        return cls._ordered(float(samplerate), nodes, [Connection(*connection) for connection in patch["connections"]])

    @classmethod
    def from_text(cls, text: str, *, as_json: bool, name: str = "the patch") -> Self:
        """From the text of a file; ConfigError ``bad_config`` says what is wrong with it, and in which entry of `name`."""
        try:
            data = json.loads(text) if as_json else tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise _bad(name, f"it is not valid {'JSON' if as_json else 'TOML'}: {error}") from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise _bad(name, f'it does not say format = "{FORMAT}"')
        if unknown := data.keys() - {"format", "samplerate", "nodes", "connections"}:
            raise _bad(name, f"it has {', '.join(sorted(unknown))}; it may have samplerate, nodes, connections")
        samplerate = data.get("samplerate", 0.0)
        if isinstance(samplerate, bool) or not isinstance(samplerate, (int, float)) or not 0 <= samplerate < 1e9:
            raise _bad(name, f"samplerate is {samplerate!r}, not a number of Hz")
        nodes = {key: _node(name, key, value) for key, value in _table(name, "nodes", data.get("nodes", {})).items()}
        connections = data.get("connections", [])
        if not isinstance(connections, list):
            raise _bad(name, "connections is no list")
        return cls._ordered(float(samplerate), nodes, [_connection(name, nodes, entry) for entry in connections], name)

    def to_toml(self) -> str:
        """As TOML."""
        return _HEAD + "".join(f"{line}\n" for line in self._toml())

    def to_json(self) -> str:
        """As JSON."""
        nodes = {
            name: {"kind": node.kind, "inputs": node.inputs, "outputs": node.outputs, "parameters": to_plain(node.parameters)}
            for name, node in self.nodes.items()
        }
        connections = [str(connection) for connection in self.connections]
        whole = {"format": FORMAT, "samplerate": self.samplerate, "connections": connections, "nodes": nodes}
        return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def edits(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What builds it from nothing, as edits on the wire: nodes, then connections."""
        adds = [
            {
                "op": "add",
                "node": name,
                "kind": node.kind,
                "inputs": node.inputs,
                "outputs": node.outputs,
                "parameters": dict(node.parameters),
            }
            for name, node in self.nodes.items()
        ]
        connects = [{"op": "connect", "source": s, "output": o, "target": t, "input": i} for s, o, t, i in self.connections]
        return adds, connects

    def differences(self, other: PatchDocument) -> list[str]:
        """What makes `other` of this, in lines: ``+`` what it has more, ``-`` what it has not, ``~`` what has another value."""
        lines: list[str] = []
        for name in sorted({*self.nodes, *other.nodes}, key=natural):
            lines += _node_differences(name, self.nodes.get(name), other.nodes.get(name))
        before, after = set(self.connections), set(other.connections)
        lines += [f"- {connection}" for connection in self.connections if connection not in after]
        lines += [f"+ {connection}" for connection in other.connections if connection not in before]
        return lines

    @classmethod
    def _ordered(cls, samplerate: float, nodes: dict[str, NodeEntry], connections: list[Connection], name: str = "it") -> Self:
        ends = set()
        for connection in connections:
            if connection[2:] in ends:
                raise _bad(name, f"input {connection.target}:{connection.port} is connected twice")
            ends.add(connection[2:])
        ordered = sorted(connections, key=lambda c: (c.target == OUTPUTS_NODE, natural(c.target), c.port))
        return cls(samplerate, {key: nodes[key] for key in sorted(nodes, key=natural)}, tuple(ordered))

    def _toml(self) -> Iterator[str]:
        yield f"format = {_toml_value(FORMAT)}"
        yield f"samplerate = {_toml_value(self.samplerate)}"
        if self.connections:
            yield "connections = ["
            for connection in self.connections:
                yield f"    {_toml_value(str(connection))},"
            yield "]"
        else:
            yield "connections = []"
        for name, node in self.nodes.items():
            yield ""
            yield f"[nodes.{_key(name)}]"
            yield f"kind = {_toml_value(node.kind)}"
            yield f"inputs = {node.inputs}"
            yield f"outputs = {node.outputs}"
            if node.parameters:
                yield ""
                yield f"[nodes.{_key(name)}.parameters]"
                for key, value in node.parameters.items():
                    yield f"{_key(key)} = {_toml_value(to_plain(value))}"


def natural(name: str) -> tuple[Any, ...]:
    """Sorts names with the numbers in them as numbers: gain2 before gain10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)), name


def shown(value: Any) -> str:
    """A value in few words."""
    plain = to_plain(value) if not isinstance(value, Mapping) else value
    if isinstance(plain, Mapping):
        return f"{plain['array']} array of shape {tuple(plain['shape'])}"
    text = _toml_value(plain)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_LONGEST: Final = 60


def _node_differences(name: str, before: NodeEntry | None, after: NodeEntry | None) -> Iterator[str]:
    if before is None or after is None:
        node = before or after
        assert node is not None
        yield f"{'+' if before is None else '-'} {name}: {_described(node)}"
        return
    if _described(before) != _described(after):
        yield f"~ {name}: {_described(before)} → {_described(after)}"
    for key in sorted({*before.parameters, *after.parameters}):
        old, new = before.parameters.get(key), after.parameters.get(key)
        if old != new:
            changed = [shown(value) if value is not None else "none" for value in (old, new)]
            different = " → ".join(changed) if changed[0] != changed[1] else f"{changed[0]}, other values"
            yield f"~ {name}.{key}: {different}"


def _described(node: NodeEntry) -> str:
    return f"{node.kind}, inputs {node.inputs}, outputs {node.outputs}"


def _node(file: str, name: str, data: Any) -> NodeEntry:
    where = f"nodes.{name}"
    if not re.fullmatch(_NAME, name) or name in (INPUTS_NODE, OUTPUTS_NODE):
        raise _bad(file, f"{where}: {name!r} is no name of a node; use letters, digits, _ . -, at most 63, not in or out")
    data = _table(file, where, data)
    if unknown := data.keys() - {"kind", "inputs", "outputs", "parameters"}:
        raise _bad(file, f"{where} has {', '.join(sorted(unknown))}; a node has kind, inputs, outputs, parameters")
    if not isinstance(data.get("kind"), str):
        raise _bad(file, f"{where}.kind is {data.get('kind')!r}, not the name of a kind")
    inputs, outputs = data.get("inputs", 0), data.get("outputs", 0)
    for count in (inputs, outputs):
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_CHANNELS:
            raise _bad(file, f"{where} has {count!r} ports; use whole numbers from 0 to {MAX_CHANNELS}")
    parameters = _table(file, f"{where}.parameters", data.get("parameters", {}))
    return NodeEntry(data["kind"], inputs, outputs, from_plain(dict(sorted(parameters.items())), f"{file}: {where}.parameters"))


def _connection(file: str, nodes: Mapping[str, NodeEntry], entry: Any) -> Connection:
    match = _CONNECTION.fullmatch(entry.strip()) if isinstance(entry, str) else None
    if match is None:
        raise _bad(file, f'connections has {entry!r:.80}; write them as "sine1:0 -> gain1:0"')
    connection = Connection(match[1], int(match[2]), match[3], int(match[4]))
    for name, device in ((connection.source, INPUTS_NODE), (connection.target, OUTPUTS_NODE)):
        if name not in nodes and name != device:
            raise _bad(file, f"connections has {entry!r}, but there is no node {name!r}")
    return connection


def _named(value: Any) -> Any:
    """Of a large array the engine gives type and shape only."""
    return {**value, "array": type_name(value["array"])} if isinstance(value, Mapping) else value


def _table(file: str, where: str, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _bad(file, f"{where} is {data!r:.60}, not a table")
    return data


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml_value(name)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML has the escapes of JSON, but no raw DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_toml_value(item)}' for key, item in value.items())}}}"
    return repr(value)


def _bad(file: str, what: str) -> ConfigError:
    return ConfigError(f"{file} cannot be loaded as a patch: {what}", code="bad_config", where=file)
