"""Figures against earlier ones: which rows belong together, which way is better, what is noise, what is kept of a release."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _records, compare
from benchmarks._figures import Key, figures, rule_of
from benchmarks._records import Table

ENVIRONMENT = {
    "date": "2026-11-23T01:00:00+00:00", "commit": "0123456789ab", "machine": "x86_64", "processor": "one", "cores": 2,
    "system": "Linux 6", "python": "3.11.7", "libraries": {"numpy": "2.4.6"}, "arguments": [],
}  # fmt: skip


def table(rows: list[dict[str, Any]], name: str = "chain", **environment: Any) -> Table:
    record = {"benchmark": name, "environment": {**ENVIRONMENT, **environment}, "goals": {}, "rows": rows}
    return Table("of a test", "0123456789ab", {name: record})


def verdicts(before: Table, now: Table) -> dict[str, str]:
    return {f"{change.row}: {change.figure}": change.verdict for change in compare.compare(before, now)}


def chain(engine: float, numpy: float = 8.0, ratio: float = 2.0) -> list[dict[str, Any]]:
    return [{"way": "engine", "us_per_block": engine, "to_numpy": ratio}, {"way": "numpy", "us_per_block": numpy}]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("us_per_block", -1),
        ("instructions", -1),
        ("callback_p50_us", -1),
        ("late_p999_us", -1),
        ("median_s", -1),
        ("missed_percent", -1),
        ("lost_frames", -1),
        ("to_copy", -1),
        ("own_growth_kb", -1),
        ("together_core", -1),
        ("edits_per_s", 1),
        ("open_recording_MB_per_s", 1),
        ("whole_ratio", 1),
        ("blocks", 0),
        ("transactions", 0),
        ("spread_percent", 0),
        ("span_MB", 0),
        ("injected.lose", 0),
    ],
)
def test_which_way_is_better(name: str, better: int) -> None:
    assert rule_of(name).better == better


def test_every_stored_row_has_a_name_of_its_own() -> None:
    """Else put what the rows are about first in them, as text or as a number named in `LABELS`."""
    for name, record in _records.read_folder().records.items():
        found = figures(name, record["rows"])
        assert found, name
        assert [key.row for key in found if key.row.endswith(")") and "(" in key.row.split(", ")[-1]] == [], name


def test_rows_are_known_by_what_they_are_about_and_not_by_their_place() -> None:
    rows = [{"core": "gain", "channels": channels, "us_per_block": 1.0 * channels} for channels in (1, 8, 64)]
    assert set(verdicts(table(rows), table(rows[::-1])).values()) == {"same"}
    assert set(figures("library", rows)) == {Key("library", f"gain, {n} channels", "us_per_block") for n in (1, 8, 64)}


def test_rows_of_one_name_are_numbered() -> None:
    rows = [{"what": "edit", "p50_ms": 1.0}, {"what": "edit", "p50_ms": 2.0}]
    assert [key.row for key in figures("edits", rows)] == ["edit", "edit (2)"]


def test_beyond_the_band_it_is_better_or_worse() -> None:
    old = table(chain(10.0))
    assert verdicts(old, table(chain(11.4)))["engine: us_per_block"] == "same"
    assert verdicts(old, table(chain(11.6)))["engine: us_per_block"] == "worse"
    assert verdicts(old, table(chain(8.4)))["engine: us_per_block"] == "better"


def test_what_the_comparisons_moved_is_noise_of_ours_too() -> None:
    found = verdicts(table(chain(10.0, numpy=8.0)), table(chain(12.0, numpy=9.6, ratio=2.0)))
    assert found == {"engine: us_per_block": "same", "engine: to_numpy": "same", "numpy: us_per_block": "comparison"}
    found = verdicts(table(chain(10.0, numpy=8.0)), table(chain(14.0, numpy=9.6, ratio=2.4)))
    assert found["engine: us_per_block"] == found["engine: to_numpy"] == "worse"


def test_on_another_machine_only_ratios_are_judged() -> None:
    found = verdicts(table(chain(10.0)), table(chain(5.0, ratio=3.0), processor="another"))
    assert found["engine: us_per_block"] == "other machine"
    assert found["engine: to_numpy"] == "worse"


def test_instructions_have_a_narrow_band() -> None:
    old, name = table([{"what": "tap write", "instructions": 20_000}], "counts"), "tap write: instructions"
    assert verdicts(old, table([{"what": "tap write", "instructions": 20_090}], "counts"))[name] == "same"
    assert verdicts(old, table([{"what": "tap write", "instructions": 20_200}], "counts"))[name] == "worse"


def test_a_single_lost_frame_is_worse_than_none() -> None:
    old, new = ([{"way": "engine", "client": "hot", "lost_frames": lost}] for lost in (0, 1))
    (change,) = compare.compare(table(old), table(new))
    assert (change.verdict, change.percent, change.now) == ("worse", None, 1)


def test_words_new_figures_and_gone_ones_are_told() -> None:
    old = table([{"channels": 64, "gb": 1.0, "verify": "whole", "old_us": 1.0}])
    new = table([{"channels": 64, "gb": 2.0, "verify": "losses", "new_us": 1.0}])
    assert verdicts(old, new) == {
        "64 channels: gb": "fact",
        "64 channels: verify": "changed",
        "64 channels: new_us": "new",
        "64 channels: old_us": "gone",
    }


def test_circumstances_that_differ_are_told() -> None:
    old, new = table(chain(10.0)), table(chain(10.0, numpy=16.0), python="3.13.0", libraries={"numpy": "2.5.0"})
    said = list(compare.circumstances(old.records["chain"], new.records["chain"]))
    assert said[:2] == ["python: 3.11.7 → 3.13.0", "numpy: 2.4.6 → 2.5.0"]
    assert "moved by 100 %" in said[2]


def test_a_release_is_kept_whole_but_for_series(tmp_path: Path) -> None:
    rows = [{"process": "host", "end_mb": 40.0, "every_10th_kb": [1.0, 2.0]}, {"process": "audio", "end_mb": 50.0}]
    file = _records.record("1.2.0", table(rows, "memory"), tmp_path)
    kept = _records.find("1.2.0", tmp_path)
    assert (kept.name, kept.commit) == ("1.2.0", "0123456789ab")
    assert kept.records["memory"]["environment"] == ENVIRONMENT
    assert kept.records["memory"]["rows"] == [{"process": "host", "end_mb": 40.0}, {"process": "audio", "end_mb": 50.0}]
    assert sum('"process"' in line for line in file.read_text(encoding="utf-8").splitlines()) == 2


def test_the_last_release_is_the_one_recorded_last(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no release is recorded"):
        _records.last_release(tmp_path)
    for version, day in (("1.10.0", "02"), ("1.9.0", "01")):
        file = _records.record(version, table(chain(1.0)), tmp_path)
        file.write_text(json.dumps({**json.loads(file.read_text()), "recorded": f"2026-11-{day}T00:00:00+00:00"}))
    assert _records.last_release(tmp_path).name == "1.10.0"


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda folder: _records.record("../1", table(chain(1.0)), folder), "is no version"),
        (lambda folder: [_records.record("1.0", table(chain(1.0)), folder) for _ in range(2)], "recorded already.*--replace"),
        (lambda folder: _records.find("no such thing", folder), "no release .recorded: none., no folder, and no commit"),
        (_records.read_folder, "there are no results in"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(do: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=said):
        do(tmp_path)


def test_a_release_is_written_anew_when_told_so(tmp_path: Path) -> None:
    for engine in (1.0, 2.0):
        _records.record("1.0", table(chain(engine)), tmp_path, replace=True)
    assert _records.last_release(tmp_path).records["chain"]["rows"][0]["us_per_block"] == 2.0
