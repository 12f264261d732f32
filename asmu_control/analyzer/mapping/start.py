"""Beginning to map: what may be asked for, and what it becomes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from asmu_control.analyzer.mapping.blockmap import BlockMap, Options
from asmu_control.analyzer.mapping.recordingplan import RecordingPlace, RecordingPlan
from asmu_control.analyzer.mapping.ringplan import RingPlan
from asmu_control.analyzer.mapping.wire import flatten
from asmu_control.exceptions import MapError, PatchError, RingError
from asmu_engine.shm.reader import RingReader

if TYPE_CHECKING:
    from asmu_control.analyzer.mapping.result import MapProgress
    from asmu_control.analyzer.mapping.wire import Piece
    from asmu_control.existingtap import TapReader
    from asmu_control.recording.recording import Recording
    from asmu_engine.shm.end import Frames

T = TypeVar("T")

_BLOCK_SECONDS = 0.1
_AHEAD = 4


class MapOptions(TypedDict, total=False):
    """What else may be said of a map; see `asmu_control.analyzer.Tap.map`."""

    blocksize: int | None
    hop: int | None
    timeout: float | None
    copy: bool
    ahead: int | None
    paced: bool
    progress: bool | Callable[[MapProgress], object]


def map_reader(
    reader: TapReader,
    name: str,
    function: Callable[[Frames], T],
    workers: int | None = None,
    **options: Unpack[MapOptions],
) -> BlockMap[T]:
    """Map a function over the blocks from where `reader` is; it is closed with the map. See `asmu_control.analyzer.Tap.map`."""
    try:
        if not isinstance(reader, RingReader):
            raise RingError(
                f"tap {name} is on another machine; its blocks come here one after another, so compute in the loop: "
                "for block in tap.blocks(…)",
                code="ring_access",
                where=name,
            )
        frames, step, settings = _settings(name, reader.samplerate, reader.capacity // 2, workers, options)
        pieces = _function_pieces(function)
        return BlockMap(RingPlan(reader, frames, step, paced=options.get("paced", False)), pieces, settings)
    except BaseException:
        reader.close()
        raise


def map_recording(
    recording: Recording,
    span: tuple[int, int],
    function: Callable[[Frames], T],
    workers: int | None,
    *,
    reading: dict[str, Any],
    **options: Unpack[MapOptions],
) -> BlockMap[T]:
    """Map a function over the blocks of a span; `reading` goes to `Recording.blocks`. See `Recording.map`."""
    first, last = span
    frames, step, settings = _settings(recording.path.name, recording.samplerate, last - first, workers, options)
    place = RecordingPlace(recording, first, frames, reading)
    return BlockMap(RecordingPlan(place, last, step), _function_pieces(function), settings)


def _settings(name: str, samplerate: float, most: int, workers: int | None, options: MapOptions) -> tuple[int, int, Options]:
    """What was asked for, checked: length of a block, hop, and the rest."""
    workers = _count("workers", workers, max(1, (os.cpu_count() or 2) - 1), 1, 1024)
    frames = _count("blocksize", options.get("blocksize"), max(1, round(_BLOCK_SECONDS * samplerate)), 1, max(1, most))
    step = _count("hop", options.get("hop"), frames, 1, frames)
    ahead = _count("ahead", options.get("ahead"), _AHEAD * workers, 1, 1 << 20)
    copy, timeout, progress = options.get("copy", False), options.get("timeout"), options.get("progress", False)
    return frames, step, Options(name, frames, workers, ahead, copy, timeout, progress)


def _count(what: str, value: int | None, default: int, least: int, most: int) -> int:
    if value is None:
        return min(default, most)
    if isinstance(value, bool) or not hasattr(value, "__index__") or not least <= value.__index__() <= most:
        raise PatchError(f"{what} {value!r}: use a whole number from {least} to {most}", code="bad_value", where=what)
    return value.__index__()


def _function_pieces(function: Callable[[Frames], T]) -> list[Piece]:
    if not callable(function):
        raise PatchError(f"{function!r} is no function of a block", code="bad_value", where="function")
    try:
        return flatten(function, code=True)
    except Exception as error:
        raise MapError(
            f"the function cannot be sent to other processes: {error}; let it use arrays and numbers, not interfaces, files "
            "or locks, or make these in the function itself",
            code="function_unusable",
            where=getattr(function, "__qualname__", repr(function)),
        ) from error
