"""What is known of a recording without reading its audio: where and when it was, and what of it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from asmu_control.recording.channels import names
from asmu_control.recording.positions import frames_in
from asmu_control.recording.segments import Segment
from asmu_control.recording.spans import DROPPED, UNACCOUNTED, Gap
from asmu_control.recording.times import SECOND_NS, Time, as_datetime64, to_utc_ns
from asmu_control.recording.view import State, View
from asmu_engine.protocol.acquisition import ChannelFacts
from asmu_engine.recording.ledger import Entry
from asmu_engine.recording.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_NOT_LOST: Final = (DROPPED, UNACCOUNTED)


class Facts:
    """The half of `Recording` that tells of it."""

    path: Path
    """The folder; of a recording that went on in its second folder that one, as it has all of it."""
    _view: View

    @property
    def manifest(self) -> Manifest:
        """All that is known of device, patch, versions and settings."""
        return self._view.manifest

    @property
    def state(self) -> State:
        """``recording``; ``interrupted``: its writer died, ``asmu repair`` mends it; ``finished``; or ``failed``."""
        return self._view.state

    @property
    def samplerate(self) -> float:
        """Nominal, Hz."""
        return self._view.manifest.samplerate

    @property
    def channels(self) -> list[ChannelFacts]:
        """Name, device channel, unit and calibration of each column."""
        return list(self._view.manifest.channels)

    @property
    def channel_names(self) -> list[str]:
        """A name for each column, each another."""
        return names(self._view.manifest.channels, None)

    @property
    def first(self) -> int:
        """Position of the first frame."""
        return self._view.timeline.first

    @property
    def position(self) -> int:
        """Position behind the last frame."""
        return self._view.timeline.stop

    @property
    def frames(self) -> int:
        """How many frames that are, missing ones included."""
        return self.position - self.first

    def __len__(self) -> int:
        return self.frames

    @property
    def seconds(self) -> float:
        """Length at the nominal samplerate, s."""
        return self.frames / self.samplerate

    @property
    def segments(self) -> list[Segment]:
        """The files, in their order."""
        return [segment for _, segment in sorted(self._view.segments.items())]

    @property
    def entries(self) -> list[Entry]:
        """The lines of the ledger."""
        return list(self._view.account.entries)

    # -- what is missing -----------------------------------------------------------------------------------------

    @property
    def gaps(self) -> list[Gap]:
        """Every stretch that is missing, in their order, with cause and uncertainty."""
        return list(self._view.timeline.gaps)

    @property
    def missing(self) -> dict[str, int]:
        """Frames that are missing, by cause."""
        result: dict[str, int] = {}
        for gap in self._view.timeline.gaps:
            result[gap.cause] = result.get(gap.cause, 0) + gap.frames
        return result

    @property
    def lost_frames(self) -> int:
        """Frames that were never recorded; those of dropped segments, and those that nothing accounts for, not among them."""
        return sum(frames for cause, frames in self.missing.items() if cause not in _NOT_LOST)

    # -- when it was ---------------------------------------------------------------------------------------------

    @property
    def start_utc(self) -> np.datetime64:
        """UTC of the first frame, to the ns."""
        return self.time_of(self.first)[0]

    @property
    def end_utc(self) -> np.datetime64:
        """UTC behind the last frame, to the ns."""
        return self.time_of(self.position)[0]

    @property
    def time_source(self) -> str:
        """Where times come from: the fits of the clocks, or in want of these something of which `time_of` says how poor it is."""
        return self._view.times.source

    def time_of(self, position: int) -> tuple[np.datetime64, float]:
        """UTC of a frame position (``datetime64[ns]``), and its standard uncertainty, s.

        It is the time by the clock of the machine that recorded; how far that was off true UTC is not known here.
        """
        utc, uncertainty = self._view.times.utc(np.array([position], np.int64))
        return as_datetime64(utc[0]), float(uncertainty[0]) / SECOND_NS

    def times_of(self, positions: ArrayLike) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
        """As `time_of`, for an array of positions."""
        utc, uncertainty = self._view.times.utc(np.asarray(positions, np.int64))
        return as_datetime64(utc), uncertainty / SECOND_NS

    def position_of(self, time: Time) -> int:
        """The frame position nearest to a time, also outside the recording.

        Where the machine's clock was put back, a time was twice: the earlier frame. Where it was put forward some never were:
        the first frame after.
        """
        return self._view.times.position(to_utc_ns(time))

    def at_seconds(self, seconds: float) -> int:
        """The frame position so many seconds of the nominal samplerate behind the first frame."""
        return self.first + frames_in(seconds, self.samplerate)
