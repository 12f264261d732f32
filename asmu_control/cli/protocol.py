"""``asmu protocol``: every message between an engine and its clients."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def protocol(
    name: Annotated[
        str | None, typer.Argument(help="Only this one: a request, a topic or a part of messages, such as transaction.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print JSON Schema instead of the page.")] = False,
) -> None:
    """Print the protocol as a page in Markdown: messages, fields, units, ranges, errors, wire form."""
    from asmu_engine.protocol.document import page, section
    from asmu_engine.protocol.schema import json_schema

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    else:
        typer.echo(page() if name is None else section(name), nl=False)
