"""Which events of the engine belong into the ledgers of recordings, and the entries that they become."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from asmu_engine.protocol.plain import to_plain
from asmu_engine.protocol.topic import Topic
from asmu_engine.recording.ledger import Entry, Event, Xrun

_EXPLAINING: Final[dict[tuple[Topic, str], str]] = {
    ("engine", "state"): "the device is {state}: {reason}",
    ("engine", "audio_ended"): "the audio process ended: {status}",
    ("engine", "audio_restarted"): "the audio process was replaced",
    ("engine", "clock_step"): "UTC was set by {seconds:g} s",
    ("device", "started"): "the device was started",
    ("device", "reset"): "every core went back to its start",
    ("device", "device_lost"): "the device was lost: {reason}",
    ("device", "device_back"): "the device was found again",
    ("node", "core_failed"): "{node}: its core failed: {error}",
    ("node", "left_out"): "{node} is left out: the audio process died in it {crashes} times",
    ("patch", "edited"): "{author} changed the patch",
    ("disk", "disk_ended"): "the disk process ended: {status}",
}
"""Events that explain what else stands in a ledger, and what is said of them to people."""


class Moments:
    """When entries are noted: UTC, ns since 1970, each later than the one before, so that it tells one entry from another."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """The present moment."""
        self._last = max(self._last + 1, time.time_ns())
        return self._last


def entry_of(topic: Topic, fields: Mapping[str, Any], noted_ns: int) -> Entry | None:
    """What a ledger says of an event; None for one that explains nothing in it."""
    what = str(fields.get("event"))
    if what == "xrun":
        return Xrun(
            noted_ns=noted_ns,
            position=int(fields["position"]),
            flags=tuple(fields["flags"]),
            frames=int(fields["lost"]),
            uncertainty=int(fields.get("uncertainty", 0)),
        )
    text = _EXPLAINING.get((topic, what))
    if text is None:
        return None
    facts = {key: value for key, value in fields.items() if key not in ("event", "position", "at")}
    position = fields.get("position", fields.get("at"))
    return Event(
        noted_ns=noted_ns,
        what=what,
        position=None if position is None else int(position),
        text=text.format_map(fields).strip(": "),
        facts=to_plain(facts),
    )
