"""Exit statuses of the programs, for supervisors and scripts: one table, so that a number means one thing everywhere."""

from __future__ import annotations

from typing import Final

OK: Final = 0
"""Done: an engine ended as it was told to, a recording is complete, a folder is whole."""

ERROR: Final = 1
"""It did not work, for a reason that another try may not have: a disk, a device, an engine that is not there."""

USAGE: Final = 2
"""The arguments or settings are wrong: the same call will fail again."""

AUDIO_FAILED: Final = 3
"""The audio process died again and again, and the engine gave up; a new start may do better."""

LOSSES: Final = 4
"""A recording is sound, but frames are missing, and the ledger says which."""

DAMAGED: Final = 5
"""A recording misses frames that no entry accounts for, or a file of it was changed."""

UNFINISHED: Final = 6
"""A recording was interrupted; ``asmu repair`` makes it whole."""

MEANINGS: Final = {
    OK: "done; nothing is missing",
    ERROR: "it did not work; another try may",
    USAGE: "wrong arguments or settings; the same call fails again",
    AUDIO_FAILED: "the audio process died again and again",
    LOSSES: "sound, but frames are missing, and the ledger says which",
    DAMAGED: "frames are missing that no entry accounts for, or a file was changed",
    UNFINISHED: "interrupted; `asmu repair` makes it whole",
}
"""For the help of the commands and for README."""
