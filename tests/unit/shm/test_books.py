"""What a callback books on the status page, word by word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asmu_engine.shm import books
from asmu_engine.shm.books import block_books
from asmu_engine.shm.status import StatusPage, bin_of, create_status

PERIOD = 333_333


@pytest.fixture
def page() -> Iterator[StatusPage]:
    segment = create_status("booked")
    page = StatusPage.attach("booked")
    yield page
    page.close()
    segment.unlink()
    segment.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time at which callbacks end."""
    time = [0]
    monkeypatch.setattr(books, "monotonic_ns", lambda: time[0])
    return time


def test_counters_clock_and_histograms_of_two_blocks(page: StatusPage, clock: list[int]) -> None:
    book = block_books(page, PERIOD)
    clock[0] = 1_020_000
    book(1_000_000, 990_000, 5_000, 320, 32, 1.5)
    assert page.clock() == (320, 990_000, 995_000, 1.5)
    clock[0] = 1_400_000
    book(1_390_000, 1_395_000, 6_000, 352, 32, 2.5)
    assert page.clock() == (352, 1_395_000, 1_401_000, 2.5)
    snapshot = page.snapshot()
    assert (snapshot["blocks"], snapshot["frame_position"], snapshot["deadline_misses"]) == (2, 384, 0)
    assert (snapshot["last_block_ns"], snapshot["callback_last_ns"]) == (1_390_000, 10_000)
    assert (snapshot["callback_max_ns"], snapshot["late_max_ns"]) == (20_000, 10_000)
    assert {index: count for index, count in enumerate(page.histogram()) if count} == {bin_of(20_000): 1, bin_of(10_000): 1}
    assert {index: count for index, count in enumerate(page.lateness()) if count} == {0: 1, bin_of(10_000): 1}


def test_a_block_without_a_due_time_was_due_when_it_began(page: StatusPage, clock: list[int]) -> None:
    clock[0] = 1_000_500
    block_books(page, PERIOD)(1_000_000, 0, 7, 0, 32, 0.0)
    assert page.clock() == (0, 1_000_000, 1_000_007, 0.0)
    assert page.lateness()[0] == 1


@pytest.mark.parametrize(
    ("late", "took", "missed"), [(0, PERIOD, 0), (0, PERIOD + 1, 1), (300_000, 33_333, 0), (300_000, 33_334, 1)]
)
def test_a_deadline_is_missed_by_what_a_block_is_late_and_takes(
    page: StatusPage, clock: list[int], late: int, took: int, missed: int
) -> None:
    clock[0] = 1_000_000 + took
    block_books(page, PERIOD)(1_000_000, 1_000_000 - late, 0, 0, 32, 0.0)
    assert page.counter("deadline_misses") == missed


def test_the_table_of_bins_is_exact(page: StatusPage, clock: list[int]) -> None:
    book = block_books(page, PERIOD)
    durations = [*range(0, 3000), *range(3000, 530_000, 509), *(2**n + d for n in range(10, 24) for d in (-1, 0, 1))]
    expected = [0] * 512
    for duration in durations:
        clock[0] = 10**9 + duration
        book(10**9, 10**9 - duration, 0, 0, 32, 0.0)
        expected[bin_of(duration)] += 1
    assert page.histogram() == expected
    assert page.lateness() == expected
