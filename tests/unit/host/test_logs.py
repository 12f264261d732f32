from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asmu_engine.host import logs
from asmu_engine.host.logs import LINES_A_SECOND, EventLog, open_log
from asmu_engine.protocol.errors import ConfigError


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before, level = list(logger.handlers), logger.level
    yield logger
    logger.setLevel(level)
    for handler in [handler for handler in logger.handlers if handler not in before]:
        logger.removeHandler(handler)
        handler.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_record_is_one_line_of_json(tmp_path: Path, root: logging.Logger) -> None:
    path = tmp_path / "new" / "lab.jsonl"
    root.addHandler(open_log(path, 1 << 20, 3))
    logging.getLogger("asmu_engine.host.audio").warning("it ended (%s)\nsecond line, für „Ärger“", "signal 9")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("asmu_engine.host.loop").exception("a handler failed")
    first, second = lines(path)
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "warning",
        "logger": "asmu_engine.host.audio",
        "message": "it ended (signal 9)\nsecond line, für „Ärger“",
    }
    assert second["level"] == "error"
    assert second["exception"].endswith("ValueError: broken")


def test_files_are_rotated_and_the_oldest_go(tmp_path: Path, root: logging.Logger) -> None:
    root.addHandler(open_log(tmp_path / "lab.jsonl", 4096, 2))
    for number in range(200):
        logging.getLogger("asmu_engine").warning("line %d %s", number, "x" * 50)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["lab.jsonl", "lab.jsonl.1", "lab.jsonl.2"]
    assert all((tmp_path / name).stat().st_size <= 4096 for name in files)
    kept = [line["message"].split()[1] for name in reversed(files) for line in lines(tmp_path / name)]
    assert kept == [str(number) for number in range(200 - len(kept), 200)]


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="name a file that you can write") as caught:
        open_log(tmp_path / "file" / "log", 4096, 1)
    assert caught.value.where == "log"


def test_events_are_logged_by_weight_and_edits_are_not(tmp_path: Path, root: logging.Logger) -> None:
    path = tmp_path / "lab.jsonl"
    root.addHandler(open_log(path, 1 << 20, 3))
    root.setLevel(logging.INFO)
    log = EventLog()
    log("patch", {"event": "edited", "revision": 3})
    log("disk", {"event": "job", "state": "running", "job": 1})
    log("disk", {"event": "job", "state": "finished", "job": 1, "gaps": [[1, 2, "device"]]})
    log("disk", {"event": "job", "state": "failed", "job": 2})
    log("device", {"event": "device_lost", "reason": "unplugged", "position": 7})
    found = [(line["level"], line["message"], line["fields"]) for line in lines(path)]
    assert found == [
        ("info", "job", {"state": "finished", "job": 1}),
        ("error", "job", {"state": "failed", "job": 2}),
        ("error", "device_lost", {"reason": "unplugged", "position": 7}),
    ]


def test_a_flood_is_thinned_out_and_counted(tmp_path: Path, root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lab.jsonl"
    root.addHandler(open_log(path, 1 << 20, 3))
    now = 100.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    log = EventLog()
    for position in range(LINES_A_SECOND + 7):
        log("xrun", {"event": "xrun", "position": position})
    log("device", {"event": "device_lost"})
    now = 101.5
    log("xrun", {"event": "xrun", "position": 999})
    found = [line["message"] for line in lines(path)]
    assert found == ["xrun"] * LINES_A_SECOND + ["device_lost", "xrun (7 more of topic xrun were not logged)"]
