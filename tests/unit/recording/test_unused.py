"""Folders of recordings that never had a frame, and numbers as texts."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from asmu_engine.recording import numbers
from asmu_engine.recording.ledger import Begun, Ended, Gap, entry_line
from asmu_engine.recording.unused import remove_unused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "week" / "friday"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    begun = Begun(noted_ns=1, position=None, why="new", pid=1, boot="")
    (folder / "ledger.jsonl").write_bytes(entry_line(begun) + entry_line(Ended(noted_ns=2, position=None, reason="stopped")))
    return folder


def test_it_is_removed_with_the_folders_that_were_made_for_it(folder: Path, tmp_path: Path) -> None:
    assert remove_unused(folder, [folder, folder.parent])
    assert list(tmp_path.iterdir()) == []


def test_what_else_is_there_stays(folder: Path) -> None:
    (folder / "notes.txt").touch()
    assert remove_unused(folder, [folder, folder.parent])
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_one_that_tells_of_frames_stays(folder: Path) -> None:
    with (folder / "ledger.jsonl").open("ab") as file:
        file.write(entry_line(Gap(noted_ns=3, position=0, frames=5, cause="device", uncertainty=0, filled=False)))
    assert not remove_unused(folder, [folder])
    assert {file.name for file in folder.iterdir()} == {"manifest.json", "ledger.jsonl"}


def test_examples() -> None:
    assert doctest.testmod(numbers).failed == 0
