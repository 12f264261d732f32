"""Settings of a measurement as the text that a sound file carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as JSON, numpy's numbers and arrays and dates among them; ValueError for what it cannot hold."""
    try:
        return json.dumps(dict(settings), ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"settings cannot be stored as JSON: {error}") from None


def settings_of(text: str, path: Path) -> dict[str, Any]:
    """The settings in a comment, {} where there is none; ValueError where it is a text of another kind."""
    if not text:
        return {}
    try:
        settings = json.loads(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(f"the comment of {path} holds no settings, but a text: {text:.60}")
    return settings


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r:.60} is no number, text, list or dictionary")
