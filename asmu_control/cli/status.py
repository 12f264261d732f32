"""``asmu status``: an engine at a glance, on one screen that refreshes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from asmu_control.cli.output import console
from asmu_control.client import Client
from asmu_engine.recording.numbers import signed

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_BAR: Final = 20
_XRUNS: Final = ("input_overflow", "input_underflow", "output_overflow", "output_underflow")


def status(
    name: Annotated[str, typer.Argument(help="Name of the engine.")] = "default",
    once: Annotated[bool, typer.Option("--once", help="Show it once; so it is where the output is no terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON once.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show how an engine does: audio, clock, recordings, disk, clients, processes. Ctrl-C leaves."""
    terminal = console()
    with Client.connect(name, "asmu") as client:
        facts = client.request({"type": "status"})
        if as_json:
            typer.echo(json.dumps(facts))
            return
        if once or not terminal.is_terminal:
            terminal.print(screen(facts))
            return
        from rich.live import Live

        with Live(screen(facts), console=terminal, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                live.update(screen(client.request({"type": "status"})), refresh=True)


def screen(facts: dict[str, Any]) -> RenderableType:
    """All of it; `facts` as the request `status` answers."""
    from rich.console import Group

    parts: list[RenderableType] = [_header(facts), _audio(facts)]
    recordings = [job for job in facts["jobs"] if job["kind"] != "play"]
    if recordings:
        parts.append(_recordings(recordings))
    parts.append(_others(facts))
    return Group(*parts)


def _header(facts: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    colour = {"running": "green", "stopped": "yellow"}.get(facts["state"], "red")
    device = facts["device"]
    what = f"{device['name']}, {len(device['inputs'])} in, {len(device['outputs'])} out" if device else "no device"
    return Text.assemble(
        (f" {facts['name']} ", "bold reverse"),
        "  ",
        (facts["state"], f"bold {colour}"),
        f": {facts['reason']}" if facts.get("reason") else "",
        f"  {what}  {facts['samplerate']:g} Hz, blocks of {facts['blocksize']}  up {duration(facts['uptime'])}\n",
    )


def _grid() -> Table:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    return table


def _audio(facts: dict[str, Any]) -> RenderableType:
    counters = facts["counters"]
    block_us = 1e6 * facts["blocksize"] / facts["samplerate"]
    times = counters["callback_us"]
    load = times["p99"] / block_us
    table = _grid()
    position = counters["frame_position"]
    table.add_row("position", f"{position} frames = {duration(position / facts['samplerate'])}")
    table.add_row(
        "callback",
        f"{_bar(load)} p50 {times['p50'] / block_us:.1%}, p99 {load:.1%}, longest {times['max'] / block_us:.1%} of a block",
    )
    xruns = [f"{counters[key]} {key.replace('_', ' ')}" for key in _XRUNS if counters[key]]
    table.add_row("xruns", _alarm(", ".join(xruns) or "none", bool(xruns)))
    table.add_row("deadline misses", _alarm(str(counters["deadline_misses"]), counters["deadline_misses"] > 0))
    table.add_row("lost by the device", _alarm(f"{counters['lost_frames']} frames", counters["lost_frames"] > 0))
    if counters["core_exceptions"]:
        table.add_row("core failures", _alarm(str(counters["core_exceptions"]), True))
    table.add_row("clock", _clock(facts.get("clock_fit")))
    return table


def _clock(fit: dict[str, Any] | None) -> str:
    if fit is None:
        return "not enough is known yet"
    return (
        f"{signed(fit['ppm'], 2)} ± {fit['ppm_uncertainty']:.2f} ppm over {duration(fit['seconds'])}, "
        f"residual {fit['residual_ns'] / 1e3:.0f} µs, a frame's time ± {fit['uncertainty_ns'] / 1e3:.0f} µs"
    )


def _recordings(jobs: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table

    table = Table("job", "to", "state", "time", "size", "lost", "ring", "disk", box=None, pad_edge=False, title_justify="left")
    table.title = "\nrecordings"
    table.columns[1].overflow = "fold"  # a path says most at its end
    for job in jobs:
        lost = job.get("lost") or ({"any cause": job["lost_frames"]} if job.get("lost_frames") else {})
        disk = job.get("disk") or {}
        size = "" if job.get("bytes") is None else amount(job["bytes"])
        table.add_row(
            str(job["job"]),
            job["path"],
            _alarm(job["state"], job["state"] == "failed"),
            duration(job.get("seconds") or 0.0),
            size,
            _alarm(", ".join(f"{count} {cause}" for cause, count in lost.items()) or "nothing", bool(lost)),
            f"{disk['behind_seconds']:.2f} s" if disk else "",
            _room(disk),
        )
    return table


def _room(disk: dict[str, Any]) -> str:
    if not disk:
        return ""
    left = disk.get("full_in_seconds")
    return f"{amount(disk['bytes_per_second'])}/s, {amount(disk['free_bytes'])} free" + (
        "" if left is None else f", full in {duration(left)}"
    )


def _others(facts: dict[str, Any]) -> RenderableType:
    table = _grid()
    table.add_row("", "")
    for name, process in facts["processes"].items():
        if process is None:
            continue
        memory = "" if process["rss"] is None else f", {amount(process['rss'])}"
        again = process.get("restarts", 0)
        replaced = f", replaced {again} ×" if again else ""
        table.add_row(f"{name} process", _alarm(f"{process['pid']}{memory}{replaced}", again > 0))
    clients = [f"{client['name'] or client['id']} ({client['role']}{', away' * client['away']})" for client in facts["clients"]]
    table.add_row("clients", ", ".join(clients))
    for job in facts["jobs"]:
        if job["kind"] == "play":
            table.add_row("player", f"{job['job']}: {job['path']}, {job['state']}")
        if reason := (job.get("error") or {}).get("message") or job.get("reason"):
            table.add_row(f"job {job['job']}", _alarm(reason, job["state"] == "failed"))
    return table


def _alarm(text: str, wrong: bool) -> Any:
    from rich.text import Text

    return Text(text, style="bold red" if wrong else "")


def _bar(share: float) -> str:
    filled = min(_BAR, max(0, round(_BAR * share)))
    return "█" * filled + "░" * (_BAR - filled)


def duration(seconds: float) -> str:
    """Days, hours, minutes and seconds.

    >>> duration(0.4), duration(3723), duration(200_000)
    ('0:00:00', '1:02:03', '2 d 7:33:20')
    """
    whole = int(seconds)
    days = f"{whole // 86400} d " if whole >= 86400 else ""
    return f"{days}{whole // 3600 % 24}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def amount(count: float) -> str:
    """Bytes with a decimal prefix.

    >>> amount(999), amount(1_536_000), amount(28.9e9)
    ('999 B', '1.5 MB', '28.9 GB')
    """
    value, prefixes = float(count), iter(("", "k", "M", "G", "T", "P"))
    prefix = next(prefixes)
    while value >= 999.95 and prefix != "P":
        value, prefix = value / 1000, next(prefixes)
    return f"{value:.1f} {prefix}B" if prefix else f"{value:.0f} B"
