"""Impulse responses as they come in messages and files, checked and in one form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.errors import DiskError

MAX_TAPS = 1_920_000
"""10 s at 192 kHz."""


def response_of(array: NDArray[np.floating], channels: int) -> NDArray[np.floating]:
    """An impulse response of shape (taps,), (taps, 1) or (taps, channels) as (taps, 1) or (taps, channels).

    Raises
    ------
    ValueError
        Another shape, no taps or more than `MAX_TAPS`.
    """
    taps = array[:, None] if array.ndim == 1 else array
    if taps.ndim != 2 or taps.shape[1] not in (1, channels):
        raise ValueError(
            f"an impulse response of shape {array.shape} for {channels} channels; use (taps,) or (taps, 1) for all of them, "
            f"or (taps, {channels})"
        )
    if not 1 <= len(taps) <= MAX_TAPS:
        raise ValueError(f"an impulse response of {len(taps)} taps; use 1 to {MAX_TAPS}")
    return taps


def read_response(path: str, samplerate: float) -> NDArray[np.float32]:
    """The impulse response in a sound file, shape (taps, file channels).

    Raises
    ------
    DiskError
        ``file_unreadable``; ``file_format`` where the samplerate differs, the length is not 1 to `MAX_TAPS`, or a sample is no
        finite number.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != samplerate:
                raise DiskError(
                    f"{path} has {file.samplerate} Hz, the engine {samplerate:g} Hz; convert the impulse response",
                    code="file_format",
                    where=path,
                )
            taps: NDArray[np.float32] = file.read(MAX_TAPS + 1, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DiskError(f"cannot read the impulse response {path}: {error}", code="file_unreadable", where=path) from None
    if not 1 <= len(taps) <= MAX_TAPS or not np.isfinite(taps).all():
        raise DiskError(
            f"{path} is no impulse response: it has {len(taps)} frames of the 1 to {MAX_TAPS} that can be used, "
            "or a sample that is NaN or infinite",
            code="file_format",
            where=path,
        )
    return taps
