"""Recordings whose disk is full, read-only, slow or gone: what is done, what is told, and that every frame is accounted for."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from folder_account import RAMP, Folder, account_of, count
from plain_engine import PlainEngine, add, connect, until

from asmu_engine.recording.repair import repair_recording
from asmu_engine.recording.verdict import Outcome
from asmu_engine.recording.verify import verify_recording

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform != "linux", reason="mounts are Linux's here")]

RATE, CHANNELS = 48_000, 2
FRAME_BYTES = 4 * CHANNELS
SPEED = 10
MEGABYTE = 2**20


def system(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Small disks, which the test may do anything to."""
    mounted: list[Path] = []

    def make(megabytes: int, name: str = "disk") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if os.geteuid() != 0 or not system("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)):
            pytest.skip("making a small disk needs the right to mount one")
        mounted.append(folder)
        return folder

    yield make
    for folder in reversed(mounted):
        system("umount", "-l", str(folder))


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None], Callable[[], bool]]]:
    """A real file system; how to make it take nothing any more, as one does that finds itself damaged; and how to mount it anew:
    what it had in memory only is lost then."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * MEGABYTE)

    def mount() -> bool:
        return system("mount", "-t", "ext4", "-o", "loop,errors=remount-ro", str(image), str(folder))

    if os.geteuid() != 0 or not system("mkfs.ext4", "-q", str(image)) or not mount():
        pytest.skip("a disk that becomes read-only needs the right to mount one, and mkfs.ext4")
    device = subprocess.run(["findmnt", "-no", "SOURCE", str(folder)], capture_output=True, text=True, check=True).stdout.strip()
    trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
    try:
        if not trigger.exists():
            pytest.skip("this kernel lets nobody fail an ext4")
        yield folder, lambda: trigger.write_text("a test\n") and None, lambda: system("umount", str(folder)) and mount()
    finally:
        system("umount", "-l", str(folder))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., PlainEngine]]:
    """Engines with a tap that carries the frame position, at ten times life's speed; its ring has time for a busy machine."""
    plugin = tmp_path / "ramp_plugin.py"
    plugin.write_text(RAMP)
    with contextlib.ExitStack() as stack:

        def start(ring_seconds: float = 240.0) -> PlainEngine:
            device = f"virtual:inputs=2,outputs=2,speed={SPEED},buffer_s=60"
            engine = PlainEngine("lab", device=device, plugins=[str(plugin)], ring_seconds=ring_seconds, blocksize=512)
            stack.enter_context(engine)
            engine.client.listen()
            engine.client.edit(
                add("ramp", "ramp", 0, CHANNELS),
                add("tap1", "tap", CHANNELS),
                *(connect("ramp", "tap1", channel, channel) for channel in range(CHANNELS)),
            )
            return engine

        yield start


def acquire(engine: PlainEngine, folder: Path, *, running: bool = False, **settings: Any) -> int:
    """Begin a recording of every frame from 0 on, or from now on where the device runs; its job."""
    chosen = {"minimum_free": 0, "warn_seconds": 0, **settings}
    at = {} if running else {"at": 0}
    job = engine.client.result("acquire", node="tap1", folder=str(folder), settings=chosen, **at)["job"]
    if not running:
        engine.client.result("start")
    return job


def status(engine: PlainEngine, job: int) -> dict[str, Any]:
    return engine.client.result("job", job=job)


def reach(engine: PlainEngine, job: int, seconds: float) -> None:
    """Wait until so many seconds of audio are recorded."""

    def there() -> bool:
        facts = status(engine, job)
        assert facts["state"] in ("running", "starting"), json.dumps(facts)
        return (facts["seconds"] or 0) >= seconds

    until(there, f"{seconds:g} s of audio", 60)


def synced(engine: PlainEngine, job: int) -> float:
    """How many seconds of audio are certain to be on the disk."""
    facts = status(engine, job)
    return facts["seconds"] - facts["disk"]["unsynced_seconds"]


def stop(engine: PlainEngine, job: int) -> dict[str, Any]:
    return engine.client.result("job_stop", job=job, patience=60)


