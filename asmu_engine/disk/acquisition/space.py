"""The disk of a recording folder, watched: how much room is left, for how long that will do, and whether it is still there."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

from asmu_engine.disk.acquisition.policy import Trouble, trouble_of
from asmu_engine.protocol.acquisition import AcquisitionSettings, OnFull
from asmu_engine.recording.names import LEDGER

_RATE_SECONDS: Final = 10.0
_SHRINK_SECONDS: Final = 60.0
_SHORTEST_SECONDS: Final = 0.5
"""Less time than this tells nothing about a pace."""

_SETTLED_SECONDS: Final = 10.0
_PRESSING_SECONDS: Final = 600.0
"""Unless so little time is left nothing is said before the pace has been seen for `_SETTLED_SECONDS`: what the beginning of a
recording, or others, wrote in one go would else pass for a pace."""

_URGENT: Final = 0.1
"""A second warning comes when so much of `warn_seconds` is left."""
_CALM: Final = 1.5
"""A warning is given again after the forecast had been so many times its limit."""

_BEHIND_RING: Final = 0.25
"""The disk is called slow when so much of the ring waits for it; what follows the end of the ring is lost."""
_BEHIND_CALM: Final = 0.05


class Warning(NamedTuple):
    """What the host is told: the fields of the event ``disk_warning``."""

    what: Literal["full_soon", "full", "read_only", "gone", "slow", "failed", "dropped", "second_folder"]
    text: str


class Room(NamedTuple):
    """What the system says of a folder's disk."""

    free_bytes: int
    read_only: bool
    device: int
    """Its number: another disk, or the empty folder beneath a mount, may turn up under the same path. The folder's inode tells
    less: some network and FUSE file systems number the same folder anew from time to time."""
    ledger: bool
    """There is a ledger in it."""


def room_of(folder: Path) -> Room:
    """How it is with a folder's disk now; OSError where the folder is not there."""
    device = folder.stat().st_dev
    read_only = hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    return Room(shutil.disk_usage(folder).free, read_only, device, (folder / LEDGER).exists())


