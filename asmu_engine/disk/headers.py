"""What soundfile does not do about headers: keep them right while writing."""

from __future__ import annotations

from typing import Final

import soundfile

_SET_UPDATE_HEADER_AUTO: Final = 0x1061
"""``SFC_SET_UPDATE_HEADER_AUTO`` of sndfile.h."""


def keep_header_right(file: soundfile.SoundFile) -> None:
    """From now on every write also brings the header up to date, so that the file reads whole if this process dies.

    soundfile has no call for it; libsndfile's own command is used.
    """
    soundfile._snd.sf_command(file._file, _SET_UPDATE_HEADER_AUTO, soundfile._ffi.NULL, 1)