def failure(engine: PlainEngine, job: int) -> dict[str, Any]:
    """Wait until a recording has ended by itself, and the engine is none the worse for it; why it ended."""

    def failed() -> Any:
        while engine.client.events.poll(0):
            warnings(engine)
        return [event for event in engine.client.seen if event.get("event") == "job" and event["state"] == "failed"]

    (event,) = until(failed, "the end of the recording", 60)
    assert event["job"] == job
    before = engine.client.result("status")["counters"]["blocks"]
    until(lambda: engine.client.result("status")["counters"]["blocks"] > before, "blocks")
    return event["error"]


def warnings(engine: PlainEngine) -> list[tuple[str, str]]:
    """What was warned of so far: what, and the folder."""
    with contextlib.suppress(AssertionError):
        engine.client.event("disk", "none", patience=0)
    return [(event["what"], event["folder"]) for event in engine.client.seen if event.get("event") == "disk_warning"]


def whole(folder: Path, outcome: Outcome = "whole", **facts: Any) -> Folder:
    """The account of a folder in which nothing is left half done, and of which `asmu verify` says the same."""
    found = account_of(folder, **facts)
    assert [file.name for file in folder.iterdir() if ".part" in file.name or file.name == ".reserve"] == []
    check_verdict(folder, found, outcome)
    return found


def check_verdict(folder: Path, found: Folder, outcome: Outcome) -> None:
    verdict = verify_recording(folder)
    assert verdict.outcome == outcome, verdict
    assert (verdict.first, verdict.position, verdict.lost) == (found.first, found.end, found.causes())
    assert verdict.missing == sum(end - first for _, first, end in found.missing)
    assert verdict.dropped == count(found.dropped) - verdict.missing
    assert verdict.delivered == found.end - found.first - count(found.lost) - count(found.dropped)


# -- full -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minimum_free", [0, MEGABYTE])
def test_full_and_stop(start: Callable[..., PlainEngine], disk: Callable[..., Path], minimum_free: int) -> None:
    room = disk(8)
    engine = start()
    job = acquire(engine, room / "take", minimum_free=minimum_free, rollover_bytes=3 * MEGABYTE)
    error = failure(engine, job)
    assert error["code"] == "disk_failed"
    assert "take stopped" in error["message"]
    assert warnings(engine)[-1] == ("full", str(room / "take"))
    found = whole(room / "take", "losses")
    assert (found.first, found.lost) == (0, [])
    assert found.manifest["state"] == "failed"
    assert found.manifest["reason"] == error["message"]
    assert found.of("ended")[-1]["position"] == found.end
    # All the room there was, but for ledger, manifest, what was to stay free, and at most a second until that is noticed.
    assert found.end * FRAME_BYTES > 8 * MEGABYTE - 1.5 * MEGABYTE - minimum_free - 100_000


def test_full_and_drop_the_oldest(start: Callable[..., PlainEngine], disk: Callable[..., Path]) -> None:
    """More than twice the disk is recorded; the newest of it is there, and what is not is named."""
    room = disk(8)
    engine = start()
    job = acquire(engine, room / "take", on_full="drop_oldest", rollover_bytes=MEGABYTE)
    reach(engine, job, 20 * MEGABYTE / FRAME_BYTES / RATE)
    facts = stop(engine, job)
    assert (facts["state"], facts["lost_frames"]) == ("finished", 0)
    found = whole(room / "take", "losses")
    assert found.manifest["state"] == "finished"
    assert (found.first, found.end, found.lost) == (0, facts["position"], [])
    assert len(found.dropped) == facts["dropped"] > 10
    assert found.dropped[-1][1] == found.delivered[0][0]  # the oldest, and nothing else
    assert count(found.dropped) + count(found.delivered) == found.end
    assert warnings(engine).count(("dropped", str(room / "take"))) == facts["dropped"]


@pytest.mark.parametrize("minimum_free", [0, MEGABYTE])
def test_full_and_a_second_folder(
    start: Callable[..., PlainEngine], disk: Callable[..., Path], tmp_path: Path, minimum_free: int
) -> None:
    """Not a frame is lost on the way, and the account is one."""
    room, second = disk(6), tmp_path / "second"
    engine = start()
    settings = {"on_full": "second_folder", "second_folder": str(second), "minimum_free": minimum_free}
    job = acquire(engine, room / "take", rollover_bytes=2 * MEGABYTE, **settings)
    reach(engine, job, 16 * MEGABYTE / FRAME_BYTES / RATE)
    facts = stop(engine, job)
    assert (facts["state"], facts["lost_frames"], facts["disk"]["folder"]) == ("finished", 0, str(second))
    found = whole(room / "take")
    assert (found.first, found.end, found.lost, found.dropped) == (0, facts["position"], [], [])
    files = [Path(line["file"]) for line in found.of("segment_whole")]
    assert [file.parent for file in files if file.is_absolute()] == [second] * sum(map(Path.is_absolute, files))
    assert 0 < sum(map(Path.is_absolute, files)) < len(files)
    assert [file.name for file in second.iterdir() if ".part" in file.name] == []
    assert warnings(engine)[-1][0] == "second_folder"