class DiskWatch:
    """Looks at the disk of one folder about once a second.

    Parameters
    ----------
    settings
        `minimum_free`, `warn_seconds` and `on_full` are used.
    folder
        Where the segments grow.
    samplerate, frame_bytes
        Frames a second, and bytes a frame on the disk: the pace of the recording before it has shown its own.
    clock, look_at
        `time.monotonic` and `room_of`, or a test's.

    Attributes
    ----------
    free_bytes
        Room at the last look. All of these are as of the last look, and may be read from any thread.
    bytes_per_second
        How fast the recording has grown over the last 10 s.
    full_in_seconds
        When `minimum_free` is reached, at the recording's own pace, or at that at which the disk has lost room over the last
        minute where that is faster, for others write there too; None where nothing is written, 0 where nothing can be.
    trouble
        What is wrong with the disk: ``full`` (less than `minimum_free`), ``read_only``, ``gone``, or None.
        A disk that is gone may go on to take what is written to the files that are open, and nobody will find it there.
    """

    def __init__(
        self,
        settings: AcquisitionSettings,
        folder: Path,
        samplerate: float,
        frame_bytes: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_at: Callable[[Path], Room] = room_of,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._nominal = samplerate * frame_bytes
        self._clock = clock
        self._look_at = look_at
        self._written = 0
        self._history: deque[tuple[float, int, int]] = deque()
        """Time, bytes written so far, free bytes, of the looks of the last minute."""
        self._device: int | None = None
        self._ledger = False
        self._told: Trouble | None = None
        self._warned = 0
        self._slow = False
        self._forecast_pace = 0.0
        self.free_bytes = 0
        self.bytes_per_second = 0.0
        self.full_in_seconds: float | None = None
        self.trouble: Trouble | None = None
        self._observe()

    @property
    def short(self) -> bool:
        """True while the disk has less room than `minimum_free`."""
        return self.trouble == "full"

    def note_written(self, size: int) -> None:
        """So many bytes were written to the segments."""
        self._written += size

    def look(self, behind_seconds: float = 0.0, ring_seconds: float = 0.0) -> list[Warning]:
        """Look at the disk; what is new about it.

        Parameters
        ----------
        behind_seconds
            How much the ring holds that is not written yet.
        ring_seconds
            How much it can hold; 0 where that is not known.
        """
        error = self._observe()
        warnings = []
        if self.trouble is not None and self.trouble != self._told:
            warnings.append(Warning(self.trouble, self._trouble_text(error)))
        self._told = self.trouble
        if self.trouble is None and (text := self._forecast_text()):
            warnings.append(Warning("full_soon", text))
        if ring_seconds > 0 and (text := self._slow_text(behind_seconds, ring_seconds)):
            warnings.append(Warning("slow", text))
        return warnings

    def move(self, folder: Path) -> None:
        """Watch another folder from now on."""
        self._folder = folder
        self._device = None
        self._ledger = False
        self._history.clear()
        self._told = None
        self._warned = 0
        self._observe()

    # -- steps ---------------------------------------------------------------------------------------------------

    def _observe(self) -> OSError | None:
        now = self._clock()
        try:
            room = self._look_at(self._folder)
        except OSError as error:
            # Whatever hinders looking at the folder hinders writing there: it is not to be had.
            self.trouble = "read_only" if trouble_of(error) == "read_only" else "gone"
            self.full_in_seconds = 0.0
            return error
        if self._device is None:
            self._device = room.device
        self._ledger |= room.ledger
        self.free_bytes = room.free_bytes
        self._history.append((now, self._written, room.free_bytes))
        while now - self._history[0][0] > _SHRINK_SECONDS:
            self._history.popleft()
        if room.device != self._device or room.ledger != self._ledger:
            self.trouble = "gone"
        elif room.read_only:
            self.trouble = "read_only"
        else:
            self.trouble = "full" if room.free_bytes < self._settings.minimum_free else None
        self._forecast()
        return None

    def _forecast(self) -> None:
        self.bytes_per_second = self._pace(_RATE_SECONDS)[0]
        pace = max(self.bytes_per_second, self._pace(_SHRINK_SECONDS)[1]) if self._written else 0.0
        self._forecast_pace = pace
        if self.trouble is not None:
            self.full_in_seconds = 0.0
        elif pace > 0:
            self.full_in_seconds = (self.free_bytes - self._settings.minimum_free) / pace
        else:
            self.full_in_seconds = None

    def _pace(self, seconds: float) -> tuple[float, float]:
        """Bytes a second written, and free bytes lost a second, over the last so many seconds."""
        now, written, free = self._history[-1]
        then, written_then, free_then = next(look for look in self._history if now - look[0] <= seconds)
        if now - then < _SHORTEST_SECONDS:
            return (self._nominal if self._written else 0.0), 0.0
        return (written - written_then) / (now - then), (free_then - free) / (now - then)

    def _forecast_text(self) -> str:
        limit, left = self._settings.warn_seconds, self.full_in_seconds
        if left is None or left > limit * _CALM:
            self._warned = 0
            return ""
        if left > _PRESSING_SECONDS and self._history[-1][0] - self._history[0][0] < _SETTLED_SECONDS:
            return ""
        level = 2 if left <= limit * _URGENT else 1 if left <= limit else 0
        if level <= self._warned:
            return ""
        self._warned = level
        then = _THEN[self._settings.on_full]
        own, pace = f"{_size(self.bytes_per_second)}/s", f"{_size(self._forecast_pace)}/s"
        whose = (
            f"the {own} of the recording"
            if own == pace
            else f"the {pace} that the disk lost over the last minute (the recording writes {own})"
        )
        return f"{self._folder} will be full in {_duration(left)}, at {whose}; {then}"

    def _slow_text(self, behind: float, ring: float) -> str:
        if behind < ring * _BEHIND_CALM:
            self._slow = False
        if self._slow or behind < ring * _BEHIND_RING:
            return ""
        self._slow = True
        return (
            f"{self._folder} is slow: {_duration(behind)} of audio wait to be written, and the ring holds {_duration(ring)}; "
            "what it cannot hold is lost. Use a faster disk, fewer channels, or a tap with a longer ring"
        )

    def _trouble_text(self, error: OSError | None) -> str:
        if self.trouble == "full":
            return (
                f"{self._folder} has {_size(self.free_bytes)} left, less than the {_size(self._settings.minimum_free)} that "
                "are to stay free"
            )
        if self.trouble == "read_only":
            return f"{self._folder} cannot be written any more: {error.strerror if error else 'it is mounted read-only now'}"
        return f"{self._folder} is not there any more: {error.strerror if error else 'another disk or folder is in its place'}"


_THEN: Final[dict[OnFull, str]] = {
    "stop": "the recording ends then",
    "drop_oldest": "the oldest finished segments are deleted then",
    "second_folder": "the recording goes on in the second folder then",
}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
