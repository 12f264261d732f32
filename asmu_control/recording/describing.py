"""What a recording says of itself: one line for a terminal, a table for a notebook."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import Final

import numpy as np

from asmu_control.recording.facts import Facts
from asmu_control.recording.spans import DROPPED, UNACCOUNTED

_SHOWN: Final = 10


def text_of(recording: Facts) -> str:
    """Its ``repr``.

    ``<Recording friday: 8 channels, 48000 Hz, 2:00:00 from 2026-01-30T22:00:00.250Z, 2 segments, nothing lost, finished>``
    """
    facts = [*_shape(recording), _segments(recording), _missing(recording), recording.state]
    return f"<Recording {recording.path.name}: {', '.join(facts)}>"


def html_of(recording: Facts) -> str:
    """A table of the facts, the channels, and the first gaps."""
    names = recording.channel_names
    units = [f"{channel.unit} (× {channel.factor:g})" if channel.unit else "" for channel in recording.channels]
    rows = [
        ("Recording", str(recording.path)),
        ("Audio", ", ".join(_shape(recording))),
        ("Times", f"from {recording.time_source}, ± {recording.time_of(recording.first)[1]:.2g} s"),
        ("Segments", _segments(recording)),
        ("Missing", _missing(recording)),
        ("State", recording.state + (f": {recording.manifest.reason}" if recording.manifest.reason else "")),
        ("Channels", "; ".join(f"{name} {unit}".strip() for name, unit in zip(names, units, strict=True))),
    ]
    for gap in recording.gaps[:_SHOWN]:
        time, _ = recording.time_of(gap.position)
        sure = f" ± {gap.uncertainty}" if gap.uncertainty else ""
        rows.append(("Gap", f"{_stamp(time)}, frame {gap.position}: {gap.frames}{sure} frames, {gap.cause}"))
    if len(recording.gaps) > _SHOWN:
        rows.append(("", f"… {len(recording.gaps) - _SHOWN} gaps more"))
    body = "".join(f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{body}</table>"


def _shape(recording: Facts) -> list[str]:
    columns = len(recording.channels)
    texts = [f"{columns} channel{'s' * (columns != 1)}", f"{recording.samplerate:g} Hz"]
    if not recording.frames:
        return [*texts, "no frames yet" if recording.state == "recording" else "no frames"]
    length = timedelta(milliseconds=round(recording.seconds * 1000))
    return [*texts, f"{str(length).removesuffix('000')} from {_stamp(recording.start_utc)}"]


def _segments(recording: Facts) -> str:
    count = len(recording.segments)
    return f"{count} segment{'s' * (count != 1)}"


def _missing(recording: Facts) -> str:
    missing = recording.missing
    lost = recording.lost_frames
    gaps = sum(gap.cause not in (DROPPED, UNACCOUNTED) for gap in recording.gaps)
    texts = [f"{lost} frame{'s' * (lost != 1)} lost in {gaps} gap{'s' * (gaps != 1)}" if lost else "nothing lost"]
    texts += [f"{missing[cause]} frames {cause}" for cause in (DROPPED, UNACCOUNTED) if cause in missing]
    return ", ".join(texts)


def _stamp(time: np.datetime64) -> str:
    return f"{np.datetime_as_string(time, 'ms')}Z"
