"""Pieces of the page, made from a JSON Schema: the type of a field in words, a table of fields, an example."""

from __future__ import annotations

import json
from typing import Any, Final

from asmu_engine.protocol.version import NAME_PATTERN

Schema = dict[str, Any]

_WIDTH: Final = 110
_WORDS: Final = {"boolean": "true or false", "string": "text", "null": "null", "integer": "whole number", "number": "number"}


def type_text(schema: Schema) -> str:
    """The type and range of a value, in words.

    >>> type_text({"type": "integer", "minimum": 1, "exclusiveMaximum": 2**53})
    'whole number, 1 … 2^53 − 1'
    >>> type_text({"type": "array", "items": {"type": "number"}, "maxItems": 3})
    'list of at most 3: number'
    >>> type_text({"anyOf": [{"const": "a"}, {"type": "null"}]})
    '`"a"` or null'
    """
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(type_text(option) for option in schema[union])
    kind = schema.get("type")
    if kind == "array":
        return f"list{_length(schema)}: {type_text(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"map{_length(schema)}, text to {type_text(values) if isinstance(values, dict) else 'anything'}"
    if kind == "string":
        return _text(schema)
    return _WORDS[kind] + _range(schema) if kind else "anything"


def table(schema: Schema, *, asked: bool, skip: tuple[str, ...] = ()) -> list[str]:
    """Its fields as a table. `asked`: a client sends them and may leave out what has a default; else the engine does."""
    rows = ["| field | type and range | default | meaning |" if asked else "| field | type and range | meaning |"]
    rows.append("|---|---|---|---|" if asked else "|---|---|---|")
    for name, field in schema.get("properties", {}).items():
        if name in skip:
            continue
        required = name in schema.get("required", ())
        meaning = field.get("description", "which one this is" if "const" in field else "")
        if asked:
            default = "" if required else f"`{json.dumps(field.get('default', _empty(field)), ensure_ascii=False)}`"
            rows.append(f"| `{name}` | {type_text(field)} | {default} | {meaning} |")
        else:
            rows.append(f"| `{name}` | {type_text(field if required else _present(field))} | {meaning} |")
    return rows if len(rows) > 2 else []


def example(schema: Schema, definitions: Schema) -> Any:
    """A value of that schema: of what has an example that, of the rest what must be there."""
    if "$ref" in schema:
        return example(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return example(schema[union][0], definitions)
    if "properties" in schema:
        required = schema.get("required", ())
        fields = schema["properties"].items()
        return {name: example(field, definitions) for name, field in fields if name in required or field.get("examples")}
    if schema.get("type") == "array":
        return [example(schema["items"], definitions)] if schema.get("items", {}).keys() & {"$ref", "oneOf"} else []
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return {"gain1": example(values, definitions)} if isinstance(values, dict) and "$ref" in values else {}
    return {"boolean": False, "string": "", "integer": 0, "number": 0.0}.get(str(schema.get("type")))


def json_text(value: Any) -> str:
    """JSON as people read it: as much on a line as fits.

    >>> print(json_text({"a": [1, 2], "b": "x" * 90, "c": {"d": "y" * 30}}))
    {
      "a": [1, 2],
      "b": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
      "c": {"d": "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}
    }
    """
    return _filled(value, "", 0)


def _filled(value: Any, indent: str, column: int) -> str:
    whole = json.dumps(value, ensure_ascii=False)
    if column + len(whole) < _WIDTH or not isinstance(value, (dict, list)):
        return whole
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(k)}: {_filled(v, deeper, len(deeper) + len(k) + 4)}" for k, v in value.items()]
    else:
        items = [_filled(v, deeper, len(deeper)) for v in value]
    lines = [items[0]]
    for item in items[1:]:
        # Short ones stand side by side; what takes several lines stands alone.
        if len(deeper) + len(lines[-1]) + len(item) + 3 > _WIDTH or "\n" in item or "\n" in lines[-1]:
            lines.append(item)
        else:
            lines[-1] += f", {item}"
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(deeper + line for line in lines) + f"\n{indent}{closing}"


def _link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"[{name}](#{name.lower()})"


def _present(field: Schema) -> Schema:
    """The type of a field that may be absent: it is never null instead."""
    options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
    return {"anyOf": options} if options else field


def _empty(field: Schema) -> Any:
    return [] if field.get("type") == "array" else {}


def _text(schema: Schema) -> str:
    pattern = schema.get("pattern")
    if pattern == NAME_PATTERN:
        return "name"
    return "text" + _length(schema) + (f" like `{pattern}`" if pattern else "")


def _length(schema: Schema) -> str:
    low = schema.get("minItems", schema.get("minLength", schema.get("minProperties", 0)))
    high = schema.get("maxItems", schema.get("maxLength", schema.get("maxProperties")))
    if high is None:
        return f" of at least {low}" if low else ""
    if low == high:
        return f" of {low}"
    return f" of {low} to {high}" if low else f" of at most {high}"


def _range(schema: Schema) -> str:
    low, high, beyond = schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMaximum")
    if high is None and beyond is None:
        return "" if low is None else f" ≥ {_number(low)}"
    top = _number(high if high is not None else (beyond or 0) - 1)
    return f", {'' if low is None else _number(low)} … {top}"


def _number(value: float) -> str:
    """
    >>> _number(2**62 - 1), _number(0.5), _number(3600)
    ('2^62 − 1', '0.5', '3600')
    """
    for exponent in (31, 40, 53, 62, 63):
        if value in (2**exponent, 2**exponent - 1):
            return f"2^{exponent}" + ("" if value == 2**exponent else " − 1")
    return f"{value:g}" if isinstance(value, float) else str(value)
