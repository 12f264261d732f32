"""``asmu engine start|stop|status|list``: engines that stay when a script ends."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from asmu_control.cli.output import console
from asmu_control.client import Client
from asmu_control.launch import END_TIMEOUT, start_detached
from asmu_engine.config import make_config
from asmu_engine.protocol.errors import EngineError
from asmu_engine.protocol.runtime import is_running, running_engines

app = typer.Typer(help="Start, stop and look at engines.", no_args_is_help=True)

DEFAULT_NAME: Final = "default"
_POLL_SECONDS: Final = 0.05
_FILES_SECONDS: Final = 600.0
"""The last segments of recordings may have to be encoded and checked."""

Name = Annotated[str, typer.Argument(help="Name of the engine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def start(
    name: Annotated[
        str | None, typer.Argument(help=f"Name of the engine; default: that of --config, else {DEFAULT_NAME!r}.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="virtual:…, file:PATH, offline, or a PortAudio device; default: ASMU_DEVICE.")
    ] = None,
    samplerate: Annotated[float | None, typer.Option(help="Hz.")] = None,
    blocksize: Annotated[int | None, typer.Option(help="Frames a block.")] = None,
    plugin: Annotated[list[str] | None, typer.Option(help="Module or .py file with cores of your own; may be repeated.")] = None,
    ring_seconds: Annotated[float | None, typer.Option(help="Seconds of audio that a tap keeps.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings as TOML; the options above come before them.")] = None,
    autostart: Annotated[bool | None, typer.Option("--autostart", help="Run the device at once.")] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="tcp://ADDRESS:PORT", help="Let clients of other machines in, each with a key; see asmu keys."),
    ] = None,
    recordings: Annotated[
        Path | None, typer.Option(help="Folder for recordings; the only one that clients of other machines reach.")
    ] = None,
    journal: Annotated[Path | None, typer.Option(help="File that every transaction is appended to, for asmu replay.")] = None,
    announce: Annotated[
        bool | None, typer.Option("--announce", help="Tell the local network of this engine (needs the package zeroconf).")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="PORT", help="Serve /metrics and /healthz on this loopback port; 0 for a free one.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Log as JSON lines there, in files that are rotated.")] = None,
    reopen: Annotated[
        bool | None,
        typer.Option("--reopen", help="Look for a device that was lost until it is back, also where nothing is recorded."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the settings, patch, device and recordings of an engine that died.")
    ] = False,
) -> None:
    """Start an engine that goes on until it is stopped."""
    plugins = tuple(str(Path(p).resolve()) if p.endswith(".py") else p for p in plugin or ()) or None
    info = start_detached(
        make_config(
            config,
            name=name,
            device=device,
            samplerate=samplerate,
            blocksize=blocksize,
            plugins=plugins,
            ring_seconds=ring_seconds,
            autostart=autostart,
            listen=listen,
            recordings=str(recordings.absolute()) if recordings else None,
            journal=str(journal.absolute()) if journal else None,
            announce=announce,
            metrics=metrics,
            log=str(log.absolute()) if log else None,
            reopen=reopen,
            environment=not resume,
        ),
        resume=resume,
    )
    typer.echo(f"engine {info.name} runs (process {info.pid}); stop it with: asmu engine stop {info.name}")
    if resume:
        typer.echo(_resumed(info.name))
    if info.metrics:
        typer.echo(f"figures for Prometheus at {info.metrics}, health at {info.metrics.removesuffix('metrics')}healthz")
    if info.listen:
        typer.echo(f"clients of other machines come in at {info.listen}, each with a key: asmu keys new NAME --out FILE")


def _resumed(name: str) -> str:
    """What an engine has gone on with."""
    with Client.connect(name, "asmu") as client:
        status = client.request({"type": "status"})
        nodes = client.request({"type": "patch"})["nodes"]
    if not status["frame_position"] and not nodes:
        return "there was nothing to go on with"
    patch = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return f"it goes on at frame {status['frame_position']} with {patch}; its recordings follow: asmu status {name}"


@app.command()
def stop(name: Name = DEFAULT_NAME) -> None:
    """End an engine: its recordings are finished first."""
    with Client.connect(name, "asmu") as client:
        client.request({"type": "shutdown"}, _FILES_SECONDS)
    deadline = time.monotonic() + END_TIMEOUT
    while is_running(name):
        if time.monotonic() > deadline:
            raise EngineError(f"engine {name!r} did not end within {END_TIMEOUT:g} s", code="engine_failed", where=name)
        time.sleep(_POLL_SECONDS)
    typer.echo(f"engine {name} ended")


@app.command()
def status(name: Name = DEFAULT_NAME, as_json: AsJson = False) -> None:
    """Show state, device, counters, processes and what the system granted."""
    with Client.connect(name, "asmu") as client:
        facts = client.request({"type": "status"})
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _show(facts)


@app.command()
def unit(
    name: Annotated[str | None, typer.Argument(help="Name of the engine; default: that of --config.")] = None,
    config: Annotated[Path | None, typer.Option(help="The engine's settings as TOML; all of them may stand there.")] = None,
    user: Annotated[
        str, typer.Option(help="For a unit of the system, which runs as this user; else it is one of your own.")
    ] = "",
) -> None:
    """Print a systemd unit for an engine that runs for weeks, and goes on where it was when it, or the machine, died."""
    from asmu_control.cli.unit import unit_text

    settings = make_config(config, name=name)
    typer.echo(unit_text(settings.name, ["--config", str(config.absolute())] if config else [], user), nl=False)


@app.command(name="list")
def list_engines(
    as_json: AsJson = False,
    network: Annotated[
        bool, typer.Option("--network", help="List those that announce themselves in the local network (needs zeroconf).")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="How long to listen for them, with --network.")] = 2.0,
) -> None:
    """List the engines of this user that run, or those in the local network."""
    if network:
        _list_network(seconds, as_json)
        return
    engines = running_engines()
    if as_json:
        typer.echo(json.dumps([asdict(info) for info in engines]))
        return
    if not engines:
        typer.echo("no engine runs; start one with: asmu engine start NAME")
        return
    from rich.table import Table

    table = Table("name", "process", "version", "owner", "network", box=None)
    for info in engines:
        table.add_row(info.name, str(info.pid), info.version, "a script" if info.private else "nobody", info.listen)
    console().print(table)


def _list_network(seconds: float, as_json: bool) -> None:
    from asmu_control.discovery import browse

    engines = browse(seconds)
    if as_json:
        typer.echo(json.dumps([asdict(found) for found in engines]))
        return
    if not engines:
        typer.echo("no engine announces itself in the local network; one does when started with --listen and --announce")
        return
    from rich.table import Table

    table = Table("name", "endpoint", "host", "version", "key", box=None)
    for found in engines:
        table.add_row(found.name, found.url, found.host, found.version, found.fingerprint)
    console().print(table)


def _show(facts: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column()
    for key, value in _rows(facts):
        table.add_row(key, value)
    console().print(table)


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    counters = facts.get("counters") or {}
    device = facts.get("device")
    rows = [
        ("engine", f"{facts['name']} {facts['version']}, protocol {facts['protocol']}, up {_duration(facts.get('uptime') or 0)}"),
        ("state", facts["state"] + (f": {facts['reason']}" if facts.get("reason") else "")),
        ("device", device["name"] if isinstance(device, dict) else "none open"),
        ("format", f"{facts['samplerate']:g} Hz, blocks of {facts['blocksize']} frames"),
        ("patch", f"revision {facts['revision']}"),
        ("position", f"{counters.get('frame_position', 0)} frames, {counters.get('blocks', 0)} blocks"),
        ("callback", ", ".join(f"{key} {value} µs" for key, value in counters.get("callback_us", {}).items())),
        ("late", f"{counters.get('deadline_misses', 0)} blocks missed their deadline"),
        ("lost", f"{counters.get('lost_frames', 0)} frames"),
        ("xruns", ", ".join(f"{counters.get(key, 0)} {key.replace('_', ' ')}" for key in _XRUNS)),
        ("core failures", str(counters.get("core_exceptions", 0))),
    ]
    rows += [(key.replace("_", " "), _grant(value)) for key, value in (facts.get("realtime") or {}).items()]
    rows += [(f"{key} process", _process(value)) for key, value in (facts.get("processes") or {}).items() if value]
    rows += [
        ("client", f"{client.get('name') or client.get('id')} (process {client.get('pid')})")
        for client in facts.get("clients") or ()
    ]
    rows += [
        (
            "job",
            f"{job['job']}: {job['kind']} {job['path']}, {job['state']}, "
            f"{job.get('frames', 0)} frames, {job.get('lost_frames', 0)} lost",
        )
        for job in facts.get("jobs") or ()
    ]
    return rows


_XRUNS: Final = ("input_underflow", "input_overflow", "output_underflow", "output_overflow")


def _grant(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _process(facts: dict[str, Any]) -> str:
    parts = [str(facts.get("pid"))]
    if facts.get("rss"):
        parts.append(f"{facts['rss'] / 2**20:.1f} MiB")
    if facts.get("restarts"):
        parts.append(f"restarted {facts['restarts']} times")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