def test_the_second_disk_full_too(start: Callable[..., PlainEngine], disk: Callable[..., Path]) -> None:
    room, second = disk(5), disk(5, "other")
    engine = start()
    job = acquire(engine, room / "take", rollover_bytes=MEGABYTE, on_full="second_folder", second_folder=str(second / "more"))
    error = failure(engine, job)
    assert str(second / "more") in error["message"]
    found = whole(room / "take", "losses")
    assert (found.first, found.lost, found.dropped) == (0, [], [])
    assert found.manifest["state"] == "failed"
    assert found.end * FRAME_BYTES > 6 * MEGABYTE
    assert [what for what, _ in warnings(engine)] == ["second_folder", "full"]


def test_a_disk_that_will_be_full_is_announced(start: Callable[..., PlainEngine], disk: Callable[..., Path]) -> None:
    room = disk(64)
    engine = start()
    job = acquire(engine, room / "take", warn_seconds=3600)
    assert until(lambda: warnings(engine), "the warning") == [("full_soon", str(room / "take"))]
    disk_facts = until(lambda: status(engine, job)["disk"], "the disk")
    assert 0 < disk_facts["full_in_seconds"] < 3600
    assert stop(engine, job)["state"] == "finished"
    found = whole(room / "take")
    assert [event["facts"]["what"] for event in found.of("event") if event["what"] == "disk_warning"] == ["full_soon"]


# -- gone -------------------------------------------------------------------------------------------------------------


def unmounted(room: Path) -> None:
    assert system("umount", "-l", str(room))


def removed(room: Path) -> None:
    shutil.rmtree(room / "take")


@pytest.mark.parametrize("vanish", [unmounted, removed])
def test_gone_and_stop(start: Callable[..., PlainEngine], disk: Callable[..., Path], vanish: Callable[[Path], None]) -> None:
    room = disk(64)
    engine = start()
    job = acquire(engine, room / "take", rollover_bytes=MEGABYTE)
    reach(engine, job, 5)
    vanish(room)
    assert "take stopped" in failure(engine, job)["message"]
    assert warnings(engine)[-1] == ("gone", str(room / "take"))


@pytest.mark.parametrize("vanish", [unmounted, removed])
def test_gone_and_a_second_folder(
    start: Callable[..., PlainEngine], disk: Callable[..., Path], tmp_path: Path, vanish: Callable[[Path], None]
) -> None:
    """What was written before cannot be had, and the account, which goes on in the second folder, says which frames that is."""
    room, second = disk(64), tmp_path / "second"
    engine = start()
    job = acquire(engine, room / "take", rollover_bytes=MEGABYTE, on_full="second_folder", second_folder=str(second))
    reach(engine, job, 10)
    vanish(room)
    until(lambda: status(engine, job)["disk"]["folder"] == str(second), "the second folder", 30)
    position = status(engine, job)["position"]
    reach(engine, job, position / RATE + 10)
    # Whoever goes on after the disk process finds the account where it is now.
    os.kill(engine.client.result("status")["processes"]["disk"]["pid"], signal.SIGKILL)
    reach(engine, job, position / RATE + 20)
    facts = stop(engine, job)
    assert (facts["state"], facts["lost_frames"]) == ("finished", 0)
    found = whole(second, "damaged", gone=(room / "take",))
    assert (found.first, found.end, found.lost) == (0, facts["position"], [])
    assert count(found.dropped) + count(found.delivered) == found.end
    assert found.delivered[-1][1] - found.delivered[0][0] > 9 * RATE
    assert all(Path(file).parent == room / "take" for file, _, _ in found.missing)
    assert found.missing


