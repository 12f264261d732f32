"""The watch over the disk: forecast, warnings, trouble."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from asmu_engine.disk.acquisition.space import DiskWatch, Room, Warning, room_of
from asmu_engine.protocol.acquisition import AcquisitionSettings

FOLDER = Path("/data/friday")
MEGABYTE = 10**6


class System:
    """A disk, and a clock, by hand."""

    def __init__(self, free: int = 1000 * MEGABYTE) -> None:
        self.now = 50.0
        self.room = Room(free, False, 7, True)
        self.error: OSError | None = None

    def look(self, folder: Path) -> Room:
        if self.error is not None:
            raise self.error
        return self.room

    def change(self, **facts: object) -> None:
        self.room = self.room._replace(**facts)

    def watch(self, **settings: object) -> DiskWatch:
        chosen = AcquisitionSettings(**{"minimum_free": 100 * MEGABYTE, "warn_seconds": 300.0, **settings})
        return DiskWatch(chosen, FOLDER, 48_000, 8, clock=lambda: self.now, look_at=self.look)

    def run(self, watch: DiskWatch, seconds: int, pace: int, others: int = 0) -> list[Warning]:
        """So many looks, one a second, while the recording and `others` write so many bytes a second."""
        notices = []
        for _ in range(seconds):
            self.now += 1
            watch.note_written(pace)
            self.change(free_bytes=self.room.free_bytes - pace - others)
            notices += watch.look()
        return notices


@pytest.fixture
def system():
    return System()


def test_before_anything_is_written_there_is_no_forecast(system):
    watch = system.watch()
    assert (watch.free_bytes, watch.bytes_per_second, watch.full_in_seconds, watch.short) == (1000 * MEGABYTE, 0.0, None, False)
    assert system.run(watch, 30, 0) == []
    assert watch.full_in_seconds is None


def test_the_first_forecast_is_at_the_nominal_pace(system):
    watch = system.watch()
    system.now += 0.1
    watch.note_written(1)
    watch.look()
    assert (watch.bytes_per_second, watch.full_in_seconds) == (384_000.0, 900 * MEGABYTE / 384_000)


def test_then_it_is_at_that_of_the_last_ten_seconds(system):
    watch = system.watch()
    system.run(watch, 20, 3 * MEGABYTE)
    assert watch.bytes_per_second == pytest.approx(3 * MEGABYTE)
    system.run(watch, 10, MEGABYTE)
    assert watch.bytes_per_second == pytest.approx(MEGABYTE)
    # The disk has lost 70 MB within these 30 s, which is the faster of the two paces.
    assert watch.full_in_seconds == pytest.approx((1000 - 70 - 100) / (70 / 30))


def test_what_others_write_is_in_the_forecast(system):
    watch = system.watch()
    system.run(watch, 10, MEGABYTE, others=9 * MEGABYTE)
    assert (watch.bytes_per_second, watch.full_in_seconds) == (pytest.approx(MEGABYTE), pytest.approx(80))


def test_what_others_write_alone_makes_no_forecast(system):
    watch = system.watch()
    assert system.run(watch, 10, 0, others=80 * MEGABYTE) == []
    assert watch.full_in_seconds is None


def test_a_disk_that_will_be_full_is_announced_twice(system):
    watch = system.watch()
    assert system.run(watch, 60, 2 * MEGABYTE) == [] and watch.full_in_seconds == pytest.approx(390)  # noqa: PT018
    notices = system.run(watch, 100, 2 * MEGABYTE)
    assert notices == [
        Warning("full_soon", "/data/friday will be full in 5 minutes, at the 2 MB/s of the recording; the recording ends then")
    ]
    notices = system.run(watch, 289, 2 * MEGABYTE)
    assert notices == [
        Warning("full_soon", "/data/friday will be full in 30 s, at the 2 MB/s of the recording; the recording ends then")
    ]


def test_the_warning_says_which_pace_it_goes_by(system):
    watch = system.watch()
    notices = system.run(watch, 20, MEGABYTE, others=9 * MEGABYTE)
    assert [notice.text for notice in notices][:1] == [
        "/data/friday will be full in 89 s, at the 10 MB/s that the disk lost over the last minute (the recording writes 1 MB/s)"
        "; the recording ends then"
    ]


def test_a_pace_is_looked_at_for_a_while_before_it_is_told_of(system):
    watch = system.watch(warn_seconds=3600)
    assert system.run(watch, 1, MEGABYTE // 2, others=MEGABYTE // 10) == []  # 1500 s are left
    assert system.run(watch, 8, MEGABYTE // 2) == []
    (notice,) = system.run(watch, 1, MEGABYTE // 2)
    assert notice.text.startswith("/data/friday will be full in 29 minutes, at the 510 kB/s that the disk lost ")
    assert system.run(watch, 60, MEGABYTE // 2) == []


def test_unless_there_is_little_time(system):
    watch = system.watch(warn_seconds=3600)
    (notice,) = system.run(watch, 2, 3 * MEGABYTE)
    assert notice.text.startswith("/data/friday will be full in 5 minutes, ")


def test_room_that_was_made_calms_the_warning(system):
    watch = system.watch()
    assert len(system.run(watch, 440, 2 * MEGABYTE)) == 2
    system.change(free_bytes=2000 * MEGABYTE)
    assert system.run(watch, 60, 2 * MEGABYTE) == []
    system.change(free_bytes=500 * MEGABYTE)
    assert [notice.what for notice in system.run(watch, 1, 2 * MEGABYTE)] == ["full_soon"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"on_full": "drop_oldest"}, "the oldest finished segments are deleted then"),
        ({"on_full": "second_folder", "second_folder": "/b"}, "the recording goes on in the second folder then"),
    ],
)
def test_the_warning_says_what_will_be_done(system, settings, text):
    watch = system.watch(**settings)
    system.change(free_bytes=110 * MEGABYTE)
    (notice,) = system.run(watch, 1, MEGABYTE)
    assert notice.text.endswith(text)


def test_without_a_limit_there_is_no_warning(system):
    watch = system.watch(warn_seconds=0)
    assert system.run(watch, 440, 2 * MEGABYTE) == []


def test_less_room_than_is_to_stay_free_is_short(system):
    watch = system.watch()
    system.run(watch, 10, MEGABYTE)
    system.change(free_bytes=100 * MEGABYTE)
    watch.look()
    assert (watch.short, watch.trouble) == (False, None)
    system.change(free_bytes=100 * MEGABYTE - 1)
    assert watch.look() == [Warning("full", "/data/friday has 100 MB left, less than the 100 MB that are to stay free")]
    assert (watch.short, watch.trouble, watch.full_in_seconds) == (True, "full", 0.0)
    assert watch.look() == []
    system.change(free_bytes=200 * MEGABYTE)
    watch.look()
    assert (watch.short, watch.trouble) == (False, None)


def test_a_disk_that_is_short_from_the_beginning_is_told_too(system):
    system.change(free_bytes=1)
    watch = system.watch()
    assert watch.short
    assert [notice.what for notice in watch.look()] == ["full"]


def test_a_disk_that_became_read_only(system):
    watch = system.watch()
    system.change(read_only=True)
    assert watch.look() == [Warning("read_only", "/data/friday cannot be written any more: it is mounted read-only now")]
    assert (watch.trouble, watch.short) == ("read_only", False)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE, errno.EIO])
def test_a_folder_that_is_not_there(system, number):
    watch = system.watch()
    system.error = OSError(number, os.strerror(number))
    assert watch.look() == [Warning("gone", f"/data/friday is not there any more: {os.strerror(number)}")]
    assert (watch.trouble, watch.full_in_seconds) == ("gone", 0.0)


@pytest.mark.parametrize("facts", [{"device": 8}, {"ledger": False}])
def test_another_disk_or_folder_in_its_place(system, facts):
    watch = system.watch()
    system.change(**facts)
    assert watch.look() == [Warning("gone", "/data/friday is not there any more: another disk or folder is in its place")]


def test_a_ledger_that_comes_later_is_no_trouble(system):
    system.change(ledger=False)
    watch = system.watch()
    assert watch.look() == []
    system.change(ledger=True)
    assert watch.look() == []
    system.change(ledger=False)
    assert [notice.what for notice in watch.look()] == ["gone"]


def test_a_slow_disk_is_told_once_until_it_has_caught_up(system):
    watch = system.watch()
    assert watch.look(behind_seconds=2.4, ring_seconds=10) == []
    (notice,) = watch.look(behind_seconds=2.5, ring_seconds=10)
    assert notice == Warning(
        "slow",
        "/data/friday is slow: 2.5 s of audio wait to be written, and the ring holds 10 s; what it cannot hold is lost. "
        "Use a faster disk, fewer channels, or a tap with a longer ring",
    )
    assert watch.look(behind_seconds=9, ring_seconds=10) == []
    assert watch.look(behind_seconds=0.6, ring_seconds=10) == []
    assert watch.look(behind_seconds=3, ring_seconds=10) == []
    watch.look(behind_seconds=0.4, ring_seconds=10)
    assert [notice.what for notice in watch.look(behind_seconds=3, ring_seconds=10)] == ["slow"]


def test_it_moves_to_another_disk(system):
    watch = system.watch()
    system.run(watch, 20, MEGABYTE)
    system.change(device=8, ledger=False, free_bytes=50 * MEGABYTE)
    watch.move(Path("/backup"))
    assert (watch.trouble, watch.free_bytes) == ("full", 50 * MEGABYTE)
    assert [warning.text[:18] for warning in watch.look()] == ["/backup has 50 MB "]
    system.change(free_bytes=10**12)
    assert system.run(watch, 10, MEGABYTE) == []
    assert (watch.trouble, watch.bytes_per_second) == (None, pytest.approx(MEGABYTE))


def test_the_memory_of_a_watch_is_a_minute(system):
    watch = system.watch(warn_seconds=0)
    system.run(watch, 300, 1)
    assert len(watch._history) == 61


def test_the_system_is_asked(tmp_path):
    room = room_of(tmp_path)
    assert room.free_bytes > 0
    assert (room.read_only, room.device, room.ledger) == (False, tmp_path.stat().st_dev, False)
    (tmp_path / "ledger.jsonl").touch()
    assert room_of(tmp_path).ledger
    with pytest.raises(FileNotFoundError):
        room_of(tmp_path / "missing")


def test_a_real_folder_that_is_removed(tmp_path):
    folder = tmp_path / "friday"
    folder.mkdir()
    watch = DiskWatch(AcquisitionSettings(minimum_free=0), folder, 48_000, 8)
    assert watch.look() == []
    folder.rmdir()
    assert [notice.what for notice in watch.look()] == ["gone"]
