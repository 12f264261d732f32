"""Packing: blocks of float32 samples as bytes for the network, and back.

======= ============ =====================================================================================
format  bytes/sample what comes out
======= ============ =====================================================================================
float32 4            exactly what went in, NaN and infinities too
int16   2            steps of 2^-15
int24   3            steps of 2^-23; exact for samples that come from a converter of up to 24 bits
flac    about 1 to 3 the same samples as with int24, compressed without loss
======= ============ =====================================================================================

All little-endian, frame after frame, channel after channel within a frame. The integer forms round to the nearest step,
halves to the even one, and clip to the range of the integers: -1 up to one step below +1. A NaN becomes 0. Samples that were
clipped, and NaN, are counted, so that nobody takes them for what was measured.

FLAC knows at most 8 channels: wider blocks are cut into groups of 8 channels, the last one maybe smaller, each a FLAC file of
its own, one behind the other.
"""

from __future__ import annotations

import io
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from asmu_engine.protocol.errors import ConfigError, ProtocolError

Format = Literal["float32", "int16", "int24", "flac"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

FLAC_GROUP: Final = 8
"""Most channels of one FLAC file."""

Frames = npt.NDArray[np.float32]

_STEPS: Final = {"int16": 2.0**15, "int24": 2.0**23, "flac": 2.0**23}
_FLAC_RATE: Final = 48000  # FLAC cannot write every samplerate; the true one stands in the header of the message


class Packed(NamedTuple):
    """A block as bytes.

    `parts`: with FLAC, the length of each group's file in bytes; else empty. `clipped`: samples that did not fit the integers.
    """

    payload: bytes
    parts: tuple[int, ...]
    clipped: int


def check_format(name: str) -> Format:
    """The format of that name; ConfigError lists those that there are."""
    for known in FORMATS:
        if known == name:
            return known
    raise ConfigError(f"format {name!r}: use {', '.join(FORMATS)}", code="bad_config", where="format")


def pack_frames(data: Frames, form: Format) -> Packed:
    """A block of shape (frames, channels) as bytes."""
    if form == "float32":
        return Packed(data.astype("<f4", copy=False).tobytes(), (), 0)
    steps, clipped = _quantize(data, _STEPS[form])
    if form == "int16":
        return Packed(steps.astype("<i2").tobytes(), (), clipped)
    if form == "int24":
        return Packed(steps.astype("<i4", copy=False).view(np.uint8).reshape(-1, 4)[:, :3].tobytes(), (), clipped)
    files = [_write_flac(steps[:, begin : begin + FLAC_GROUP]) for begin in range(0, steps.shape[1], FLAC_GROUP)]
    return Packed(b"".join(files), tuple(len(file) for file in files), clipped)


def unpack_frames(payload: bytes | memoryview, form: Format, frames: int, channels: int, parts: tuple[int, ...] = ()) -> Frames:
    """The block that was packed: float32 of shape (frames, channels), maybe read-only.

    Raises
    ------
    ProtocolError
        ``bad_message``: the bytes are not that many frames of that many channels.
    """
    if form == "flac":
        return _read_flac(payload, frames, channels, parts)
    width = {"float32": 4, "int16": 2, "int24": 3}[form]
    if len(payload) != frames * channels * width:
        raise ProtocolError(
            f"{len(payload)} bytes for {frames} frames of {channels} channels as {form}: {frames * channels * width} are needed",
            code="bad_message",
        )
    if form == "float32":
        data = np.frombuffer(payload, "<f4").astype(np.float32, copy=False)
    elif form == "int16":
        data = np.frombuffer(payload, "<i2") * np.float32(1 / _STEPS[form])
    else:
        # In the upper three bytes of an integer of four the sign is where it belongs, and the step 256 times smaller.
        wide = np.zeros((frames * channels, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(payload, np.uint8).reshape(-1, 3)
        data = wide.view("<i4")[:, 0].astype(np.float32) * np.float32(1 / (256 * _STEPS[form]))
    return data.reshape(frames, channels)


def _quantize(data: Frames, steps: float) -> tuple[npt.NDArray[np.int32], int]:
    """The nearest integers, and how many samples had none."""
    # A power of two, so this product and the rounding are exact in float32.
    scaled = np.multiply(data, np.float32(steps), dtype=np.float32)
    np.rint(scaled, out=scaled)
    highest = scaled.max(initial=-np.inf)
    lowest = scaled.min(initial=np.inf)
    clipped = 0
    # With a NaN among the samples both are NaN, and the comparison is false.
    if scaled.size and not (lowest >= -steps and highest <= steps - 1):
        clipped = scaled.size - int(np.count_nonzero((scaled >= -steps) & (scaled <= steps - 1)))
        scaled[np.isnan(scaled)] = 0
        np.clip(scaled, -steps, steps - 1, out=scaled)
    return scaled.astype(np.int32), clipped


def _write_flac(steps: npt.NDArray[np.int32]) -> bytes:
    import soundfile

    with io.BytesIO() as file:
        # libsndfile takes the upper 24 of 32 bits.
        soundfile.write(file, steps << 8, _FLAC_RATE, format="FLAC", subtype="PCM_24")
        return file.getvalue()


def _read_flac(payload: bytes | memoryview, frames: int, channels: int, parts: tuple[int, ...]) -> Frames:
    import soundfile

    groups = -(-channels // FLAC_GROUP)
    if len(parts) != groups or min(parts, default=0) < 0 or sum(parts) != len(payload):
        raise ProtocolError(
            f"{channels} channels as flac: {groups} parts that make up {len(payload)} bytes are needed, not {list(parts)}",
            code="bad_message",
        )
    data = np.empty((frames, channels), np.float32)
    begin = 0
    for group, size in enumerate(parts):
        target = data[:, group * FLAC_GROUP : (group + 1) * FLAC_GROUP]
        try:
            with soundfile.SoundFile(io.BytesIO(payload[begin : begin + size])) as file:
                shape, steps = (file.frames, file.channels), file.read(dtype="int32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise ProtocolError(f"part {group} is not readable as flac: {error}", code="bad_message") from None
        if steps.shape != target.shape or shape != target.shape:
            raise ProtocolError(f"part {group} holds {steps.shape} frames and channels, not {target.shape}", code="bad_message")
        np.multiply(steps, np.float32(2.0**-31), out=target, dtype=np.float32, casting="unsafe")
        begin += size
    return data
