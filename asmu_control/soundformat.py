"""What sound files are written as: choice of format, WAV that may pass 4 GiB, and texts that really are kept."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from asmu_engine.protocol.errors import DiskError

Form = tuple[str, str]
"""Format and subtype, in libsndfile's words."""

_UPDATE_HEADER_NOW: Final = 0x1060
_RF64_AUTO_DOWNGRADE: Final = 0x1210
"""Commands of sndfile.h that soundfile does not offer."""

_ENDINGS: Final = {
    "WAVE": "WAV",
    "AIF": "AIFF",
    "OGA": "OGG",
    "OPUS": "OGG",
    "SND": "AU",
    "IFF": "SVX",
    "RF64": "RF64",
    "PAF": "PAF",
    "VOC": "VOC",
    "SF": "IRCAM",
}
_FINEST: Final = ("FLOAT", "PCM_24", "PCM_16", "VORBIS")
_UPDATABLE: Final = frozenset({"WAV", "WAVEX", "RF64", "W64", "CAF", "AIFF", "AU"})
_EXTENSIBLE: Final = b"\xfe\xff"
_EXTENSIBLE_BYTES: Final = 40


def choose_form(path: Path | None, subtype: str | None, format_name: str | None) -> Form:
    """Format and subtype as given, else by the path's ending, else WAV, and the finest subtype that it holds.

    Raises
    ------
    ValueError
        There is no such format, or it does not hold the subtype; says what there is.
    """
    known = soundfile.available_formats()
    ending = "" if path is None else path.suffix.lstrip(".").upper()
    name = (format_name or _ENDINGS.get(ending, ending)).upper()
    if name not in known:
        if format_name is not None:
            raise ValueError(f"there is no format {format_name!r}; use one of {', '.join(sorted(known))}")
        name = "WAV"
    if subtype is None:
        if ending == "OPUS" and format_name is None:
            return name, "OPUS"
        fine = [one for one in _FINEST if soundfile.check_format(name, one)]
        return name, fine[0] if fine else str(soundfile.default_subtype(name))
    if not soundfile.check_format(name, subtype.upper()):
        holds = ", ".join(sorted(soundfile.available_subtypes(name)))
        raise ValueError(f"{name} does not hold {subtype!r}; use one of {holds}")
    return name, subtype.upper()


def open_for_writing(path: Path, form: Form, make: Callable[[str], None], file: soundfile.SoundFile) -> None:
    """Open `file` by calling `make` with the format to write in: RF64 for a WAV, which becomes a WAV again where that will do.

    Raises
    ------
    DiskError
        ``file_unwritable``, or ``file_format`` where libsndfile cannot write it so.
    """
    wide = form[0] == "WAV" and soundfile.check_format("RF64", form[1])
    try:
        make("RF64" if wide else form[0])
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        if not path.parent.is_dir():
            reason = f"there is no folder {path.parent}"
        elif path.is_dir():
            reason = "it is a folder"
        else:
            reason = error_text(error)
        known = isinstance(error, soundfile.LibsndfileError) and error.code == 2
        raise DiskError(
            f"cannot write {path} as {form[0]} {form[1]}: {reason}",
            code="file_unwritable" if known or not path.parent.is_dir() or path.is_dir() else "file_format",
            where=str(path),
        ) from None
    if wide:
        soundfile._snd.sf_command(file._file, _RF64_AUTO_DOWNGRADE, soundfile._ffi.NULL, 1)


def update_header(file: soundfile.SoundFile) -> None:
    """Have the header say what is in the file by now, where the format has such a header; others (Ogg) it would spoil."""
    if file.format in _UPDATABLE:
        soundfile._snd.sf_command(file._file, _UPDATE_HEADER_NOW, soundfile._ffi.NULL, 0)


def make_plain(path: Path) -> None:
    """Give a closed WAV the plain ``fmt`` chunk that every program reads.

    What began as RF64 has the extensible one of 40 bytes, whose first 16 are those of the plain one but for the tag; the
    rest of its place becomes a ``JUNK`` chunk. One that stayed RF64 is left alone.
    """
    with path.open("r+b") as file:
        if file.read(4) != b"RIFF":
            return
        position = 12
        while len(head := _at(file, position, 8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                return
            body = _at(file, position + 8, length) if name == b"fmt " else b""
            if length == _EXTENSIBLE_BYTES and body[:2] == _EXTENSIBLE:
                tag = body[24:26]
                # Other tags than PCM have one field more: the size of an extension, which is empty.
                plain = tag + body[2:16] + (b"" if tag == b"\x01\x00" else bytes(2))
                filler = length - len(plain) - 8
                file.seek(position)
                file.write(
                    struct.pack("<4sI", b"fmt ", len(plain)) + plain + struct.pack("<4sI", b"JUNK", filler) + bytes(filler)
                )
                return
            position += 8 + length + length % 2


def kept(form: Form, texts: Mapping[str, str]) -> bool:
    """True where a file of this form gives back all these texts: formats keep some, or only short ones, without a word."""
    if form[0] == "SD2":
        return False  # it has no texts; to try it would leave a resource fork, "._", in the current folder
    memory = io.BytesIO()
    try:
        with soundfile.SoundFile(memory, "w", 48000, 1, form[1], format=form[0]) as file:
            for name, text in texts.items():
                setattr(file, name, text)
            file.write(np.zeros((1, 1), np.float32))
        memory.seek(0)
        with soundfile.SoundFile(memory) as file:
            # libsndfile appends its own name to the software's.
            return all(str(getattr(file, name)).startswith(text) for name, text in texts.items())
    except (soundfile.SoundFileError, RuntimeError, OSError):
        return False


def error_text(error: Exception) -> str:
    """What went wrong, in the words of libsndfile or of the system."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).strip()
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _at(file: Any, position: int, length: int) -> bytes:
    file.seek(position)
    return bytes(file.read(length))
