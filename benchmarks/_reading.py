"""How fast `open_recording` gives back a span, against soundfile's own rate on the same files, alternately in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile

from asmu_control.exceptions import DiskError
from asmu_control.recording import Recording, Segment, open_recording

ROUNDS = 7
SPAN_BYTES = 256 * 1024 * 1024


def measure_reading(folder: Path, *, rounds: int = ROUNDS, span_bytes: int = SPAN_BYTES) -> list[dict[str, Any]]:
    """Read spans of a finished recording in many ways, each as `open_recording` does and as a bare loop over soundfile.

    Both give float32 arrays of frames and channels of the whole span, and these are compared, so that nothing wrong is fast. The
    files are in the system's cache for both. The span, of at most `span_bytes`, lies across the border of two segments where
    there are two.

    Returns
    -------
    list
        A row for each way: its name, the rates in MB/s of float32, and ``ratio``, the median of the rounds' own ratios.
    """
    with open_recording(folder) as rec:
        channels = len(rec.channels)
        frames = min(rec.frames, max(1, span_bytes // (4 * channels)))
        whole = [segment for segment in rec.segments if segment.state == "whole"]
        border = whole[1].first if len(whole) > 1 else rec.first + frames // 2
        start = max(rec.first, min(border - frames // 2, rec.position - frames))
        stop = start + frames
        block = max(1, min(frames, round(rec.samplerate)))
        ways: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
            ("span", lambda: rec.read(start, stop, gaps="zero"), lambda: _by_soundfile(whole, start, stop, channels)),
            (
                "blocks of 1 s",
                lambda: [part.data for part in rec.blocks(block, 0, start, stop, gaps="zero")],
                lambda: [_by_soundfile(whole, at, min(at + block, stop), channels) for at in range(start, stop, block)],
            ),
            (
                "one channel",
                lambda: rec.read(start, stop, 0, gaps="zero"),
                lambda: np.ascontiguousarray(_by_soundfile(whole, start, stop, channels)[:, :1]),
            ),
        ]
        size = 4 * len(rec.channels) * frames
        return [{"reading": name, **_compare(ours, theirs, size, rounds)} for name, ours, theirs in ways] + _mapped(rec, rounds)


def _compare(ours: Callable[[], Any], theirs: Callable[[], Any], size: int, rounds: int) -> dict[str, Any]:
    """One round of each to warm up and to compare, then one after the other, so that both meet the same machine."""
    mine, bare = ours(), theirs()
    same = np.array_equal(mine, bare) if isinstance(mine, np.ndarray) else all(map(np.array_equal, mine, bare))
    if not same:
        raise AssertionError("open_recording and soundfile read different samples")
    del mine, bare
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    return {
        "span_MB": size / 1e6,
        "open_recording_MB_per_s": size / 1e6 / median(mine for mine, _ in times),
        "soundfile_MB_per_s": size / 1e6 / median(bare for _, bare in times),
        "ratio": median(bare / mine for mine, bare in times),
    }


def _mapped(rec: Recording, rounds: int) -> list[dict[str, Any]]:
    """The greatest sample of a segment, through its map and through soundfile; nothing for files that cannot be mapped."""
    segment = rec.segments[0]
    assert segment.path is not None
    path = segment.path
    try:
        kind = rec.memmap(segment).dtype
    except DiskError:
        return []
    if kind != np.dtype("<f4"):
        return []  # the maximum of the file's own numbers is another
    size = 4 * len(rec.channels) * segment.frames

    def by_map() -> Any:
        mapped = rec.memmap(segment)
        return np.array([mapped.max()])

    def by_soundfile() -> Any:
        return np.array([soundfile.read(path, dtype="float32", always_2d=True)[0].max()])

    return [{"reading": "maximum of a mapped segment", **_compare(by_map, by_soundfile, size, rounds)}]


def _seconds(job: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def _by_soundfile(segments: list[Segment], start: int, stop: int, channels: int) -> Any:
    """The frames of segments that follow each other, by the shortest loop over soundfile that copies nothing twice."""
    out = np.empty((stop - start, channels), np.float32)
    for segment in segments:
        begin, end = max(start, segment.first), min(stop, segment.stop)
        if begin < end:
            with soundfile.SoundFile(segment.path) as file:
                file.seek(begin - segment.first)
                file.read(out=out[begin - start : end - start])
    return out
