"""The protocol as a page, in Markdown: what ``asmu protocol`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from asmu_engine.protocol import version
from asmu_engine.protocol.codes import MEANINGS
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.eventpart import EventPart
from asmu_engine.protocol.fields import Schema, example, json_text, table, type_text
from asmu_engine.protocol.replies import ANSWERS, MESSAGES
from asmu_engine.protocol.reply import ANY_REFUSALS
from asmu_engine.protocol.request import Request
from asmu_engine.protocol.schema import json_schema, plain_text
from asmu_engine.protocol.topics import EVENTS, event_name

_INTRODUCTION: Final = f"""\
# The protocol of asmu, version {version.PROTOCOL_VERSION}

It counts apart from the library: the number grows whenever an older client could misunderstand a message. A message of another
version is refused with `protocol_version`. The same as JSON Schema: `asmu protocol --schema`; one message: `asmu protocol NAME`.

## The wire

An engine has two ZeroMQ sockets, whose endpoints stand in `engine.json` in its folder, `NAME/engine.json` below the folder
`ASMU_RUNTIME_DIR`, else the system's for such files: `requests`, a ROUTER, to which a client connects a DEALER (or REQ), and
`events`, a PUB. From another machine they are `tcp://HOST:PORT` and the port after it, with CURVE and a key that the engine knows
(`asmu keys`).

A request is one frame, a msgpack map; its answer, one frame too, carries its `id`. A client may have any number of requests under
way; answers may overtake one another. A request that is sent again byte for byte, since its answer was lost, is answered again
and not done again. Through another connection a transaction needs a `key` for that.

An array is msgpack extension 1: two ASCII bytes `f4`, `f8`, `i4` or `i8`, one byte for the number of axes (at most 4), each axis
as an unsigned 64-bit number, then the data in C order, all little-endian.

