"""Durations, sizes, roll-over and channels as people write them."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from asmu_control import units
from asmu_control.exceptions import ConfigError


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        (np.float32(2), 2.0),
        ("90", 90.0),
        ("1.5", 1.5),
        ("90s", 90.0),
        (" 90 S ", 90.0),
        ("250ms", 0.25),
        ("15min", 900.0),
        ("15 m", 900.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("1h 30min 5s", 5405.0),
        ("3d", 259_200.0),
        ("2w", 1_209_600.0),
    ],
)
def test_durations(given: object, seconds: float) -> None:
    assert units.duration(given) == seconds


@pytest.mark.parametrize("given", ["", "h", "1 hour", "1x", "s90", "1h,", "-1", -1, 0, "0s", "1e400", float("nan"), True, None])
def test_what_is_no_duration_is_refused_by_name(given: object) -> None:
    with pytest.raises(ConfigError) as caught:
        units.duration(given, "seconds")
    assert caught.value.where == "seconds"
    assert f"seconds {given!r}: give a time, such as 90" in str(caught.value)


def test_no_time_at_all_where_that_has_a_meaning() -> None:
    assert units.duration(0, "fill_seconds", zero=True) == units.duration("0s", "fill_seconds", zero=True) == 0.0
    with pytest.raises(ConfigError):
        units.duration(-0.1, "fill_seconds", zero=True)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("12 B", 12),
        ("500MB", 500_000_000),
        ("500 mb", 500_000_000),
        ("1.5kB", 1500),
        ("2GiB", 2 * 2**30),
        ("2 GB", 2_000_000_000),
        ("1TiB", 2**40),
    ],
)
def test_sizes(given: object, count: int) -> None:
    assert units.size(given) == count


@pytest.mark.parametrize("given", ["", "MB", "2iB", "2G", "2XB", "-5", -1, "1h", True, None, np.arange(2)])
def test_what_is_no_size_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="give a size"):
        units.size(given)


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (None, {}),
        ("none", {}),
        ("Never", {}),
        (3600, {"rollover_seconds": 3600.0}),
        ("1h", {"rollover_seconds": 3600.0}),
        ("2GB", {"rollover_bytes": 2_000_000_000}),
        ("1h, 2GiB", {"rollover_seconds": 3600.0, "rollover_bytes": 2 * 2**30}),
        ("2GiB,90", {"rollover_seconds": 90.0, "rollover_bytes": 2 * 2**30}),
    ],
)
def test_rollover(given: object, settings: dict[str, float]) -> None:
    assert units.rollover(given) == settings


@pytest.mark.parametrize("given", ["1h,2h", "2GB,3GB", "1h,", "hourly", 0, True])
def test_what_is_no_rollover_is_refused_as_it_was_given(given: object) -> None:
    with pytest.raises(ConfigError) as caught:
        units.rollover(given)
    assert f"rollover {given!r}: give " in str(caught.value)


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (3, (3,)),
        ([2, 1], (2, 1)),
        (range(1, 4), (1, 2, 3)),
        (np.arange(1, 3), (1, 2)),
        ("1", (1,)),
        ("1-4", (1, 2, 3, 4)),
        (" 4-2, 9 ", (4, 3, 2, 9)),
    ],
)
def test_channels(given: object, numbers: tuple[int, ...]) -> None:
    assert units.channel_numbers(given) == numbers


@pytest.mark.parametrize("given", ["", "a", "1-", "1,1", "1-3,2", [], [1, 1], "1;2"])
def test_what_is_no_list_of_channels_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="give channels"):
        units.channel_numbers(given)


@pytest.mark.parametrize("given", ["0", "0-3", "1-1000000000", 0, [1.5], 1025])
def test_numbers_that_no_channel_has_are_refused(given: object) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        units.channel_numbers(given)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599.6, "1 h"),
        (3661, "1 h 1 min"),
        (86_400, "1 d"),
        (1e6, "11 d 13 h"),
    ],
)
def test_duration_texts(seconds: float, text: str) -> None:
    assert units.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (99_960, "100 kB"),
        (999_600, "1.00 MB"),
        (5e15, "5000 TB"),
    ],
)
def test_size_texts(count: float, text: str) -> None:
    assert units.size_text(count) == text


def test_examples() -> None:
    assert doctest.testmod(units).failed == 0
