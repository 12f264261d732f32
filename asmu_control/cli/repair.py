"""``asmu repair``: makes a recording whole that a crash left unfinished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def repair(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the recording; it is not changed.")],
    out: Annotated[Path | None, typer.Option(metavar="COPY", help="Where the repaired copy goes; default: DIR.repaired.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Repair DIR itself, instead of a copy.")] = False,
    write_off: Annotated[
        bool, typer.Option("--write-off", help="Account finished segments that are gone, or cut short, as lost frames.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done, and the verdict, as one JSON object.")] = False,
) -> None:
    """Mend what a crash left, in a copy (finished segments are hard links), or with --in-place in the folder itself.

    Unfinished segments get their headers, formats and names, frames that never came to the disk an entry in the ledger, and the
    manifest and the checksums are written anew. Exit status: that of `asmu verify --quick` for the result, mostly 0 or 4; 1
    where it cannot be repaired, such as while it is being recorded.
    """
    from asmu_engine.recording.repair import repair_recording

    if in_place and out is not None:
        raise typer.BadParameter("--out names a copy, and --in-place makes none: choose one")
    result = repair_recording(folder, out=out, in_place=in_place, write_off=write_off)
    if as_json:
        facts = {"path": str(result.path), "actions": list(result.actions), "verdict": result.verdict.to_json()}
        typer.echo(json.dumps(facts))
    else:
        for action in result.actions or ("nothing to repair",):
            typer.echo(f"- {action}")
        typer.echo(str(result.verdict))
    raise typer.Exit(result.verdict.exit_status)