A request has at most {version.MAX_MESSAGE_BYTES // 2**20} MiB, is nested at most {version.MAX_MESSAGE_DEPTH} deep, and has at
most {version.MAX_MESSAGE_VALUES} values, {version.MAX_MESSAGE_LIST} of them in one list or map, and
{version.MAX_EDITS} edits; a patch has at most {version.MAX_NODES} nodes of at most {version.MAX_CHANNELS} inputs and
outputs each. At most {version.MAX_SCHEDULED} transactions wait for their frame. Of one client {version.MAX_WAITING} requests
may wait to be handled, or {version.MAX_WAITING_BYTES // 2**20} MiB: its connection ends when it sends more. Bulk audio goes
through shared memory, or a relay, never through requests.

A *name* is a text like `{version.NAME_PATTERN}`. A *frame position* counts the device's frames since the engine's epoch; it is
the only time axis, and goes on through losses. Ports count from 0, channels of the device from 1: port 0 of the node
`{version.INPUTS_NODE}` is input channel 1, port 0 of `{version.OUTPUTS_NODE}` output channel 1.

A client is there from its `hello` to its `goodbye`. One that asked for `beat` is away when its connection breaks: ZeroMQ's own
heartbeats tell, whatever the client is doing; one that may not read for a while sets no limit to its queue (`ZMQ_RCVHWM` 0), for
where that is full nothing is answered. Any other is away when nothing was heard of it for
{version.SILENT_SECONDS:g} s. Then its leases end, and after its `grace` it has left: what it owned is removed. Until
{version.RESUME_SECONDS:g} s after it went away it may come back as the same, with its token.

An event is two frames, the topic and a map. A subscriber that is too slow loses events and sees that from their numbers, which
count each topic without a gap. To miss nothing: subscribe, ask for a `snapshot`, and pass over events whose number it includes.

Roles: an `observer` may look, an `operator` may also edit, record and play, an `admin` may also start and stop the device and the
engine, and see to keys. On the engine's own machine its user has every role.
"""

_REQUESTS: Final = """\
Every request carries `v`, the version of the protocol, `id`, a whole number from 0 to 2^63 − 1 that is greater than that of the
client's request before, and `type`. What has a default may be left out; a field that is not named here is refused.
"""

_EVENTS: Final = """\
Every event carries `v`, the version of the protocol, `number`, which counts the events of the topic from 1, `topic` and `event`.
"""


def page() -> str:
    """All of it."""
    schema = json_schema()
    definitions = schema["$defs"]
    parts = [_INTRODUCTION, "## What comes back\n", *(_message(model, definitions) for model in MESSAGES)]
    parts.append(f"## Requests\n\n{_REQUESTS}\nAny request may be refused with {_codes(ANY_REFUSALS)}.\n")
    parts += [_request(request, schema) for request in ANSWERS]
    parts.append(f"## Events\n\n{_EVENTS}")
    parts += [_topic(topic, definitions) for topic in EVENTS]
    parts.append("## Parts of messages\n")
    parts += [_part(name, definitions) for name in _parts(schema)]
    parts.append(_errors())
    return "\n".join(parts)


def section(name: str) -> str:
    """What the page says of one message: a request by its type, a topic, a part of messages, ``beat`` and the like.

    Raises
    ------
    ConfigError
        There is no such message; it lists all.
    """
    schema = json_schema()
    found: dict[str, Any] = {
        model.model_fields["type"].default: lambda m=model: _message(m, schema["$defs"]) for model in MESSAGES
    }
    found |= {_type(request): lambda r=request: _request(r, schema) for request in ANSWERS}
    found |= {f"{topic} events": lambda t=topic: _topic(t, schema["$defs"]) for topic in EVENTS}
    found |= {part: lambda p=part: _part(p, schema["$defs"]) for part in _parts(schema)}
    if name in EVENTS:
        name = f"{name} events" if name not in found else name
    if name not in found:
        raise ConfigError(f"there is no message {name!r}; messages: {', '.join(found)}", code="bad_config", where=name)
    return str(found[name]())


def _request(request: type[Request], schema: Schema) -> str:
    definitions = schema["$defs"]
    kind, answer = _type(request), ANSWERS[request]
    own = definitions[request.__name__]
    result = schema["results"][kind]
    lines = [f"### {kind}", "", own["description"], "", f"Needs the role `{request.needs}`."]
    if request.repeatable:
        lines[-1] += " May be done again."
    lines += ["", *table(own, asked=True, skip=("v", "id", "type")), "", "```json"]
    lines += [json_text(example({"$ref": f"#/$defs/{request.__name__}"}, definitions)), "```", ""]
    lines += _result(result, definitions)
    if answer.refusals:
        lines += [f"Refused with {_codes(answer.refusals)}.", ""]
    return "\n".join(_squeezed(lines))


def _result(result: Schema, definitions: Schema) -> Iterator[str]:
    if "$ref" not in result:
        yield from (f"Answered with {type_text(result)}.", "")
        return
    name = result["$ref"].rpartition("/")[2]
    own = definitions[name]
    if not own.get("properties"):
        yield from ("Answered with an empty result.", "")
        return
    yield from (f"Answered with: {_decapitalised(own['description'])}", "", *table(own, asked=False), "", "```json")
    yield from (json_text(example(result, definitions)), "```", "")


def _message(model: type[BaseModel], definitions: Schema) -> str:
    own = definitions[model.__name__]
    lines = [f"### {model.model_fields['type'].default}", "", own["description"], "", *table(own, asked=False), "", "```json"]
    return "\n".join([*lines, json_text(example(own, definitions)), "```", ""])


def _topic(topic: str, definitions: Schema) -> str:
    lines = [f"### Topic `{topic}`", ""]
    for model in EVENTS[topic]:
        lines += [f"#### {topic}: {_event_title(model)}", "", *_event(definitions[model.__name__], definitions)]
    return "\n".join(_squeezed(lines))


def _event(own: Schema, definitions: Schema) -> Iterator[str]:
    yield from (own["description"], "", *table(own, asked=False, skip=("v", "number", "topic", "event")), "", "```json")
    yield from (json_text(example(own, definitions)), "```", "")


def _event_title(model: type[EventPart]) -> str:
    kind = model.model_fields.get("kind")
    return event_name(model) + (f" ({kind.annotation.__args__[0]})" if kind else "")  # type: ignore[union-attr]


def _part(name: str, definitions: Schema) -> str:
    own = definitions[name]
    asked = "op" in own.get("properties", {})
    lines = [f"### {name}", "", plain_text(own["description"]), "", *table(own, asked=asked), "", "```json"]
    return "\n".join([*lines, json_text(example(own, definitions)), "```", ""])


def _parts(schema: Schema) -> list[str]:
    """What messages refer to and has no place of its own on the page: edits first, then by name."""
    results = {result.get("$ref", "").rpartition("/")[2] for result in schema["results"].values()}
    classes: list[type[BaseModel]] = [*ANSWERS, *MESSAGES, *(event for events in EVENTS.values() for event in events)]
    own = {model.__name__ for model in classes}
    own |= {"Request", "Message", "Event", "Nothing"}
    text = str(schema["$defs"]) + str(schema["results"])
    used = {name for name in results if text.count(f"'#/$defs/{name}'") > 1}
    rest = [name for name in schema["$defs"] if name not in own and (name not in results or name in used)]
    return sorted(rest, key=lambda name: ("op" not in schema["$defs"][name].get("properties", {}), name))


def _errors() -> str:
    lines = ["## Errors", "", "| code | family | meaning |", "|---|---|---|"]
    lines += [f"| `{code}` | `{cls.family}` | {text} |" for cls, codes in MEANINGS.items() for code, text in codes.items()]
    return "\n".join([*lines, ""])


def _codes(codes: tuple[str, ...]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _type(request: type[Request]) -> str:
    return str(request.model_fields["type"].default)


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]


def _squeezed(lines: list[str]) -> Iterator[str]:
    """No two empty lines in a row."""
    before = "x"
    for line in lines:
        if line or before:
            yield line
        before = line
