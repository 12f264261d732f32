"""``asmu verify``: is a recording what its ledger says?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asmu_control.cli.output import console

if TYPE_CHECKING:
    from rich.progress import Progress


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the recording.")],
    quick: Annotated[bool, typer.Option("--quick", help="Without checksums, for which every byte is read.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw segments, gaps and clocks over time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as one JSON object.")] = False,
) -> None:
    """Check everything about a recording: continuity, files, checksums, ledger, clocks. Nothing is changed.

    Exit status: 0 whole, 1 it is no recording or cannot be read, 2 wrong arguments, 4 sound, with losses that the ledger accounts
    for, 5 damaged: something is missing that nothing accounts for, or was changed, 6 unfinished: `asmu repair` makes it whole,
    or it is being recorded.
    """
    from asmu_engine.recording.verify import verify_recording

    if plot is not None and plot.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise typer.BadParameter(f"{plot} is no picture: name a .png, .pdf or .svg")
    with HashProgress(quiet=as_json or quick) as progress:
        verdict = verify_recording(folder, quick=quick, progress=progress.update)
    if plot is not None:
        from asmu_control.timelineplot import draw_timeline

        draw_timeline(verdict, plot)
    typer.echo(json.dumps(verdict.to_json()) if as_json else str(verdict))
    raise typer.Exit(verdict.exit_status)


class HashProgress:
    """How much has been hashed, with the time that is left; nothing where the output is no terminal, or is to be `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> HashProgress:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        terminal = console()
        if not self._quiet and terminal.is_terminal:
            columns = (TextColumn("checksums"), BarColumn(40), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=terminal, transient=True)
            self._progress.start()
            self._task = self._progress.add_task("checksums", total=None)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, done: int, total: int) -> None:
        """So many bytes of all are done."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total)
