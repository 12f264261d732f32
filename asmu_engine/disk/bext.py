"""The chunk that makes a WAV a Broadcast-WAV (EBU Tech 3285): when its first frame was, counted in frames since midnight."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Final

import soundfile

from asmu_engine.disk.formats import FileForm

FORMATS: Final = frozenset({"WAV", "WAVEX", "RF64"})

_SET_BROADCAST_INFO: Final = 0x10F1
"""``SFC_SET_BROADCAST_INFO`` of sndfile.h."""
_INFO: Final = struct.Struct("<256s32s32s10s8s2xIIh64s5h180sI256s")
"""``SF_BROADCAST_INFO`` of sndfile.h, with the two bytes by which a compiler aligns the time reference."""
_VERSION: Final = 2
_DAY_NS: Final = 86_400_000_000_000


def time_reference(utc_ns: int, samplerate: int) -> int:
    """Frames from midnight to a UTC, at the nominal samplerate.

    >>> time_reference(1_767_225_600_000_000_000 + 1_500_000_000, 48_000)
    72000
    """
    return round(utc_ns % _DAY_NS * samplerate / 1_000_000_000)


def broadcast_info(description: str, reference: str, utc_ns: int, samplerate: int) -> bytes:
    """What `set_broadcast_info` stores.

    Parameters
    ----------
    description, reference
        Free text of at most 256, and a text that tells the file from all others, of at most 32 bytes.
    utc_ns
        UTC of the first frame, ns since 1970.
    samplerate
        Hz.
    """
    moment = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
    frames = time_reference(utc_ns, samplerate)
    return _INFO.pack(
        description.encode("ascii", "replace"),
        b"asmu",
        reference.encode("ascii", "replace"),
        moment.strftime("%Y-%m-%d").encode(),
        moment.strftime("%H:%M:%S").encode(),
        frames & 0xFFFFFFFF,
        frames >> 32,
        _VERSION,
        bytes(64),
        0, 0, 0, 0, 0,
        bytes(180),
        0,
        bytes(256),
    )  # fmt: skip


def segment_info(form: FileForm, recording: str, index: int, utc_ns: int) -> bytes | None:
    """As `broadcast_info`, for a segment of a recording; None where its format has no such chunk."""
    if form.format not in FORMATS:
        return None
    return broadcast_info(f"recording {recording}, segment {index}", recording, utc_ns, form.samplerate)


def set_broadcast_info(file: soundfile.SoundFile, info: bytes) -> None:
    """Store it in a file to which nothing has been written; RuntimeError where libsndfile does not take it.

    soundfile has no call for it; libsndfile's own command is used.
    """
    buffer = soundfile._ffi.new("char[]", info)
    if not soundfile._snd.sf_command(file._file, _SET_BROADCAST_INFO, buffer, len(info)):
        raise RuntimeError(f"libsndfile puts no broadcast information into {file.format}")
