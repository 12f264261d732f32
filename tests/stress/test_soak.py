"""The short form of the soak: two hours of audio in two minutes, with faults from a fixed seed, and everything accounted for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import SIMULATED, soak

pytestmark = [pytest.mark.stress, pytest.mark.timeout(420)]

MUCH_KB = 3000
"""More than a process had in the first half of its life: one that has just begun still fills its buffers, and then stays. A
leak of every block, of which a gigabyte a minute goes through here, or of every edit or segment would be far more."""


def test_two_hours_of_faults_are_accounted_for_to_the_frame(tmp_path: Path) -> None:
    plan = replace(SIMULATED, name="short", hours=2, rollover="5min", faults_per_minute=30)
    row = soak(plan, tmp_path / "soak")
    assert row["wrong"] == "nothing"
    assert row["verify"] == "losses"
    assert row["simulated_h"] >= 2
    assert row["segments"] >= 24
    assert {"lose", "gone", "kill disk"} <= set(row["injected"])
    assert {"device", "device_lost"} <= set(row["lost_by_cause"])
    for name in ("host", "audio", "disk"):
        assert row[f"{name}_more_files"] <= 2, name
        assert row[f"{name}_later_kb"] < MUCH_KB, name
