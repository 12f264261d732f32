"""``asmu record``: inputs of a device into a folder, for as long as it takes, with an account of every frame."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from asmu_control.cli.recordrun import Signals, find_job, follow, over, own_words, verdict
from asmu_control.cli.recordview import RecordView
from asmu_control.units import duration
from asmu_engine.protocol.errors import ConfigError, DeviceError, EngineError, PatchError

if TYPE_CHECKING:
    from asmu_control.analyzer.acquisition import Acquisition
    from asmu_control.client import Client

_CLIENT: Final = "asmu-record"
"""What engines know this command by. The taps of its recordings go with them."""


def record(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The recording folder, which is made.")],
    engine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Engine that runs, or tcp://HOST:PORT; default: one of this command's own.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Key file, for an engine at a tcp:// address.")] = None,
    device: Annotated[str | None, typer.Option(help="Of its own engine: portaudio:NAME, virtual … default: ASMU_DEVICE.")] = None,
    samplerate: Annotated[float | None, typer.Option(help="Of its own engine, Hz.")] = None,
    blocksize: Annotated[int | None, typer.Option(help="Of its own engine, frames a block.")] = None,
    setup: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Set-up file (.asmu): names and calibrations of the channels.")
    ] = None,
    channels: Annotated[str | None, typer.Option(metavar="1-8,12", help="Inputs of the device; default: all.")] = None,
    rollover: Annotated[str, typer.Option(metavar="TIME|SIZE", help="New segment after 1h, 2GB, '1h,2GB'; or none.")] = "1h",
    align: Annotated[bool, typer.Option("--align", help="Segments begin with the UTC clock: on the hour, for 1h.")] = False,
    seconds: Annotated[
        str | None, typer.Option(metavar="TIME", help="End by itself, exact to the frame: 90, 10min, 3d; default: with Ctrl-C.")
    ] = None,
    file_format: Annotated[str, typer.Option("--format", help="WAV, RF64, W64, CAF, FLAC …, or HDF5.")] = "WAV",
    subtype: Annotated[str, typer.Option(help="FLOAT, PCM_24 …; default: the finest that the format holds.")] = "",
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=TEXT", help="Text to store in each segment; repeat it.")] = None,
    on_full: Annotated[
        str | None, typer.Option(metavar="WHAT", help="stop, drop_oldest or second_folder, when the disk is full or gone.")
    ] = None,
    second_folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to go on then.")] = None,
    free: Annotated[str | None, typer.Option(metavar="SIZE", help="Left free on the disk; default 64MiB.")] = None,
    sync: Annotated[str | None, typer.Option(metavar="TIME", help="At most so much is not on the disk yet; default 1s.")] = None,
    fill: Annotated[
        str | None, typer.Option(metavar="TIME", help="Losses up to this are zeros in the file; default 10s.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="With --engine: goes on when this command ends, until --stop.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a folder that was left unfinished.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Only look at what an engine records into DIR.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what an engine records into DIR.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print only the final status, as one JSON object.")] = False,
) -> None:
    """Record inputs into a folder: segments, a manifest, a ledger of all that is missing, and checksums.

    Ctrl-C ends it in order; with --keep it ends this command only.

    Exit status: 0 complete, 1 it did not work or ended early, 2 wrong arguments, 4 sound, but frames are missing.
    """
    if watch or stop:
        raise typer.Exit(_existing(out, engine, key, end=stop, quiet=as_json))
    options: dict[str, Any] = {
        "on_full": on_full,
        "second_folder": second_folder,
        "minimum_free": free,
        "sync_seconds": sync,
        "fill_seconds": fill,
        "tags": dict(map(_tag, tag or ())),
        "resume": resume,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(own_words())
        signals = stack.enter_context(Signals())
        try:
            from asmu_control.asetup import ASetup
            from asmu_control.interface import Interface

            length = None if seconds is None else duration(seconds, "seconds")
            client = None if engine is None else stack.enter_context(_connect(engine, key))
            asetup = None if setup is None else ASetup(setup)
            interface = stack.enter_context(Interface(asetup, device, samplerate, blocksize, engine=client))
            recording = interface.record(
                out,
                _channels_before(out) if resume and channels is None else channels,
                format=file_format.upper(),
                subtype=subtype.upper(),
                rollover=rollover,
                aligned=align,
                seconds=length,
                keep=keep,
                **{name: value for name, value in options.items() if value},
            )
        except (ConfigError, DeviceError, ValueError) as error:
            raise typer.BadParameter(str(error)) from None
        interface.start(drop=0)
        view = stack.enter_context(RecordView(out.name or str(out), length, quiet=as_json))
        try:
            status = follow(interface.client, recording.status(), signals, view, _numbers(recording), own=client is None)
        except EngineError:
            more = (
                "" if engine is None else f"; the engine goes on with it when started with: asmu engine start {engine} --resume"
            )
            view.say(f"{out} holds what was recorded so far{more}; check it with: asmu verify {out}")
            raise
        ended = over(status)
        goes_on = keep and not ended
        if not goes_on:
            view.show(status, None, (), "finishing")
            status = recording.close() if not ended else status
    if as_json:
        typer.echo(json.dumps(status))
    if goes_on:
        if not as_json:
            typer.echo(f"{out} goes on in engine {engine}, as job {status['job']}; to look at it, and to end it:")
            for what in ("watch", "stop"):
                typer.echo(f"  asmu record --engine {engine} --out {out} --{what}")
        return
    expected = 0 if length is None else int(length * (status.get("samplerate") or 0))
    early = ended and (length is None or (status.get("frames") or 0) < expected)
    with own_words():
        raise typer.Exit(verdict(out, status, early=early, quiet=as_json))


def _existing(out: Path, engine: str | None, key: Path | None, *, end: bool, quiet: bool) -> int:
    """Look at a recording that goes on in an engine, or end it; the exit status."""
    if engine is None:
        raise typer.BadParameter("--watch and --stop are for a recording in an engine: give --engine NAME")
    with Signals() as signals, _connect(engine, key) as client:
        status = find_job(client, out)
        with RecordView(out.name or str(out), quiet=quiet) as view:
            if end and not over(status):
                view.show(status, None, (), "finishing")
                status = client.stop_job(status["job"], timeout=None)
                if status["client"] == _CLIENT:
                    with contextlib.suppress(PatchError):  # somebody has done so already
                        client.edit([{"op": "remove", "node": status["node"]}])
            elif not over(status):
                status = follow(client, status, signals, view)
    if quiet:
        typer.echo(json.dumps(status))
    if not over(status):
        if not quiet:
            typer.echo(f"{out} goes on")
        return 0
    return verdict(out, status, early=False, quiet=quiet)


def _connect(engine: str, key: Path | None) -> Client:
    from asmu_control.connecting import connect

    return connect(engine, key, name=_CLIENT)


def _numbers(recording: Acquisition) -> Sequence[int]:
    """The device's numbers of what is recorded."""
    from asmu_control.io import IInput

    sources = [each.connected_output for each in recording.inputs]
    return [source.channel for source in sources if isinstance(source, IInput)]


def _channels_before(out: Path) -> list[int] | None:
    """The channels that a recording was begun with; None where its folder does not say."""
    from asmu_engine.recording.manifest import read_manifest

    numbers = [channel.device_channel for channel in read_manifest(out).channels]
    return [number for number in numbers if number is not None] if all(numbers) else None


def _tag(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"--tag {text!r}: write NAME=TEXT, such as 'title=take 1'")
    return name, value
