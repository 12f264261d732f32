"""``asmu replay``: a session again from its journal, offline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def replay(
    journal: Annotated[Path, typer.Argument(help="The journal that an engine wrote (asmu engine start --journal FILE).")],
    out: Annotated[Path, typer.Option(help="Sound file for what the outputs played; .wav, .w64, .caf or .aiff.")],
    input_file: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="Sound file for the inputs, from where the device first ran."),
    ] = None,
    tap: Annotated[str | None, typer.Option(metavar="NODE", help="Render what this tap got, instead of the outputs.")] = None,
    plugin: Annotated[list[str] | None, typer.Option(help="Module or .py file with cores of your own; may be repeated.")] = None,
    session: Annotated[int, typer.Option(help="Which session of the journal, from 1; default: the last.")] = 0,
) -> None:
    """Play a session again from its journal, offline, to the same samples."""
    # Before numpy is loaded: as in the audio process, so that sums are added in the same order.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    from asmu_control.replay import replay as render

    plugins = [str(Path(p).resolve()) if p.endswith(".py") else p for p in plugin or ()]
    report = render(journal, out, input=input_file, tap=tap, plugins=plugins, session=session - 1)
    typer.echo(
        f"{out}: {report.frames} frames from frame position {report.position} on, channels: {report.channels}, "
        f"{report.transactions} transactions"
    )
    for warning in report.warnings:
        typer.echo(f"note: {warning}", err=True)
