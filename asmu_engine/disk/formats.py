"""What a recording is written as, checked before a file is touched; the one boundary with libsndfile's errors."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

import numpy as np
import soundfile

from asmu_engine.protocol.errors import DiskError

TAGS: Final = ("title", "copyright", "software", "artist", "comment", "date", "album", "license", "tracknumber", "genre")
"""The texts that a sound file can carry."""

_PLAIN_SUBTYPES: Final = frozenset({"PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"})
HDF5: Final = "HDF5"
"""The one format that is not libsndfile's: a segment of an acquisition that is converted when it is whole."""
_REOPENED: Final = frozenset({"RF64", "W64", "CAF", "AU"})


@dataclass(frozen=True)
class FileForm:
    """Format, subtype (libsndfile's names), samplerate in Hz, channels and texts of a sound file to be.

    A recording must survive the death of its process: what was written stays readable and another process goes
    on with it. Measured with libsndfile 1.2.2, that holds for RF64, W64, CAF and AU with uncompressed samples,
    not for FLAC, Ogg, MP3, AIFF, or anything compressed. So these are recorded as RF64 in float32, which is what
    the rings hold, and encoded when they are whole. A WAV is recorded as RF64 too, with the same bytes of audio: it
    ends as a plain WAV where its size allows that (`make_plain_wav`), and never wraps at 4 GiB.
    """

    format: str
    subtype: str
    samplerate: int
    channels: int
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def plain_wav(self) -> bool:
        """True where the part becomes a WAV by its header alone."""
        return self.format == "WAV" and self.subtype in _PLAIN_SUBTYPES

    @property
    def direct(self) -> bool:
        """True where the part is already what the file will be."""
        return self.plain_wav or (self.format in _REOPENED and self.subtype in _PLAIN_SUBTYPES)

    @property
    def part_format(self) -> str:
        """Format of the file while it grows."""
        return self.format if self.direct and not self.plain_wav else "RF64"

    @property
    def part_subtype(self) -> str:
        """Subtype of the file while it grows."""
        return self.subtype if self.direct else "FLOAT"


def file_form(
    format_name: str, subtype: str, samplerate: float, channels: int, tags: dict[str, str], *, hdf5: bool = False
) -> FileForm:
    """The checked form of a recording; an empty `subtype` is the finest that the format holds.

    With `hdf5` that may be HDF5 too, in float32.

    Raises
    ------
    DiskError
        ``file_format``: names what does not fit, and what would.
    """
    format_name, subtype = format_name.upper(), subtype.upper()
    if hdf5 and format_name == HDF5:
        return _hdf5_form(subtype, samplerate, channels, tags)
    if format_name not in soundfile.available_formats() or format_name == "RAW":
        known = ", ".join(sorted(set(soundfile.available_formats()) - {"RAW"}))
        raise DiskError(f"{format_name} is not a format to record in; use one of {known}", code="file_format", where="format")
    subtype = subtype or _finest_subtype(format_name)
    if not soundfile.check_format(format_name, subtype):
        known = ", ".join(sorted(soundfile.available_subtypes(format_name)))
        raise DiskError(f"{format_name} does not hold {subtype}; use one of {known}", code="file_format", where="subtype")
    if samplerate != int(samplerate):
        raise DiskError(
            f"a sound file's samplerate is a whole number of Hz, the ring's is {samplerate}",
            code="file_format",
            where="samplerate",
        )
    if unknown := sorted(set(tags) - set(TAGS)):
        raise DiskError(f"unknown tag {', '.join(unknown)}; use {', '.join(TAGS)}", code="file_format", where="tags")
    form = FileForm(format_name, subtype, int(samplerate), channels, dict(tags))
    _try(form)
    return form


def _hdf5_form(subtype: str, samplerate: float, channels: int, tags: dict[str, str]) -> FileForm:
    """It grows as an RF64 of float32 and is converted, so what it holds is float32."""
    if find_spec("h5py") is None:
        raise DiskError(
            "HDF5 needs the package h5py: pip install 'asmu-control[hdf5]'; or record WAV", code="file_format", where="format"
        )
    if subtype not in ("", "FLOAT"):
        raise DiskError(f"HDF5 holds FLOAT here, not {subtype}", code="file_format", where="subtype")
    file_form("RF64", "FLOAT", samplerate, channels, {})
    return FileForm(HDF5, "FLOAT", int(samplerate), channels, dict(tags))


def sample_bytes(subtype: str) -> int:
    """Size of a sample in a file, bytes; of a compressed one, of what goes into it.

    >>> sample_bytes("PCM_24"), sample_bytes("ALAC_20"), sample_bytes("VORBIS")
    (3, 3, 4)
    """
    if subtype in ("ULAW", "ALAW"):
        return 1
    if subtype == "DOUBLE":
        return 8
    bits = subtype.removeprefix("PCM_").removeprefix("ALAC_").lstrip("SU")
    return -(-int(bits) // 8) if bits.isdecimal() else 4


def set_tags(file: soundfile.SoundFile, tags: dict[str, str]) -> None:
    """Store the texts in an open file."""
    for name, text in tags.items():
        setattr(file, name, text)


def system_text(error: Exception) -> str:
    """What went wrong, in the words of libsndfile or of the system."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).strip()
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def file_text(file: soundfile.SoundFile, error: Exception) -> str:
    """As `system_text`, for an error on an open file: libsndfile keeps the system's words there ("No space left on device")."""
    if not isinstance(error, soundfile.LibsndfileError) or file.closed:
        return system_text(error)
    reason = soundfile._ffi.string(soundfile._snd.sf_strerror(file._file)).decode(errors="replace")
    return str(reason).strip(" .") or system_text(error)


def _finest_subtype(format_name: str) -> str:
    for subtype in ("FLOAT", "PCM_24"):
        if soundfile.check_format(format_name, subtype):
            return subtype
    return str(soundfile.default_subtype(format_name))


def _try(form: FileForm) -> None:
    """Write one frame in memory: libsndfile's rules on channels, samplerates and texts differ from format to format."""
    memory = io.BytesIO()
    dropped: list[str] = []
    try:
        with soundfile.SoundFile(memory, "w", form.samplerate, form.channels, form.subtype, format=form.format) as file:
            if not form.direct:
                set_tags(file, form.tags)
            file.write(np.zeros((1, form.channels), np.float32))
            if form.direct:
                set_tags(file, form.tags)
        if form.tags:
            memory.seek(0)
            with soundfile.SoundFile(memory) as file:
                # libsndfile appends its own name to the software's.
                dropped = [name for name, text in form.tags.items() if text not in getattr(file, name)]
    except (soundfile.SoundFileError, RuntimeError, OSError) as error:
        raise DiskError(
            f"{form.format} {form.subtype} cannot hold {form.channels} channels at {form.samplerate} Hz"
            f"{' with tags' if form.tags else ''}: {system_text(error)}; WAV and CAF hold any",
            code="file_format",
            where="format",
        ) from error
    if dropped:
        raise DiskError(
            f"{form.format} does not keep the tag {', '.join(dropped)}; WAV and FLAC do", code="file_format", where="tags"
        )
