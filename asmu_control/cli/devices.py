"""``asmu devices``: what PortAudio offers, and what works without it."""

from __future__ import annotations

import json
from typing import Annotated, cast

import typer

from asmu_control.cli.output import console
from asmu_control.devicelist import DeviceList, query_devices


def devices(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False) -> None:
    """List the sound devices."""
    found = cast(DeviceList, query_devices())
    if as_json:
        typer.echo(json.dumps(found))
        return
    from rich.table import Table

    table = Table("", "index", "name", "host API", "inputs", "outputs", "samplerate", box=None)
    for device in found:
        mark = ("in" if device["default_input"] else "") + ("/" if device["default_input"] and device["default_output"] else "")
        mark += "out" if device["default_output"] else ""
        table.add_row(
            mark,
            str(device["index"]),
            device["name"],
            device["hostapi_name"],
            str(device["max_input_channels"]),
            str(device["max_output_channels"]),
            f"{device['default_samplerate']:g}",
        )
    screen = console()
    screen.print(table if found else "PortAudio knows no sound device.")
    screen.print(
        "Without a sound device: --device virtual, file:PATH or offline; the first column marks the defaults.", style="dim"
    )
