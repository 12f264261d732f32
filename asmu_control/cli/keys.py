"""``asmu keys new|list|revoke``: who may come in from other machines, where an engine listens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast

import typer

from asmu_control.cli.output import console
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.keys import ClientKey, KeyRing, fingerprint
from asmu_engine.protocol.request import Role

app = typer.Typer(help="Keys with which clients of other machines come in.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the key: of a person, a machine, a program.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def new(
    name: Name,
    role: Annotated[
        str,
        typer.Option(help="observer: look; operator: also edit, play and record; admin: also start, stop, shut down and revoke."),
    ] = "observer",
    out: Annotated[Path | None, typer.Option(help="The client's key file; default: NAME.key in this folder.")] = None,
) -> None:
    """Make a key, and let whoever has its file in."""
    import zmq

    ring = KeyRing()
    path = out or Path(f"{name}.key")
    server = ring.server_key(zmq.curve_keypair)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    ClientKey(name, public, secret, server.public).save(path)
    try:
        ring.allow(name, public, cast(Role, role))
    except AsmuError:
        path.unlink()  # a key that opens nothing
        raise
    typer.echo(f"{path} lets its owner in as {role}; carry it there privately, keep it at mode 0600, and use it as")
    typer.echo(f'asmu_control.connect("tcp://HOST:PORT", key="{path.name}")')


@app.command(name="list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, with the fingerprint of this user's engines."""
    ring = KeyRing()
    ring.refresh()
    server = ring.server_public()
    if as_json:
        facts = {
            "folder": str(ring.folder),
            "server": fingerprint(server) if server else None,
            "keys": [key.facts() for key in ring.all()],
            "problems": ring.problems,
        }
        typer.echo(json.dumps(facts))
        return
    for problem in ring.problems:
        typer.echo(f"left out: {problem}", err=True)
    if server:
        typer.echo(f"engines of this user have the key {fingerprint(server)}")
    if not ring.all():
        typer.echo("there is no key of a client; make one with: asmu keys new NAME --role ROLE --out FILE")
        return
    from rich.table import Table

    table = Table("name", "role", "made (UTC)", "revoked (UTC)", "fingerprint", box=None)
    for key in ring.all():
        table.add_row(key.name, key.role, _minute(key.made), _minute(key.revoked), fingerprint(key.public))
    console().print(table)


@app.command()
def revoke(name: Name) -> None:
    """Let a key in no more: running engines end its connections within a second."""
    key = KeyRing().revoke(name)
    typer.echo(f"key {key.name} is revoked since {key.revoked}")


def _minute(moment: str) -> str:
    """Date and time, to the minute."""
    return moment[:16].replace("T", " ")