# -- read-only --------------------------------------------------------------------------------------------------------


def test_read_only_and_stop(start: Callable[..., PlainEngine], ext4: Any, tmp_path: Path) -> None:
    room, fail, mount_again = ext4
    engine = start()
    job = acquire(engine, room / "take", rollover_bytes=MEGABYTE, sync_seconds=0.1)
    reach(engine, job, 10)
    until(lambda: synced(engine, job) >= 6 and status(engine, job)["segments"] >= 2, "six seconds on the disk", 60)
    fail()
    error = failure(engine, job)
    assert error["code"] == "disk_failed"
    assert warnings(engine)[-1] == ("read_only", str(room / "take"))
    engine.end()
    assert mount_again()
    found = account_of(room / "take", unfinished=(room / "take",))
    assert verify_recording(room / "take").outcome == "unfinished"
    assert found.manifest["state"] == "recording"  # as nobody could say that it ended
    assert count(found.delivered) > 5 * RATE
    mended = repair_recording(room / "take", out=tmp_path / "mended")
    assert mended.verdict.outcome in ("whole", "losses"), mended
    assert mended.verdict.delivered >= count(found.delivered)
    assert account_of(tmp_path / "mended").lost == []


def test_read_only_and_a_second_folder(start: Callable[..., PlainEngine], ext4: Any, tmp_path: Path) -> None:
    """Not a frame is lost, though the first disk forgot what it had taken last: that is taken from the ring once more."""
    (room, fail, mount_again), second = ext4, tmp_path / "second"
    engine = start()
    job = acquire(engine, room / "take", rollover_bytes=MEGABYTE, on_full="second_folder", second_folder=str(second))
    reach(engine, job, 10)
    fail()
    until(lambda: status(engine, job)["disk"]["folder"] == str(second), "the second folder", 30)
    position = status(engine, job)["position"]
    reach(engine, job, position / RATE + 10)
    facts = stop(engine, job)
    assert (facts["state"], facts["lost_frames"]) == ("finished", 0)
    engine.end()
    assert mount_again()
    found = account_of(second, unfinished=(room / "take",))
    left = {line["index"]: line["entry"] for line in found.entries if line["entry"].startswith("segment_")}
    check_verdict(second, found, "unfinished" if "segment_ended" in left.values() else "whole")
    assert (found.first, found.end, found.lost, found.dropped) == (0, facts["position"], [], [])
    assert count(found.delivered) == found.end
    assert repair_recording(second, out=tmp_path / "mended").verdict.outcome == "whole"


# -- slow -------------------------------------------------------------------------------------------------------------

THROTTLE = f"{SPEED * RATE * FRAME_BYTES / 2},0.5,2"
"""Half the data rate for 20 s of device time."""


def test_slow_and_a_ring_that_is_long_enough(
    start: Callable[..., PlainEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASMU_DISK_THROTTLE", THROTTLE)
    engine = start(ring_seconds=60)
    engine.client.result("start")  # before the slow time begins, whatever else this machine does
    job = acquire(engine, tmp_path / "take", running=True, rollover_seconds=7.25)
    reach(engine, job, 40)
    facts = stop(engine, job)
    assert (facts["state"], facts["lost_frames"]) == ("finished", 0)
    found = whole(tmp_path / "take")
    assert (found.first, found.end, found.lost, found.dropped) == (facts["first"], facts["position"], [], [])


def test_slow_and_a_ring_that_is_too_short(
    start: Callable[..., PlainEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did not fit is lost, and the ledger says of each frame whether it is."""
    monkeypatch.setenv("ASMU_DISK_THROTTLE", THROTTLE)
    engine = start(ring_seconds=4)
    engine.client.result("start")  # before the slow time begins, whatever else this machine does
    job = acquire(engine, tmp_path / "take", running=True, rollover_seconds=7.25)
    reach(engine, job, 40)
    facts = stop(engine, job)
    assert facts["state"] == "finished"
    found = whole(tmp_path / "take", "losses")
    assert found.causes() == facts["lost"] == {"overrun": facts["lost_frames"]}
    assert count(found.lost) == facts["lost_frames"] > 0
    assert count(found.delivered) + count(found.lost) == facts["frames"] == found.end - found.first
    until(lambda: ("slow", str(tmp_path / "take")) in warnings(engine), "the warning")
