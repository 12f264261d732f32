"""What a recording looks like in a terminal while it goes on: time, size, losses, disk and levels, and what happens to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from asmu_control.cli.levels import meters
from asmu_control.cli.output import console
from asmu_control.units import duration_text, size_text
from asmu_engine.recording.numbers import signed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asmu_control.events import Event

_LINE_SECONDS: Final = 10.0
"""How often a line is written where the output is no terminal."""
_OTHER_LINES: Final = 4
"""Of the terminal's lines those that are not for levels: the progress line, which may be folded, and some of what was there."""


class RecordView:
    """A line that is renewed in place, with levels below it, or one line now and then where the output is no terminal.

    Parameters
    ----------
    title
        What is recorded.
    seconds
        How long it will be, where that is known.
    quiet
        Nothing is shown at all.
    """

    def __init__(self, title: str, seconds: float | None = None, *, quiet: bool = False) -> None:
        from rich.live import Live

        self._terminal = console(folded=True)
        self._title = title
        self._seconds = seconds
        self._quiet = quiet
        self._live = Live(console=self._terminal, auto_refresh=False, transient=True) if self._terminal.is_terminal else None
        self._next_line = 0.0
        self._note = ""

    def __enter__(self) -> Self:
        if self._live is not None and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, status: Mapping[str, Any], peaks: NDArray[np.float32] | None, numbers: Sequence[int], note: str = "") -> None:
        """How it is going: the job's status, and the peak of each channel, whose numbers these are."""
        if self._quiet:
            return
        line = progress(self._title, status, self._seconds, note or self._note)
        if self._live is None:
            if time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + _LINE_SECONDS
                self._terminal.print(line, soft_wrap=True)
            return
        from rich.console import Group
        from rich.text import Text

        size = self._terminal.size
        first = Text(line, style="bold")
        below = [] if peaks is None else meters(peaks, numbers, size.width, max(1, size.height - _OTHER_LINES))
        self._live.update(Group(first, *below), refresh=True)

    def happened(self, event: Event) -> None:
        """Something happened in the engine that a person should know of."""
        if self._quiet:
            return
        text, note = told(event)
        if note is not None:
            self._note = note
        if text:
            self.say(f"{datetime.now():%H:%M:%S} {text}")

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._terminal.print(text, soft_wrap=True)


def progress(title: str, status: Mapping[str, Any], seconds: float | None = None, note: str = "") -> str:
    """The line.

    >>> disk = {"free_bytes": 4e11, "full_in_seconds": 273_600.0, "behind_seconds": 0.02}
    >>> progress("friday", {"seconds": 754.2, "bytes": 1_300_000_000, "segments": 1, "lost_frames": 0, "disk": disk})
    'friday  0:12:34  1.30 GB  segment 2  lost 0  disk 400 GB free, full in 3 d 4 h'
    """
    length = clock_text(status.get("seconds") or 0.0)
    if seconds is not None:
        length += f" of {clock_text(seconds)}"
    parts = [f"{title}: {note}" if note else title, length, size_text(status.get("bytes") or 0)]
    parts.append(f"segment {(status.get('segments') or 0) + 1}")
    parts.append(f"lost {losses(status)}")
    if status.get("xruns"):
        parts.append(f"xruns {status['xruns']}")
    if status.get("dropped"):
        parts.append(f"dropped {status['dropped']} segments")
    disk = status.get("disk")
    if disk:
        full = disk["full_in_seconds"]
        parts.append(f"disk {size_text(disk['free_bytes'])} free" + (f", full in {duration_text(full)}" if full else ""))
        if disk["behind_seconds"] >= 1:
            parts.append(f"{duration_text(disk['behind_seconds'])} behind")
    return "  ".join(parts)


def losses(status: Mapping[str, Any]) -> str:
    """Frames that are missing, by cause.

    >>> losses({"lost_frames": 300, "lost": {"device": 256, "overrun": 44}, "gap_count": 2})
    '300 frames in 2 gaps (device 256, overrun 44)'
    """
    lost = status.get("lost_frames") or 0
    if not lost:
        return "0"
    gaps = status.get("gap_count") or 0
    causes = ", ".join(f"{cause} {count}" for cause, count in (status.get("lost") or {}).items() if count)
    where = f" in {gaps} gap{'s' * (gaps != 1)}" if gaps else ""
    return f"{lost} frame{'s' * (lost != 1)}{where}" + (f" ({causes})" if causes else "")


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def told(event: Event) -> tuple[str, str | None]:
    """An event in words, empty where it is none for people; and what the progress line shall say from now on, None: as before."""
    match event.what:
        case "disk_warning":
            return f"disk: {event['text']}", None
        case "device_lost":
            return f"the device was lost: {event['reason']}; waiting for it", "waiting for the device"
        case "device_back":
            return f"the device is back; {event['gap']} frames are missing", ""
        case "audio_ended":
            return f"the audio process ended ({event['status']}); another one is started", "waiting for the audio process"
        case "audio_restarted":
            return f"another audio process goes on; {event['gap']} frames are missing", ""
        case "disk_ended":
            return f"the disk process ended ({event['status']})", None
        case "disk_restarted":
            return "another disk process goes on", None
        case "clock_step":
            return f"UTC was set on this machine, by {signed(event['seconds'], 3)} s", None
        case "left_out":
            return f"node {event['node']} made the audio process crash {event['crashes']} times and is left out", None
        case "state" if event["state"] == "running":
            return "", ""
    return "", None
