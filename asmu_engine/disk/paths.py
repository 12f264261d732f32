"""What the files of a growing recording are called: all beside the file to be, in its folder, so that renaming is one step."""

from __future__ import annotations

from pathlib import Path


def part_path(path: Path) -> Path:
    """The file under its temporary name.

    >>> str(part_path(Path("take.wav"))), str(part_path(Path("take")))
    ('take.part.wav', 'take.part')
    """
    return path.with_name(f"{path.stem}.part{path.suffix}")


def raw_path(path: Path) -> Path:
    """What is recorded of a file that is encoded when it is whole.

    >>> str(raw_path(Path("take.flac")))
    'take.part.flac.rf64'
    """
    part = part_path(path)
    return part.with_name(f"{part.name}.rf64")


def journal_path(path: Path) -> Path:
    """The journal.

    >>> str(journal_path(Path("take.wav")))
    'take.part.wav.journal'
    """
    part = part_path(path)
    return part.with_name(f"{part.name}.journal")
