"""Reading of a recording: spans into arrays, block after block, or mapped from the disk."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asmu_control.recording import channels as chosen
from asmu_control.recording.channels import Channels
from asmu_control.recording.copying import Missing, check_dtype, check_missing, copy_spans, mask_of
from asmu_control.recording.facts import Facts
from asmu_control.recording.positions import Place, bounds, check
from asmu_control.recording.segments import Readers, Segment
from asmu_control.recording.times import as_datetime64
from asmu_control.recording.view import View, home_of, look
from asmu_control.typing import PathLike
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.account import LedgerFollower
from asmu_engine.recording.names import LEDGER
from asmu_engine.recording.reading import RawReader

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some frames of a recording.

    Attributes
    ----------
    position
        Frame position of the first.
    data
        Shape (frames, channels).
    lost
        How many of them are missing.
    """

    position: int
    data: NDArray[Any]
    lost: int

    def __len__(self) -> int:
        return len(self.data)


class Reading(Facts):
    """The half of `Recording` that reads it."""

    def __init__(self, path: PathLike) -> None:
        self.path = home_of(Path(path).expanduser().absolute())
        self._follower = LedgerFollower(self.path / LEDGER)
        self._readers = Readers()
        # No __del__: of a cycle the files may be finalized before it, each with a warning that nobody has closed it.
        weakref.finalize(self, self._readers.close)
        self._lock = threading.Lock()
        self._view: View = look(self.path, self._follower, None)

    def read(
        self,
        start: Place = None,
        stop: Place = None,
        channels: Channels = None,
        *,
        gaps: Missing = "nan",
        calibrated: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> NDArray[Any]:
        """A span, wherever its frames lie; only these are read from the disk.

        Parameters
        ----------
        start, stop
            First frame, and the one behind the last; see `Recording`. A running recording is looked at anew where they pass
            what is known of it.
        channels
            Columns, counted from 0, or names; one or several; None for all.
        gaps
            What stands for missing frames: ``"nan"``; ``"zero"``; ``"mask"``: the array is a `numpy.ma.MaskedArray`, with
            zeros beneath its mask; or ``"raise"``.
        calibrated
            Multiply each channel by its factor, so that it is in its unit (Pa); else 1.0 is full scale.
        dtype
            float32 or float64.

        Returns
        -------
        numpy.ndarray
            Shape (frames, channels).

        Raises
        ------
        ValueError
            The span is not within the recording, or there is no such channel.
        FramesMissing
            Some are, and `gaps` is ``"raise"``.
        CalibrationError
            ``not_calibrated``.
        DiskError
            ``file_unreadable``.
        """
        view, first, last = self._span(start, stop)
        return self._read(view, first, last, channels, gaps, calibrated, dtype)[0]

    def blocks(
        self,
        frames: int,
        overlap: int = 0,
        start: Place = None,
        stop: Place = None,
        channels: Channels = None,
        *,
        gaps: Missing = "nan",
        calibrated: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> Iterator[Block]:
        """Block after block of a span, of `frames` frames each, the first `overlap` of which are the last of the one before.

        The last may be shorter. Other arguments and errors are those of `read`.
        """
        if not 0 <= overlap < frames:
            raise ValueError(f"blocks of {frames} frames cannot overlap by {overlap}; it must be from 0 to less than a block")
        view, first, last = self._span(start, stop)
        check_missing(gaps)
        check_dtype(dtype)

        def run() -> Iterator[Block]:
            for begin in range(first, max(first + 1, last - overlap) if last > first else first, frames - overlap):
                data, lost = self._read(view, begin, min(begin + frames, last), channels, gaps, calibrated, dtype)
                yield Block(begin, data, lost)

        return run()

    def memmap(self, segment: int | Segment) -> NDArray[Any]:
        """The rows of one file as they are stored, mapped from the disk read-only: shape (frames, channels).

        Nothing is read before it is looked at, and nothing copied. Lost frames are zeros there (`Gap.filled`).

        Parameters
        ----------
        segment
            Its number, from 1.

        Raises
        ------
        DiskError
            ``file_format``: it is compressed, HDF5, or of 24 bit; ``file_unreadable``: it is not there, or not whole yet: a file
            that got shorter beneath a map would kill this process.
        """
        index = segment.index if isinstance(segment, Segment) else segment
        found = self._view.segments.get(index)
        if found is None:
            raise ValueError(f"there is no segment {index}; there are {min(self._view.segments, default=0)} to "
                             f"{max(self._view.segments, default=0)}")  # fmt: skip
        if found.path is None or found.state != "whole":
            reason = "is gone" if found.path is None else "is not whole yet; read it"
            raise DiskError(f"segment {index}, {found.file}, {reason}", code="file_unreadable", where=found.file)
        with self._readers.use(found) as reader:
            if not isinstance(reader, RawReader):
                raise DiskError(
                    f"{found.path} cannot be mapped: its samples are compressed or in pieces; read it",
                    code="file_format",
                    where=str(found.path),
                )
            return reader.memmap()[: found.rows]

    def delivered(self, start: Place = None, stop: Place = None, *, minimum: int = 1) -> list[tuple[int, int]]:
        """Runs without a missing frame, as (start, stop), of at least `minimum` frames."""
        view, first, last = self._span(start, stop)
        return [run for run in view.timeline.delivered(first, last) if run[1] - run[0] >= minimum]

    def times(self, start: Place = None, stop: Place = None) -> NDArray[np.datetime64]:
        """UTC of each frame of a span: what to plot it over."""
        view, first, last = self._span(start, stop)
        return as_datetime64(view.times.utc(np.arange(first, last, dtype=np.int64))[0])

    # -- within --------------------------------------------------------------------------------------------------

    def _look(self) -> View:
        with self._lock:
            if (home := home_of(self.path)) != self.path:
                self.path, self._follower = home, LedgerFollower(home / LEDGER)
            self._view = look(self.path, self._follower, self._view)
            self._readers.forget(self._view.segments)
            return self._view

    def _span(self, start: Place, stop: Place) -> tuple[View, int, int]:
        view = self._view
        first, last = bounds(view, start, stop)
        if last > view.timeline.stop and view.state == "recording":
            view = self._look()
            first, last = bounds(view, start, stop)
        check(view, first, last)
        return view, first, last

    def _read(
        self, view: View, first: int, last: int, channels: Channels, gaps: Missing, calibrated: bool, dtype: DTypeLike
    ) -> tuple[NDArray[Any], int]:
        check_missing(gaps)
        facts = view.manifest.channels
        columns = chosen.select(facts, channels)
        factors = chosen.factors(facts, columns) if calibrated else None
        out = np.empty((last - first, len(facts) if columns is None else len(columns)), check_dtype(dtype))
        fill = {"nan": np.nan, "zero": 0.0, "mask": 0.0, "raise": None}[gaps]
        lost = copy_spans(view, self._look, self._readers, first, out, columns, fill)
        if factors is not None:
            out *= factors.astype(out.dtype)
        count = sum(span.stop - span.start for span in lost)
        if gaps == "mask":
            return np.ma.MaskedArray(out, mask_of(out, first, lost)), count
        return out, count
