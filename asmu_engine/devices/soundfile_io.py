"""Sound files for the simulated devices; libsndfile is imported, and its errors are translated, here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmu_engine.devices.base import Block
from asmu_engine.protocol.device import MAX_IMPULSE_RESPONSE_FRAMES
from asmu_engine.protocol.errors import ConfigError, DeviceError

MAX_SOURCE_BYTES = 2**29
"""Largest sound that is added at the inputs, as float32 in memory; longer ones are for the ``file`` device."""


def open_soundfile(path: str) -> Any:
    """A `soundfile.SoundFile` open for reading; DeviceError says why there is none."""
    import soundfile

    if not Path(path).is_file():
        raise DeviceError(f"no sound file {path}", code="device_unknown", where=path)
    try:
        return soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise DeviceError(f"{path} is no sound file that can be read: {error}", code="device_failed", where=path) from None


def impulse_response(path: str, inputs: int, samplerate: float) -> NDArray[np.float64]:
    """The impulse response in `path`, shape (taps,) of a mono file or (taps, inputs).

    Raises
    ------
    ConfigError
        ``bad_config``: unreadable, empty, too long, of another samplerate, or of another number of channels.
    """
    with _opened(path, "ir") as file:
        _same_samplerate(file, path, "ir", samplerate)
        if file.channels not in (1, inputs):
            raise _bad(f"ir: {path} has {file.channels} channels; use 1, or one for each of the {inputs} inputs", "ir")
        if not 1 <= file.frames <= MAX_IMPULSE_RESPONSE_FRAMES:
            raise _bad(f"ir: {path} has {file.frames} frames; use 1 to {MAX_IMPULSE_RESPONSE_FRAMES}", "ir")
        taps: NDArray[np.float64] = file.read(dtype="float64", always_2d=True)
    if not np.isfinite(taps).all():
        raise _bad(f"ir: {path} holds NaN or infinite values", "ir")
    return taps[:, 0] if taps.shape[1] == 1 else taps


def source_sound(path: str, samplerate: float, rows: NDArray[np.intp]) -> Block:
    """The whole sound in `path` for the input rows in use, shape (frames, rows) or (frames, 1) of a mono file.

    Inputs beyond the file's channels get silence. ConfigError ``bad_config`` as in `impulse_response`.
    """
    with _opened(path, "source") as file:
        _same_samplerate(file, path, "source", samplerate)
        if file.frames == 0:
            raise _bad(f"source: {path} is empty", "source")
        if 4 * file.frames * file.channels > MAX_SOURCE_BYTES:
            raise _bad(f"source: {path} takes more than {MAX_SOURCE_BYTES >> 20} MiB in memory; use device file:{path}", "source")
        sound: Block = file.read(dtype="float32", always_2d=True)
    if sound.shape[1] == 1:
        return sound
    chosen = np.zeros((len(sound), len(rows)), dtype=np.float32)
    for column, row in enumerate(rows):
        if row < sound.shape[1]:
            chosen[:, column] = sound[:, row]
    return chosen


def _opened(path: str, option: str) -> Any:
    try:
        return open_soundfile(path)
    except DeviceError as error:
        raise _bad(f"{option}: {error.message}", option) from None


def _same_samplerate(file: Any, path: str, option: str, samplerate: float) -> None:
    if file.samplerate != samplerate:
        raise _bad(f"{option}: {path} has {file.samplerate} Hz, the engine {samplerate:g} Hz; convert one of them", option)


def _bad(message: str, option: str) -> ConfigError:
    return ConfigError(message, code="bad_config", where=option)
