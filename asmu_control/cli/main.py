"""Entry of the command ``asmu``: its verbs, and one line for an error instead of a traceback."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from asmu_engine import __version__
from asmu_engine.protocol.errors import AsmuError

VERBS: Final = (
    "demo", "devices", "engine", "status", "record", "verify", "repair", "patch", "replay", "relay", "keys", "protocol",
)  # fmt: skip
"""Each is a module here, with a function of its name, or an ``app`` of verbs of its own."""


class Verbs(TyperGroup):
    """Loads a verb's module when it is called, or when help names them all."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In this order help shows them."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb; None where there is none of that name."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"asmu_control.cli.{cmd_name}")
        if hasattr(module, "app"):
            group = typer.main.get_group(module.app)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(getattr(module, cmd_name))
        return typer.main.get_command(alone)


app = typer.Typer(
    cls=Verbs,
    help="Multichannel audio playback, processing and recording for acoustic measurement.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


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
