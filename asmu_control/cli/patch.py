"""``asmu patch show|save|load|diff|history|undo``: the patch of an engine, as text, file and picture, and what was done to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from asmu_control.client import Client
    from asmu_control.patchdocument import PatchDocument

app = typer.Typer(help="Show, store, compare and take back what an engine's patch is.", no_args_is_help=True)

DEFAULT_NAME: Final = "default"

Engine = Annotated[str, typer.Argument(help="Name of the engine, or tcp://HOST:PORT.", show_default=True)]
EngineNamed = Annotated[str, typer.Argument(metavar="ENGINE", help="Name of the engine, or tcp://HOST:PORT.")]
Source = Annotated[str, typer.Argument(metavar="ENGINE|FILE", help="An engine, or a file that ends with .toml or .json.")]
Key = Annotated[Path | None, typer.Option(help="Key file, for an engine at a tcp:// address.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def show(
    source: Source = DEFAULT_NAME,
    key: Key = None,
    as_json: AsJson = False,
    dot: Annotated[bool, typer.Option("--dot", help="Print a graph for Graphviz.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the patch into an SVG file.")] = None,
) -> None:
    """Show a patch: nodes with their values, and connections; of large arrays only what they are."""
    document = _document(source, key, arrays=False)
    if svg is not None:
        from asmu_control.drawing import to_svg
        from asmu_control.patchfile import write_text

        write_text(svg, to_svg(document))
        typer.echo(f"{len(document.nodes)} nodes drawn into {svg}")
    elif dot:
        from asmu_control.drawing import to_dot

        typer.echo(to_dot(document), nl=False)
    else:
        typer.echo(document.to_json() if as_json else document.to_toml(), nl=False)


@app.command()
def save(
    engine: EngineNamed,
    file: Annotated[Path, typer.Argument(help="Ends with .toml or .json.")],
    key: Key = None,
) -> None:
    """Write the patch of an engine to a file that rebuilds it."""
    from asmu_control import patchfile

    with _connect(engine, key) as client:
        document = patchfile.save(client, file)
    typer.echo(f"{len(document.nodes)} nodes and {len(document.connections)} connections written to {file}")


@app.command()
def load(
    engine: EngineNamed,
    file: Annotated[Path, typer.Argument(help="Ends with .toml or .json.")],
    key: Key = None,
    add: Annotated[bool, typer.Option("--add", help="Beside what is there, instead of in its place.")] = False,
    any_samplerate: Annotated[
        bool, typer.Option("--any-samplerate", help="Also where the file was made at another samplerate.")
    ] = False,
) -> None:
    """Replace the patch of an engine by that in a file, all at once or not at all; it stays until somebody removes it."""
    from asmu_control import patchfile

    document = patchfile.read(file)
    with _connect(engine, key) as client:
        result = patchfile.load(client, document, add=add, any_samplerate=any_samplerate)
    typer.echo(f"revision {result['revision']}, from frame {result['at']} on: {len(document.nodes)} nodes of {file}")


@app.command()
def diff(before: Source, after: Source, key: Key = None) -> None:
    """Tell what makes the second patch of the first; exit status 1 where they differ."""
    lines = _document(before, key).differences(_document(after, key))
    for line in lines:
        typer.echo(line)
    if lines:
        raise typer.Exit(1)
    typer.echo("no difference")


@app.command()
def history(
    engine: Engine = DEFAULT_NAME,
    key: Key = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Show at most so many, the newest.")] = 20,
    edits: Annotated[bool, typer.Option("--edits", help="Show what each did.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the last transactions: revision, when, where on the frame axis, who, how many edits."""
    with _connect(engine, key) as client:
        entries = client.request({"type": "history", "limit": limit, "edits": edits})["entries"]
    if as_json:
        from asmu_engine.protocol.plain import to_plain

        typer.echo(json.dumps(to_plain(entries)))
        return
    for line in _table([_row(entry) for entry in entries], [entry.get("done") or () for entry in entries]):
        typer.echo(line)
    if not entries:
        typer.echo("nothing was done to this patch yet")


@app.command()
def undo(
    engine: Engine = DEFAULT_NAME,
    revision: Annotated[int | None, typer.Argument(help="What it did; default: the newest that is not undone.")] = None,
    key: Key = None,
) -> None:
    """Take back what one transaction did, by a new one; what comes back stays until somebody removes it."""
    with _connect(engine, key) as client:
        if revision is None:
            revision = _newest(client.request({"type": "history"})["entries"])
        result = client.request({"type": "undo", "revision": revision, "keep": True})
    typer.echo(f"revision {revision} is undone by revision {result['revision']}, from frame {result['at']} on")
    for call in result.get("not_undone") or ():
        typer.echo(f"not undone, as nothing takes it back: {_in_words(call)}")


def _newest(entries: list[dict[str, Any]]) -> int:
    """What a user means by the last one: no undoing, and not undone itself."""
    undone: set[int] = set()
    for entry in reversed(entries):
        if entry["revision"] in undone:
            continue  # what an undone undoing took back holds again
        if entry["undoes"]:
            undone.add(entry["undoes"])
        elif entry["undoable"]:
            return int(entry["revision"])
    raise PatchError("there is nothing to undo", code="not_undoable")


def _row(entry: dict[str, Any]) -> list[str]:
    when = datetime.fromtimestamp(entry["utc"]).astimezone().isoformat(" ", "milliseconds")
    count = f"{entry['edits']} edit{'s' if entry['edits'] > 1 else ''}"
    return [str(entry["revision"]), when, f"frame {entry['at']}", entry["author"], count, _remark(entry)]


def _table(rows: list[list[str]], details: list[Iterable[dict[str, Any]]]) -> Iterator[str]:
    """The rows in columns, never cut to the width of the terminal, each with its edits below it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, edits in zip(rows, details, strict=True):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for edit in edits:
            yield " " * (widths[0] + 2) + _in_words(edit)


def _remark(entry: dict[str, Any]) -> str:
    remarks = [f"undoes {entry['undoes']}"] if entry["undoes"] else []
    remarks += [f"{entry['late']} frames late"] if entry["late"] else []
    remarks += [] if entry["undoable"] else ["cannot be undone"]
    return ", ".join(remarks)


def _in_words(edit: dict[str, Any]) -> str:
    from asmu_control.patchdocument import shown

    match edit["op"]:
        case "add":
            return f"add {edit['node']}: {edit['kind']}, inputs {edit['inputs']}, outputs {edit['outputs']}"
        case "remove":
            return f"remove {edit['node']}"
        case "resize":
            return f"resize {edit['node']}: inputs {edit['inputs']}, outputs {edit['outputs']}"
        case "connect":
            return f"connect {edit['source']}:{edit['output']} -> {edit['target']}:{edit['input']}"
        case "disconnect":
            return f"disconnect {edit['target']}:{edit['input']}"
        case "call":
            return f"call {edit['node']}.{edit['call']}"
        case _:
            return "set " + ", ".join(f"{edit['node']}.{name} = {shown(value)}" for name, value in edit["parameters"].items())


def _document(source: str, key: Path | None, *, arrays: bool = True) -> PatchDocument:
    from asmu_control import patchfile

    if Path(source).suffix.lower() in patchfile.SUFFIXES:
        return patchfile.read(source)
    with _connect(source, key) as client:
        return patchfile.capture(client, arrays=arrays)


def _connect(engine: str, key: Path | None) -> Client:
    from asmu_control.connecting import connect

    return connect(engine, key, name="asmu")
