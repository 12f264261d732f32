"""Entry of the command ``asmu``: its verbs, and one line for an error instead of a traceback."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from asmu_control.cli import demo, devices, engine
from asmu_engine import __version__
from asmu_engine.protocol.errors import AsmuError

app = typer.Typer(
    help="Multichannel audio playback, processing and recording for acoustic measurement.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(engine.app, name="engine")
app.command("demo")(demo.demo)
app.command("devices")(devices.devices)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; exit status 0, 1 after an error, 2 for wrong arguments."""
    try:
        app()
    except AsmuError as error:
        typer.echo(f"asmu: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
