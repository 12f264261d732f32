"""Cutting the edits that rebuild a patch into messages that a pipe takes."""

from __future__ import annotations

from typing import Any, Final

from asmu_engine.protocol.codec import pack

PART_BYTES: Final = 1024 * 1024
PART_EDITS: Final = 4096


def in_parts(edits: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The edits, in order, in parts of about a megabyte; one that is larger by itself is a part of its own."""
    parts: list[list[dict[str, Any]]] = []
    size = 0
    for edit in edits:
        length = len(pack(edit))
        if not parts or size + length > PART_BYTES or len(parts[-1]) >= PART_EDITS:
            parts.append([])
            size = 0
        parts[-1].append(edit)
        size += length
    return parts
