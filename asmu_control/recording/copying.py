"""From the files of a recording into one array, with what is missing marked in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from asmu_control.exceptions import FramesMissing
from asmu_control.recording.segments import Readers
from asmu_control.recording.spans import Span
from asmu_control.recording.times import as_datetime64
from asmu_control.recording.view import View
from asmu_engine.protocol.errors import DiskError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

Missing: TypeAlias = Literal["nan", "zero", "mask", "raise"]
"""What stands for missing frames: NaN, zeros, a masked array, or an error."""

_TRIES: Final = 3
_NAMED: Final = 3


def check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64; ValueError for all others."""
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"a recording is read as float32 or float64, not as {kind}; memmap gives a file's own numbers")
    return kind


def check_missing(gaps: str) -> None:
    """ValueError where it is none of `Missing`."""
    if gaps not in ("nan", "zero", "mask", "raise"):
        raise ValueError(f"gaps is {gaps!r}; use 'nan', 'zero', 'mask' or 'raise'")


def copy_spans(
    view: View,
    refresh: Callable[[], View],
    readers: Readers,
    start: int,
    out: NDArray[Any],
    columns: Sequence[int] | None,
    fill: float | None,
) -> list[Span]:
    """Fill `out` with the frames from `start` on, and with `fill` where frames are missing; None: they raise.

    A file that was given its final name or was dropped meanwhile is looked for again.

    Returns
    -------
    list[Span]
        The missing ones.

    Raises
    ------
    FramesMissing
        Some are, and `fill` is None.
    DiskError
        ``file_unreadable``.
    """
    stop = start + len(out)
    lost: list[Span] = []
    position = start
    for attempt in range(_TRIES):
        spans = list(view.timeline.between(position, stop))
        if fill is None and (missing := [span for span in spans if span.gap is not None]):
            raise frames_missing(view, missing)
        try:
            for span in spans:
                target = out[span.start - start : span.stop - start]
                if span.gap is not None:
                    target[...] = fill
                    lost.append(span)
                else:
                    with readers.use(view.segments[span.number]) as reader:
                        reader.read_into(target, span.row, columns)
                position = span.stop
            return lost
        except (FileNotFoundError, DiskError) as error:
            moved = isinstance(error, FileNotFoundError) or view.segments[span.number].state != "whole"
            if not moved or attempt == _TRIES - 1:
                if isinstance(error, DiskError):
                    raise
                path = view.segments[span.number].path
                raise DiskError(f"cannot read {path}: it is gone", code="file_unreadable", where=str(path)) from error
        view = refresh()
    raise AssertionError("unreachable")


def mask_of(out: NDArray[Any], start: int, lost: Sequence[Span]) -> NDArray[np.bool_]:
    """True where frames are missing, of the shape of `out`."""
    mask = np.zeros(out.shape, np.bool_)
    for span in lost:
        mask[span.start - start : span.stop - start] = True
    return mask


def frames_missing(view: View, missing: Sequence[Span]) -> FramesMissing:
    """The error that names them."""
    gaps = [span.gap for span in missing if span.gap is not None]
    frames = sum(span.stop - span.start for span in missing)
    named = []
    for span, gap in zip(missing[:_NAMED], gaps, strict=False):
        time, _ = view.times.utc(np.array([span.start], np.int64))
        when = np.datetime_as_string(as_datetime64(time), "ms")[0]
        named.append(f"{span.stop - span.start} from frame {span.start}, {when}Z ({gap.cause})")
    more = f", and {len(missing) - _NAMED} gaps more" if len(missing) > _NAMED else ""
    return FramesMissing(
        f"{frames} of these frames are missing: {'; '.join(named)}{more}; read them as gaps='nan', 'zero' or 'mask', or read "
        "the runs of delivered()",
        code="frames_missing",
        where=str(missing[0].start),
    )
