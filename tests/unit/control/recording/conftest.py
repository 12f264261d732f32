"""A finished recording with gaps of each kind, made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import FIRST, STOP, HandMade

from asmu_control.recording import Recording, open_recording


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three segments with a filled gap within the first, one across the border of the first two, and an open one behind these."""
    made = HandMade(tmp_path / "friday", first=FIRST)
    made.segment(FIRST, FIRST + 3000, holes=((FIRST + 100, FIRST + 200), (FIRST + 2900, FIRST + 3000)))
    made.segment(FIRST + 3000, FIRST + 6000, holes=((FIRST + 3000, FIRST + 3050),))
    made.gap(FIRST + 6000, FIRST + 7000, "restart", uncertainty=12)
    made.segment(FIRST + 7000, STOP)
    made.clock(FIRST)
    made.end(STOP)
    return made.path


@pytest.fixture
def rec(folder: Path) -> Iterator[Recording]:
    with open_recording(folder) as recording:
        yield recording
