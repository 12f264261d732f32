from __future__ import annotations

from asmu_engine.disk.acquisition.takeover import uncovered
from asmu_engine.recording.ledger import Gap


def gap(position, frames):
    return Gap(position=position, frames=frames, cause="device", filled=True)


def test_what_lies_in_no_gap():
    assert uncovered(10, 20, []) == [(10, 20)]
    assert uncovered(10, 10, []) == []
    assert uncovered(10, 20, [gap(0, 10), gap(20, 5)]) == [(10, 20)]
    assert uncovered(10, 20, [gap(15, 2), gap(12, 1)]) == [(10, 12), (13, 15), (17, 20)]
    assert uncovered(10, 20, [gap(5, 8), gap(18, 100)]) == [(13, 18)]
    assert uncovered(10, 20, [gap(5, 100)]) == []
