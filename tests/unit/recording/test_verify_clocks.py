"""Fits of the clocks that do not belong together are noted; none of them makes a frame wrong."""

from __future__ import annotations

import pytest
from made_folder import MadeFolder

from asmu_engine.recording import ledger
from asmu_engine.recording.verify import verify_recording


def clocks_of(tmp_path, *fits, gap: int = 0):
    made = MadeFolder(tmp_path / "take")
    for position, fields in fits:
        made.clock(position, **fields)
        if gap:
            made.note(ledger.Gap(position=position, frames=0, cause="host", uncertainty=gap, filled=False))
    made.segment(1000)
    verdict = verify_recording(made.finish())
    return verdict, [problem.text for problem in verdict.problems]


MINUTE = 48_000 * 60


def test_steps_are_named_and_are_no_problem(tmp_path):
    later = 1_767_225_600_000_000_000 + 2_500_000_000
    verdict, texts = clocks_of(tmp_path, (MINUTE, {}), (2 * MINUTE, {"utc_ns": later, "step_ns": 2_500_000_000}))
    assert texts == []
    assert verdict.clock is not None
    assert verdict.clock.steps == ((2 * MINUTE, 2.5),)
    assert "UTC was set by +2.500000 s before frame 5760000" in str(verdict)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"utc_ns": 1_767_225_602_500_000_000}, "set by +2.500 s between frames 2880000 and 5760000, of which no entry tells"),
        ({"monotonic_ns": 1}, "the monotonic clock went back by 64.9978 s"),
        ({"monotonic_ns": 126_000_000_000}, "took +1.004 s more than its frames do"),
        ({"samplerate": 96_000.0, "ppm": 1e6}, "no device is so far off its nominal samplerate"),
        ({"ppm": 37.0, "samplerate": 48_010.0}, "says +37.000 ppm and +208.333 ppm"),
        ({"position": 100}, "the fit at frame 100 follows that at frame 2880000"),
    ],
)
def test_odd_clocks_are_noted_and_make_no_frame_wrong(tmp_path, fields, text):
    verdict, texts = clocks_of(tmp_path, (MINUTE, {}), (2 * MINUTE, fields))
    assert any(text in found for found in texts), texts
    assert verdict.outcome == "whole"


def test_an_uncertain_gap_allows_for_its_uncertainty(tmp_path):
    late = {"monotonic_ns": 125_500_000_000, "utc_ns": 1_767_225_600_504_440_000}
    _, texts = clocks_of(tmp_path, (MINUTE, {}), (2 * MINUTE, late))
    assert len(texts) == 1
    _, texts = clocks_of(tmp_path / "sure", (MINUTE, {}), (2 * MINUTE, late), gap=24_000)
    assert texts == []
