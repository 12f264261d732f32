"""The clock on the status page, also after a process was killed in the middle of writing it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asmu_engine.shm import status as status_module
from asmu_engine.shm.status import StatusPage, create_status


@pytest.fixture
def page() -> Iterator[StatusPage]:
    segment = create_status("clocked")
    page = StatusPage.attach("clocked")
    yield page
    page.close()
    segment.unlink()
    segment.close()


def test_clock_reads_what_was_stamped_last(page: StatusPage) -> None:
    assert page.clock() == (0, 0, 0, 0.0)
    page.stamp(256, 1_000, 2_000, 0.5)
    page.stamp(512, 6_000, 7_000, 0.75)
    assert page.clock() == (512, 6_000, 7_000, 0.75)


def test_clock_that_was_left_half_written_is_read_all_the_same_and_heals(
    page: StatusPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "_CLOCK_TRIES", 3)
    page.stamp(256, 1_000, 2_000, 0.5)
    page.words[status_module.CLOCK] += 1  # as a process leaves it that is killed here
    assert page.clock() == (256, 1_000, 2_000, 0.5)
    page.stamp(512, 6_000, 7_000, 0.75)
    assert page.words[status_module.CLOCK] % 2 == 0
    assert page.clock() == (512, 6_000, 7_000, 0.75)
