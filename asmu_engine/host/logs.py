"""The log of an engine that runs for weeks: JSON lines, in files that are rotated."""

from __future__ import annotations

import json
import logging
import logging.handlers
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.topic import Topic

LINES_A_SECOND: Final = 20
"""Events of one topic that are logged in one second; how many were left out is said with the next."""

_events = logging.getLogger("asmu_engine.events")
_LEVELS: Final = {
    "audio_ended": logging.ERROR,
    "device_lost": logging.ERROR,
    "core_failed": logging.ERROR,
    "left_out": logging.ERROR,
    "disk_ended": logging.ERROR,
    "disk_warning": logging.WARNING,
    "journal_failed": logging.ERROR,
    "state_failed": logging.ERROR,
    "clock_step": logging.WARNING,
    "xrun": logging.WARNING,
}


class JsonLines(logging.Formatter):
    """One JSON object a record: ``time`` (ISO 8601, UTC, microseconds), ``level``, ``logger``, ``message``; ``exception`` where
    there was one; what an event carries stands in ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if (fields := getattr(record, "fields", None)) is not None:
            line["fields"] = fields
        return json.dumps(line, ensure_ascii=False, default=str)


def open_log(path: Path, file_bytes: int, files: int) -> logging.Handler:
    """A handler that writes to `path`, and keeps `files` older files of at most `file_bytes` beside it (``.1`` is the newest).

    Raises
    ------
    ConfigError
        ``bad_config``: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=file_bytes, backupCount=files, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"log {str(path)!r}: {error.strerror}; name a file that you can write", code="bad_config", where="log"
        ) from None
    handler.setFormatter(JsonLines())
    return handler


def begin_log(path: Path, file_bytes: int, files: int) -> None:
    """From now on all that this process logs goes there too, from level info on; elsewhere from warning on, as before."""
    root = logging.getLogger()
    handler = open_log(path, file_bytes, files)
    for other in root.handlers:
        other.setLevel(logging.WARNING)
    root.addHandler(handler)
    root.setLevel(logging.INFO)


class EventLog:
    """Puts what happens into the log, but for the patch's edits and the progress of jobs; a flood of xruns is thinned out."""

    def __init__(self) -> None:
        self._second: dict[Topic, tuple[int, int]] = {}

    def __call__(self, topic: Topic, fields: dict[str, Any]) -> None:
        """One event; see `asmu_engine.host.events.Events.observe`."""
        what = str(fields.get("event", ""))
        if topic == "patch" or (what == "job" and fields.get("state") in ("starting", "running")):
            return
        if (omitted := self._omitted(topic)) is None:
            return
        level = logging.ERROR if what == "job" and fields.get("state") == "failed" else _LEVELS.get(what, logging.INFO)
        text = f"{what} ({omitted} more of topic {topic} were not logged)" if omitted else what
        shown = {key: value for key, value in fields.items() if key not in ("event", "gaps")}
        _events.log(level, "%s", text, extra={"fields": shown})

    def _omitted(self, topic: Topic) -> int | None:
        """None where this event is one too many in its second; else how many were left out before it."""
        now = int(time.monotonic())
        second, count = self._second.get(topic, (now, 0))
        omitted = 0
        if second != now:
            omitted, count = max(0, count - LINES_A_SECOND), 0
        self._second[topic] = (now, count + 1)
        return None if count >= LINES_A_SECOND else omitted
