"""What the lines of a ledger say in sum, and how to keep up with one that grows."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.ledger import (
    Begun,
    Clock,
    Ended,
    Entry,
    Event,
    Gap,
    SegmentBegun,
    SegmentDropped,
    SegmentEnded,
    SegmentWhole,
    parse_entry,
)

SegmentEntry = SegmentBegun | SegmentEnded | SegmentWhole | SegmentDropped


@dataclass(slots=True)
class Account:
    """The sum of a ledger's lines.

    Attributes
    ----------
    entries
        All of them, in their order.
    segments
        By index, the latest line of each.
    gaps, clocks, events
        The lines of these kinds.
    ended
        The last line that says so; None while the recording goes on.
    """

    entries: list[Entry] = field(default_factory=list)
    segments: dict[int, SegmentEntry] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    clocks: list[Clock] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    ended: Ended | None = None

    def add(self, entry: Entry) -> None:
        """One more line."""
        self.entries.append(entry)
        match entry:
            case SegmentBegun() | SegmentEnded() | SegmentWhole() | SegmentDropped():
                self.segments[entry.index] = entry
            case Gap():
                self.gaps.append(entry)
            case Clock():
                self.clocks.append(entry)
            case Event():
                self.events.append(entry)
            case Begun():
                self.ended = None
            case Ended():
                self.ended = entry
            case _:
                pass


class LedgerFollower:
    """Reads a ledger to its end again and again, each line once.

    Attributes
    ----------
    account
        The sum of what was read; another object after the file was replaced (by a repair).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.account = Account()
        self._offset = 0
        self._lines = 0
        self._file_id: tuple[int, int] | None = None

    def refresh(self) -> bool:
        """Read what is new; True where there was something. A last line without its end waits for its end.

        Raises
        ------
        DiskError
            ``file_unreadable``: it cannot be read, or a line is damaged; the message names the line.
        """
        try:
            with self.path.open("rb") as file:
                facts = os.fstat(file.fileno())
                if (facts.st_dev, facts.st_ino) != self._file_id or facts.st_size < self._offset:
                    self._file_id = (facts.st_dev, facts.st_ino)
                    self.account, self._offset, self._lines = Account(), 0, 0
                file.seek(self._offset)
                before = self._offset
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self.account.add(self._parse(line))
                    self._offset += len(line)
                    self._lines += 1
                return self._offset > before
        except OSError as error:
            raise DiskError(f"cannot read {self.path}: {error.strerror}", code="file_unreadable", where=str(self.path)) from error

    def _parse(self, line: bytes) -> Entry:
        try:
            return parse_entry(json.loads(line))
        except (ValueError, ValidationError) as error:
            raise DiskError(
                f"line {self._lines + 1} of {self.path} is damaged: {str(error).splitlines()[0]}",
                code="file_unreadable",
                where=str(self.path),
            ) from None
