"""The messages as JSON Schema (draft 2020-12), made from their classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from asmu_engine.protocol.messages import AnyRequest
from asmu_engine.protocol.replies import ANSWERS, MESSAGES
from asmu_engine.protocol.topics import EVENTS
from asmu_engine.protocol.version import PROTOCOL_VERSION

Schema = dict[str, Any]

_REF = "#/$defs/{model}"


class _Generator(GenerateJsonSchema):
    def sort(self, value: Any, parent_key: str | None = None) -> Any:
        """Fields, and those of examples, stay in the order in which they were written."""
        return value


def json_schema() -> Schema:
    """One document: a message is a request, what comes back, or an event; ``results`` says what a request is answered with.

    Arrays, which are msgpack extensions, stand in it as values of any type.
    """
    tops: dict[Any, Any] = {
        "Request": AnyRequest,
        "Message": _union(MESSAGES),
        "Event": _union(model for models in EVENTS.values() for model in models),
        **{request: answer.result for request, answer in ANSWERS.items()},
    }
    generator = _Generator(by_alias=True, ref_template=_REF)
    made, found = generator.generate_definitions([(key, "validation", TypeAdapter(top).core_schema) for key, top in tops.items()])
    references: dict[Any, Any] = {key: made[key, "validation"] for key in tops}
    definitions: dict[Any, Any] = {**found, **{name: references[name] for name in ("Request", "Message", "Event")}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"asmu protocol, version {PROTOCOL_VERSION}",
        "anyOf": [{"$ref": _REF.format(model=name)} for name in ("Request", "Message", "Event")],
        "results": {str(request.model_fields["type"].default): references[request] for request in ANSWERS},
        "$defs": {name: _tidy(definition) for name, definition in sorted(definitions.items())},
    }


def plain_text(docstring: str) -> str:
    """A docstring without its doctests.

    >>> plain_text("A thing.\\n\\n>>> 1\\n1\\n")
    'A thing.'
    """
    return docstring.split(">>>", maxsplit=1)[0].strip()


def _tidy(definition: Schema) -> Schema:
    """Without doctests and titles; what tells classes apart is required, whatever default it has in Python."""
    properties = {name: {k: v for k, v in p.items() if k != "title"} for name, p in definition.get("properties", {}).items()}
    constant = [name for name, p in properties.items() if "const" in p]
    for name in constant:
        properties[name].pop("default", None)
    tidied = {**definition}
    if properties:
        tidied["properties"] = properties
        tidied["required"] = list(dict.fromkeys([*constant, *definition.get("required", ())]))
    if "description" in definition:
        tidied["description"] = plain_text(definition["description"])
    return tidied


def _union(models: Iterable[type[BaseModel]]) -> Any:
    union: Any = None
    for model in models:
        union = model if union is None else union | model
    return union
