"""``asmu demo``: the main job once, with its report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asmu_control.cli.output import console

if TYPE_CHECKING:
    from rich.console import RenderableType

    from asmu_control.demo.measurement import DemoResult
    from asmu_control.demo.verify import Samples

_DEVICE = "virtual:inputs=2,outputs=2,delay_frames=128"


def demo(
    device: Annotated[str, typer.Option(help="Device to measure, e.g. portaudio, file:SOME.wav.")] = _DEVICE,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="How long to record.")] = 10.0,
    samplerate: Annotated[float | None, typer.Option(help="Hz; default 48000, or that of the file.")] = None,
    blocksize: Annotated[int, typer.Option(min=16, max=65536, help="Frames a block.")] = 256,
    channels: Annotated[int | None, typer.Option(min=1, max=256, help="Channels to play and record; default 2.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the recording and its plot.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the report.")] = False,
) -> None:
    """Play a signal, record it beside busy Python on every core, verify every sample.

    Ends with status 0 only if nothing was lost and the recording is exact.
    """
    from asmu_control.demo.measurement import Demo
    from asmu_control.demo.plot import draw

    job = Demo(device, seconds, samplerate, blocksize, channels, out.absolute())
    if as_json:
        result, played, recorded = job.run()
    else:
        with _LiveView(seconds) as view:
            result, played, recorded = job.run(view.update)
    plot = Path(result.recording).with_suffix(".png")
    draw(result, played, recorded, plot)
    result = replace(result, plot=str(plot))
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        console().print(_report(result))
    if not result.passed:
        raise typer.Exit(1)


class _LiveView:
    """Progress and levels while the measurement runs; nothing where the output is no terminal."""

    def __init__(self, seconds: float) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn

        self._terminal = console()
        self._progress = Progress(
            TextColumn("recording"),
            BarColumn(40),
            TextColumn("{task.completed:5.1f} of {task.total:.1f} s"),
            console=self._terminal,
        )
        self._task = self._progress.add_task("recording", total=seconds)
        self._live = Live(self._progress, console=self._terminal, refresh_per_second=10, transient=True)

    def __enter__(self) -> _LiveView:
        if self._terminal.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def update(self, seconds: float, block: Samples, stats: dict[str, Any]) -> None:
        """Show the newest block's levels."""
        from rich.console import Group

        self._progress.update(self._task, completed=seconds)
        self._live.update(Group(self._progress, *(_meter(number + 1, block[:, number]) for number in range(block.shape[1]))))


def _meter(channel: int, samples: Samples) -> RenderableType:
    import numpy as np
    from rich.text import Text

    peak = 20 * np.log10(max(float(np.abs(samples).max(initial=0)), 1e-9))
    rms = 10 * np.log10(max(float(np.square(samples, dtype=np.float64).mean()), 1e-18))
    filled = round(40 * min(max((rms + 60) / 60, 0), 1))
    colour = "red" if peak >= 0 else "green"
    return Text.assemble(
        f"input {channel:3d} ", ("█" * filled, colour), ("░" * (40 - filled), "dim"), f"  rms {rms:6.1f}  peak {peak:6.1f} dBFS"
    )


def _report(result: DemoResult) -> str:
    share = {name: f"{value:.0f} µs ({100 * value / result.block_us:.1f} %)" for name, value in result.callback_us.items()}
    exact = "yes, every sample" if result.bit_exact else f"no: {result.differing_samples} samples differ, the first in frame "
    if not result.bit_exact:
        exact += f"{result.first_difference}; expected of an analog loopback"
    rows = {
        "device": f"{result.device}, {result.channels} channels, {result.samplerate:g} Hz",
        "beside it": f"{result.hot_loops} hot Python loops",
        "audio thread": str(result.realtime.get("audio_thread", "unknown")),
        "blocks": f"{result.blocks} of {result.blocksize} frames ({result.block_us:.0f} µs)",
        "callback time": f"p50 {share['p50']}, p99 {share['p99']}, max {share['max']} of a block",
        "deadline misses": str(result.deadline_misses),
        "xruns": str(result.xruns),
        "lost frames": str(result.lost_frames),
        "recorded frames": f"{result.recorded_frames} ({result.seconds:g} s)",
        "exact": f"{exact} (delay {result.delay_frames} frames)",
        "recording": result.recording,
        "plot": result.plot,
    }
    # Plain lines: a table would cut the paths to the terminal's width.
    return "\n".join(f"{name:<16} {value}" for name, value in rows.items())
