"""The slow disk that an environment variable injects."""

from __future__ import annotations

import pytest

from asmu_engine.disk.acquisition import throttle
from asmu_engine.protocol.errors import DiskError


class Time:
    """A clock that goes on only while somebody sleeps, or by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def time():
    return Time()


def slow(time, rate=1000.0, begin=5.0, seconds=20.0):
    return throttle.Throttle(rate, begin, seconds, clock=time, sleep=time.sleep)


def test_before_and_after_its_time_nothing_waits(time):
    disk = slow(time)
    disk.wait(10**9)
    assert time.now == 1000
    time.now = 1025
    disk.wait(10**9)
    assert time.now == 1025


def test_bytes_take_their_time(time):
    disk = slow(time)
    time.now = 1005
    for size in (500, 1500, 1000):
        disk.wait(size)
    assert time.now == pytest.approx(1008)


def test_a_pause_saves_nothing_up(time):
    disk = slow(time)
    time.now = 1010
    disk.wait(2000)
    assert time.now == pytest.approx(1012)


def test_what_the_caller_did_meanwhile_counts(time):
    disk = slow(time)
    time.now = 1005
    disk.wait(1000)
    time.now += 0.25
    disk.wait(1000)
    assert time.now == pytest.approx(1007.25)


def test_a_wait_ends_with_the_slow_time(time):
    disk = slow(time)
    time.now = 1005
    disk.wait(10**9)
    assert time.now == pytest.approx(1025)


def test_the_variable_says_how_slow_and_when(monkeypatch):
    made = []
    monkeypatch.setattr(throttle, "Throttle", lambda *arguments: made.append(arguments))
    monkeypatch.setenv("ASMU_DISK_THROTTLE", "192e3, 5,20.5")
    throttle.from_environment()
    assert made == [(192_000.0, 5.0, 20.5)]


def test_without_the_variable_there_is_no_throttle(monkeypatch):
    monkeypatch.delenv("ASMU_DISK_THROTTLE", raising=False)
    assert throttle.from_environment() is None


@pytest.mark.parametrize(
    "text", ["1000", "1000,1", "0,1,2", "-5,1,2", "a,b,c", "nan,1,2", "1,-1,2", "1,1,-2", "inf,0,1", "1,2,3,4"]
)
def test_what_is_no_throttle_is_refused(monkeypatch, text):
    monkeypatch.setenv("ASMU_DISK_THROTTLE", text)
    with pytest.raises(DiskError, match="it must be bytes_per_second,begin_s,seconds, such as 192000,5,20"):
        throttle.from_environment()
