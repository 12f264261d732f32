"""Journals of engines, read: sessions, each with what happened in the order of the frame axis.

What stands in a journal is described in `asmu_engine.host.journal`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.protocol.errors import ConfigError, DiskError
from asmu_engine.protocol.plain import from_plain

if TYPE_CHECKING:
    from asmu_control.typing import PathLike

VERSION: Final = 1
"""Of the journals that this reads."""

_HEAD: Final = ("samplerate", "blocksize", "device")


@dataclass
class JournalSession:
    """What one engine wrote from its start to its end.

    Attributes
    ----------
    head
        Its first line: ``engine``, ``samplerate`` (Hz), ``blocksize`` (frames), ``device`` (wire form), ``plugins`` …
    items
        The other lines, in the order of the frame axis, those of one position as they were written. Each has ``what``.
    missing
        Lines that could not be written or read: what is rendered after them may differ from what was heard.
    """

    head: dict[str, Any]
    items: list[dict[str, Any]] = field(default_factory=list)
    missing: int = 0

    @property
    def samplerate(self) -> float:
        """Hz."""
        return float(self.head["samplerate"])

    @property
    def blocksize(self) -> int:
        """Frames a block."""
        return int(self.head["blocksize"])


def position_of(item: dict[str, Any]) -> int:
    """Where on the frame axis something took effect; for lost frames, where they would have begun."""
    return int(item.get("at", item.get("position", 0))) - int(item.get("lost", 0))


def read_journal(path: PathLike) -> list[JournalSession]:
    """The sessions in a journal, the oldest first.

    Raises
    ------
    DiskError
        ``file_unreadable``.
    ConfigError
        ``bad_config``: it is no journal, or one of another version.
    """
    file = Path(path)
    sessions: list[JournalSession] = []
    for item in _lines(file):
        if item is not None and item["what"] == "session":
            sessions.append(JournalSession(_checked_head(file, item)))
        elif not sessions:
            raise _bad(file, "its first line does not say what session it is of")
        elif item is None:
            sessions[-1].missing += 1
        elif item["what"] == "journal_lost":
            sessions[-1].missing += int(item.get("lines", 1))
        else:
            sessions[-1].items.append(item)
    if not sessions:
        raise _bad(file, "it is empty")
    for session in sessions:
        # The audio process tells of some things later than of others.
        session.items.sort(key=position_of)
    return sessions


def _lines(file: Path) -> Iterator[dict[str, Any] | None]:
    """Each line as an object; None for one that is damaged, but for the last, at which an engine may have been killed."""
    damaged = False
    try:
        with file.open("rb") as stream:
            for line in stream:
                if not line.strip():
                    continue
                if damaged:
                    yield None
                item = _parsed(line)
                damaged = item is None
                if item is not None:
                    yield from_plain(item, str(file))
    except OSError as error:
        raise DiskError(f"cannot read {file}: {error.strerror}", code="file_unreadable", where=str(file)) from None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return item if isinstance(item, dict) and isinstance(item.get("what"), str) else None


def _checked_head(file: Path, head: dict[str, Any]) -> dict[str, Any]:
    if head.get("journal") != VERSION:
        raise _bad(file, f"it is of version {head.get('journal')!r}; this library reads version {VERSION}")
    if missing := [key for key in _HEAD if key not in head]:
        raise _bad(file, f"its first line has no {', '.join(missing)}")
    return head


def _bad(file: Path, what: str) -> ConfigError:
    return ConfigError(f"{file} is no journal that can be replayed: {what}", code="bad_config", where=str(file))
