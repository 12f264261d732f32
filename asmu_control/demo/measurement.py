"""The measurement of the demo: an engine, a signal, a recording, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asmu_control.analyzer import Recorder, Tap
from asmu_control.demo.load import HotLoops
from asmu_control.demo.verify import NOISE_AMPLITUDE, NOISE_SEED, Samples, compare, find_delay, played_noise
from asmu_control.generator import Noise
from asmu_control.interface import Interface
from asmu_engine.protocol.device import File, parse_device
from asmu_engine.protocol.errors import ConfigError, DiskError

_LEVELS_SECONDS = 0.1
_XRUNS = ("input_underflow", "input_overflow", "output_underflow", "output_overflow")

Progress = Callable[[float, Samples, dict[str, Any]], None]
"""Called about ten times a second with seconds done, the newest input block (frames, channels) and the counters."""


@dataclass(frozen=True)
class DemoResult:
    """What `asmu demo` reports; `to_json` has the same names."""

    device: str
    samplerate: float
    blocksize: int
    channels: int
    seconds: float
    blocks: int
    deadline_misses: int
    xruns: int
    lost_frames: int
    recorded_frames: int
    bit_exact: bool
    delay_frames: int
    differing_samples: int
    first_difference: int | None
    callback_us: dict[str, float]
    hot_loops: int
    realtime: dict[str, Any]
    recording: str
    plot: str

    @property
    def passed(self) -> bool:
        """Nothing was lost, and the recording is exact."""
        return self.bit_exact and self.lost_frames == 0 and self.xruns == 0 and self.recorded_frames > 0

    @property
    def block_us(self) -> float:
        """Duration of a block, microseconds."""
        return 1e6 * self.blocksize / self.samplerate

    def to_json(self) -> dict[str, Any]:
        """All fields as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Demo:
    """What to run. `channels` of None: two, or as many as the file device has."""

    device: str
    seconds: float
    samplerate: float | None
    blocksize: int
    channels: int | None
    folder: Path

    def run(self, progress: Progress | None = None) -> tuple[DemoResult, Samples, Samples]:
        """Play, record and verify; the result (its plot still empty), and what was played and recorded: (frames, channels).

        Raises
        ------
        AsmuError
            The device, the engine or the disk refused; nothing is left running.
        """
        spec = parse_device(self.device)
        reference = _read(Path(spec.path)) if isinstance(spec, File) else None
        samplerate = self.samplerate or (reference[1] if reference else 48000)
        channels = self.channels or (reference[0].shape[1] if reference else 2)
        blocks = math.ceil(self.seconds * samplerate / self.blocksize)
        if reference:
            blocks = min(blocks, -(-len(reference[0]) // self.blocksize))
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "asmu_demo.wav"
        interface = Interface(device=self.device, samplerate=samplerate, blocksize=self.blocksize)
        recorder = Recorder(interface, path, channels=channels)
        tap = Tap(interface, channels)
        noise = None if reference else Noise(interface, seed=NOISE_SEED, amplitude=NOISE_AMPLITUDE)
        for index in range(channels):
            source = interface.iinput(idx=index, ch=index + 1)
            source.connect(recorder.input(index))
            source.connect(tap.input(index))
            if noise is not None:
                noise.output(index).connect(interface.ioutput(idx=index, ch=index + 1))
        with HotLoops() as load:
            interface.open()
            with tap.reader("oldest") as levels, interface.start(end_frame=blocks, drop=0) as stream:
                while stream.active:
                    if levels.wait(max(1, round(_LEVELS_SECONDS * samplerate)), 1.0) and progress is not None:
                        block = levels.read(levels.fill, copy=True)
                        if block is not None:
                            progress((block.position + len(block.data)) / samplerate, block.data, interface.stats())
            stats = interface.stats()
        recorded, _ = _read(path)
        if reference:
            played, delay = reference[0][: len(recorded), :channels], 0
        else:
            played = played_noise(len(recorded), channels)
            delay = find_delay(played, recorded, samplerate)
        verdict = compare(played, recorded, delay)
        result = DemoResult(
            device=self.device,
            samplerate=samplerate,
            blocksize=self.blocksize,
            channels=channels,
            seconds=round(len(recorded) / samplerate, 3),
            blocks=stats["blocks"],
            deadline_misses=stats["deadline_misses"],
            xruns=sum(stats[name] for name in _XRUNS),
            lost_frames=stats["lost_frames"],
            recorded_frames=len(recorded),
            bit_exact=verdict.exact,
            delay_frames=verdict.delay_frames,
            differing_samples=verdict.differing_samples,
            first_difference=verdict.first_difference,
            callback_us=stats["callback_us"],
            hot_loops=load.cores + 1,
            realtime=stats["realtime"],
            recording=str(path),
            plot="",
        )
        return result, played, recorded


def _read(path: Path) -> tuple[Samples, float]:
    import soundfile

    try:
        data, samplerate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DiskError(f"{path}: cannot be read: {error}", code="file_unreadable", where=str(path)) from None
    if not len(data):
        raise ConfigError(f"{path}: holds no frames", code="bad_config", where="device")
    return np.ascontiguousarray(data, dtype=np.float32), samplerate
