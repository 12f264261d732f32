"""What is done about a disk that takes no more, and how it is told what is wrong with it."""

from __future__ import annotations

import errno
import os
from typing import Final, Literal

from asmu_engine.protocol.acquisition import AcquisitionSettings

Trouble = Literal["full", "read_only", "gone", "failed"]
"""As in the event ``disk_warning``."""

Decision = Literal["stop", "drop_oldest", "second_folder"]

_TROUBLES: Final[dict[str, Trouble]] = {
    "ENOSPC": "full",
    "EDQUOT": "full",
    "EROFS": "read_only",
    "EACCES": "read_only",
    "EPERM": "read_only",
    "ENOENT": "gone",
    "ENOTDIR": "gone",
    "ENODEV": "gone",
    "ENXIO": "gone",
    "ESTALE": "gone",
    "ENOTCONN": "gone",
    "EHOSTDOWN": "gone",
    "ESHUTDOWN": "gone",
}
_BY_NUMBER: Final = {getattr(errno, name): trouble for name, trouble in _TROUBLES.items() if hasattr(errno, name)}
_BY_TEXT: Final = {os.strerror(number).lower(): trouble for number, trouble in _BY_NUMBER.items()}


def trouble_of(error: BaseException | None) -> Trouble:
    """What an error from the disk says is wrong; None stands for too little room.

    libsndfile keeps the system's words and loses its number, and a DiskError carries its cause: both are looked at.
    """
    if error is None:
        return "full"
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in _BY_NUMBER:
            return _BY_NUMBER[found.errno]
        text = str(found).lower()
        for words, trouble in _BY_TEXT.items():
            if words in text:
                return trouble
        found = found.__cause__
    return "failed"


class Policy:
    """Decides by the settings' `on_full`, and knows where that cannot help."""

    def __init__(self, settings: AcquisitionSettings) -> None:
        self._on_full = settings.on_full

    def decide(self, error: BaseException | None, oldest_finished_exists: bool, second_in_use: bool) -> Decision:
        """What to do next.

        Parameters
        ----------
        error
            What the disk said; None where room runs short (`DiskWatch.short`).
        oldest_finished_exists
            A finished segment lies on that disk, which could be deleted.
        second_in_use
            It is the second folder already that is in trouble.

        Returns
        -------
        str
            ``drop_oldest`` only for a full disk, for deleting gives no life to one that is read-only, gone or broken, and
            while there is something to delete; ``second_folder`` only once, for there is no third; else ``stop``.
        """
        if self._on_full == "drop_oldest" and oldest_finished_exists and trouble_of(error) == "full":
            return "drop_oldest"
        if self._on_full == "second_folder" and not second_in_use:
            return "second_folder"
        return "stop"
