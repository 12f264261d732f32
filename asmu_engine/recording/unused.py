"""Taking back the folder of a recording that never had a frame."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from asmu_engine.recording.ledger import Begun, Clock, Ended, Event, read_ledger
from asmu_engine.recording.names import CHECKSUMS, LEDGER, MANIFEST, RESERVE


def remove_unused(folder: Path, made: Sequence[Path] = ()) -> bool:
    """Remove what a recording that has ended put into its folder, where that tells of no frame.

    Parameters
    ----------
    folder
        The recording folder, which nobody writes any more.
    made
        Folders to remove as well where nothing else is in them, the innermost first.

    Returns
    -------
    bool
        False where frames are told of, and all was left as it is.

    Raises
    ------
    OSError
        From the system.
    """
    if not all(isinstance(entry, Begun | Clock | Ended | Event) for entry in read_ledger(folder / LEDGER)):
        return False
    for name in (RESERVE, CHECKSUMS, MANIFEST, LEDGER):  # the ledger last, which says that there is a recording
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody has put something there
        for each in made:
            each.rmdir()
    return True
