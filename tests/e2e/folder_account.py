"""What a recording folder must be, whatever happened: an account that uses none of the project's own readers of it.

The tap that was recorded carries the `ramp` of `RAMP`, which tells of each sample at which frame position it was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RAMP = """
import numpy as np
from asmu_engine.rt.acore import AGenerator


class ARamp(AGenerator):
    \"\"\"The frame position itself: n / 2**23 for n from 1 to 2**23 - 1 and again; every second channel is its negative.\"\"\"

    kind = "ramp"

    def process(self, inputs, outputs):
        position = self.setup.context.position
        values = (np.arange(position, position + len(outputs)) % (2**23 - 1) + 1) / 2**23
        outputs[:, ::2] = values[:, None]
        outputs[:, 1::2] = -values[:, None]
"""


def ramp(first: int, frames: int, channels: int) -> np.ndarray:
    """What the tap carried; never zero."""
    values = ((np.arange(first, first + frames) % (2**23 - 1) + 1) / 2**23).astype(np.float32)
    signs = np.where(np.arange(channels) % 2, -1, 1).astype(np.float32)
    return values[:, None] * signs


@dataclass
class Folder:
    """The account of a folder.

    Attributes
    ----------
    first, end
        Frame positions of the first frame and behind the last.
    delivered, lost, dropped
        Stretches ``(first, end)`` of frame positions; together they are every frame from first to end exactly once.
    missing
        Segments of which the ledger tells and that are not there, ``(file, first, end)``; their frames are in `dropped`.
    """

    manifest: dict[str, Any]
    entries: list[dict[str, Any]]
    first: int
    end: int
    delivered: list[tuple[int, int]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    missing: list[tuple[str, int, int]] = field(default_factory=list)

    def of(self, entry: str) -> list[dict[str, Any]]:
        """The lines of the ledger of a kind."""
        return [line for line in self.entries if line["entry"] == entry]

    def causes(self) -> dict[str, int]:
        """Lost frames by cause."""
        found: dict[str, int] = {}
        for gap in self.of("gap"):
            found[gap["cause"]] = found.get(gap["cause"], 0) + gap["frames"]
        return found


def count(stretches: list[tuple[int, int]]) -> int:
    """Frames in all."""
    return sum(end - first for first, end in stretches)


def account_of(path: Path, *, gone: tuple[Path, ...] = (), unfinished: tuple[Path, ...] = ()) -> Folder:
    """Read a folder, and check every frame of it.

    Files may be missing that were in a folder that is `gone`. Those in one that is `unfinished` may still have their
    temporary name, and more rows than count, or none yet, and the list of checksums there may be older than they are; the
    ledger there may end within a line.
    """
    manifest = json.loads((path / "manifest.json").read_text())
    text = (path / "ledger.jsonl").read_text()
    if path in unfinished:
        text = text[: text.rfind("\n") + 1]  # behind it there may be zeros even, where a disk had only the length of the rest
    assert text.endswith("\n"), "the last line of the ledger is whole"
    entries = [json.loads(line) for line in text.splitlines()]
    assert any(line["entry"] == "segment_begun" for line in entries), "nothing was recorded"
    segments = {line["index"]: line for line in entries if line["entry"].startswith("segment_")}  # the latest word on each
    assert list(segments) == list(range(1, len(segments) + 1))
    folder = Folder(manifest, entries, 0, 0)
    gaps = [(gap["position"], gap["position"] + gap["frames"], gap["filled"]) for gap in folder.of("gap")]
    folder.lost = [(first, end) for first, end, _ in gaps]
    zeros = [(first, end) for first, end, filled in gaps if filled]
    # Segments and the gaps between them follow each other without a hole or an overlap.
    covered = [(first, end) for first, end, filled in gaps if not filled]
    covered += [_check_segment(folder, line, path / line["file"], zeros, gone, unfinished) for line in segments.values()]
    covered = sorted(stretch for stretch in covered if stretch[0] < stretch[1])
    assert [stop for _, stop in covered[:-1]] == [start for start, _ in covered[1:]]
    folder.first, folder.end = covered[0][0], covered[-1][1]
    if ended := folder.of("ended"):
        assert ended[-1]["position"] == folder.end
    if not folder.dropped:
        assert count(folder.delivered) + count(folder.lost) == folder.end - folder.first
    return folder


def _check_segment(
    folder: Folder,
    line: dict[str, Any],
    file: Path,
    zeros: list[tuple[int, int]],
    gone: tuple[Path, ...],
    unfinished: tuple[Path, ...],
) -> tuple[int, int]:
    """The stretch of frame positions that it stands for."""
    first, rows, state = line["first"], line.get("frames", 0), line["entry"]
    if state == "segment_dropped":
        assert not file.exists()
        folder.dropped += [(first, first + rows)] * (rows > 0)
    elif file.parent in gone:
        folder.missing.append((line["file"], first, first + rows))
        folder.dropped.append((first, first + rows))
    elif file.parent in unfinished and state != "segment_whole":
        part = file.with_name(f"{file.stem}.part{file.suffix}")
        data = _rows_on_disk(part if part.exists() else file, len(folder.manifest["channels"]))
        rows = rows if state == "segment_ended" else len(data)
        _check_rows(folder, file.name, data[:rows], first, rows, zeros)
    else:
        assert state == "segment_whole", line
        assert file.stat().st_size == line["bytes"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == line["sha256"]
        if file.parent not in unfinished:
            assert f"{line['sha256']} *{file.name}\n" in (file.parent / "SHA256SUMS").read_text()
        data, _ = soundfile.read(file, dtype="float32", always_2d=True)
        _check_rows(folder, file.name, data, first, rows, zeros)
    return first, first + rows


def _rows_on_disk(file: Path, channels: int) -> np.ndarray:
    """Of a file of which there may be no more than its name, or zeros."""
    if not file.read_bytes().strip(b"\0"):
        return np.zeros((0, channels), np.float32)
    return soundfile.read(file, dtype="float32", always_2d=True)[0]


def _check_rows(folder: Folder, name: str, data: np.ndarray, first: int, rows: int, zeros: list[tuple[int, int]]) -> None:
    """Each row is what was at its frame position, but for the gaps, which are zeros."""
    channels = len(folder.manifest["channels"])
    assert data.shape == (rows, channels), name
    expected = ramp(first, rows, channels)
    position = first
    for begin, end in sorted(zeros):
        start, stop = max(begin, first), min(end, first + rows)
        if start < stop:
            expected[start - first : stop - first] = 0
            if start > position:
                folder.delivered.append((position, start))
            position = stop
    if position < first + rows:
        folder.delivered.append((position, first + rows))
    wrong = np.flatnonzero((data != expected).any(axis=1))
    assert not len(wrong), f"{name}: {len(wrong)} rows are wrong, from frame {first + wrong[0]} on"
