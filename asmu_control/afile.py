"""AFile: sound files of an interface, with their settings inside them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import soundfile

from asmu_control.settings import settings_of, settings_text
from asmu_control.soundformat import choose_form, make_plain, open_for_writing, update_header
from asmu_control.soundtexts import SoundTexts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike

__all__ = ["AFile"]


class AFile(SoundTexts):
    """A `soundfile.SoundFile` for recorders, players and scripts: 32-bit float WAV unless told otherwise.

    It is opened by `open`, by ``with``, or at its first use. A WAV that grows beyond 4 GiB becomes an RF64, which most programs
    read as well. A file to be written gets its name as title, and the date (ISO 8601 with offset), where its format
    has room for them.

    Parameters
    ----------
    interface
        Its samplerate is that of a file to be written; to read, None will do.
    mode
        ``"r"``: read; ``"w"``: write anew; ``"w+"``: write anew, then read what was written or recorded. A ``"w+"`` file is made
        anew at its first opening only: what is in it then is there again at the next.
    path
        The file. Default: a temporary one, if `temp`.
    channels
        Channels of a file to be written.
    temp
        Remove the file when this object is forgotten, or the script ends.
    subtype
        libsndfile's name: ``"PCM_16"``, ``"PCM_24"``, ``"FLOAT"`` …; default: float, else the finest that the format holds.
    format
        libsndfile's name: ``"WAV"``, ``"FLAC"``, ``"CAF"`` …; default: by the path's ending, else WAV.

    Raises
    ------
    ValueError
        A mode that there is not, no path, no channels, or a format and subtype that do not go together.
    DiskError
        ``file_unreadable``, ``file_unwritable``, ``file_format``: when it is opened.
    """

    def __init__(
        self,
        interface: Interface | None,
        mode: Literal["r", "w", "w+"] = "r",
        path: PathLike | None = None,
        channels: int | None = None,
        temp: bool = False,
        subtype: str | None = None,
        format: str | None = None,
    ) -> None:
        if mode not in ("r", "w", "w+"):
            raise ValueError(f"mode {mode!r}: use 'r' to read, 'w' to write, 'w+' to write and then read")
        self._asked_mode = mode
        self._was_open = False
        self._inode = (0, 0)
        self._texts = {}
        self._asked_channels = 0
        self._form = ("", "")
        if mode == "r":
            if temp or path is None:
                raise ValueError("to read a file give its path; a temporary one is made with mode 'w' or 'w+'")
        else:
            if interface is None or channels is None or channels < 1:
                raise ValueError(
                    f"a file to be written needs an interface and channels=1 or more, not {interface!r} and {channels!r}"
                )
            if interface.samplerate != int(interface.samplerate):
                raise ValueError(f"a sound file has a whole number of Hz, the interface {interface.samplerate}")
            if path is None and not temp:
                raise ValueError("give the path of the file, or temp=True for one that is removed in the end")
            self._asked_channels = int(channels)
            self._form = choose_form(None if path is None else Path(path), subtype, format)
            self._asked_samplerate = int(interface.samplerate)
        if path is None:
            folder = tempfile.mkdtemp(prefix="asmu-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            path = Path(folder, f"temporary.{self._form[0].lower()}")
        elif temp:
            weakref.finalize(self, Path(path).absolute().unlink, missing_ok=True)
        self._path = Path(path).absolute()
        self._before = self._last = self._stamp()

    # -- opening and closing --------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Open the file; harmless when it is open."""
        if not self.closed:
            return self
        self._was_open = True
        # What was written to a "w+" file meanwhile, by its recorder or by ourselves, is what it is to be read for.
        if self._asked_mode == "r" or (self._asked_mode == "w+" and self._stamp() != self._before):
            self._open_to_read()
        else:
            self._open_to_write()
        return self

    def close(self) -> None:
        """Close the file, a written one whole; harmless when it is closed. `data` and `settings` stay readable."""
        if self.closed:
            return
        plain = self._mode != "r" and self._form[0] == "WAV" and self._is_own()
        self._inode = self._stamp()[:2]  # nothing is followed any more
        super().close()
        if plain:
            make_plain(self._path)
        self._last = self._stamp()

    def flush(self) -> None:
        """Bring what was written to the disk, in such a way that others can read the file up to here."""
        if self._asked_mode != "r" and not self.closed and self._mode != "r":
            update_header(self)
        super().flush()

    def __enter__(self) -> Self:
        return self.open()

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def name(self) -> str:
        """The file's path as text, as in soundfile."""
        return str(self._path)

    @property
    def mode(self) -> str:
        """Mode in which it is open, or was; before that as given."""
        return str(self.__dict__.get("_mode", self._asked_mode))

    @property
    def samplerate(self) -> int:
        """Samplerate, Hz."""
        return int(self._info.samplerate) if self._asked_mode == "r" else self._asked_samplerate

    @property
    def channels(self) -> int:
        """Channels."""
        return self._asked_channels or int(self._info.channels)

    @property
    def format(self) -> str:
        """libsndfile's name of the format; of a file to be written as it was asked for."""
        return self._form[0] or str(super().format)

    @property
    def subtype(self) -> str:
        """libsndfile's name of the subtype."""
        return self._form[1] or str(super().subtype)

    @property
    def data(self) -> NDArray[np.float32]:
        """All samples as float32, shape (samples, channels); what is written or recorded into it so far, open or closed.

        Raises
        ------
        DiskError
            ``file_unreadable``.
        """
        if not self.closed:
            self._follow()
            if self._mode in ("r", "w+"):
                place = self.tell()
                self.seek(0)
                samples: NDArray[np.float32] = self.read(dtype="float32", always_2d=True)
                self.seek(place)
                return samples
            self.flush()
        try:
            samples, _ = soundfile.read(self.name, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise self._unreadable(error) from None
        return samples

    @property
    def settings(self) -> dict[str, Any]:
        """What belongs to the recording, kept as JSON in the file's comment; {} where there is no comment.

        Set it before the recording begins; some formats (FLAC, Ogg) take it before the first sample only.

        Raises
        ------
        ValueError
            The comment is no JSON, but a text (see `comment`); or, when set, something that JSON cannot hold.
        DiskError
            ``file_format``: the format does not keep it, or not so much.
        """
        return settings_of(self._text("comment"), self._path)

    @settings.setter
    def settings(self, settings: Mapping[str, Any]) -> None:
        self.comment = settings_text(settings)

    # -- how it does that -----------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name == "_info" and not self._was_open:
            self.open()
            return self._info
        return super().__getattr__(name)

    def _check_if_closed(self) -> None:
        # soundfile calls it before every use of its handle.
        if self.closed and not self._was_open:
            self.open()
        self._follow()
        super()._check_if_closed()

    def _open_to_read(self) -> None:
        try:
            super().__init__(self.name, "r")
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            raise self._unreadable(error) from None
        self._inode = self._stamp()[:2]

    def _open_to_write(self) -> None:
        form, mode = self._form, "w" if self._asked_mode == "w" else "w+"
        open_for_writing(
            self._path,
            form,
            lambda container: super(AFile, self).__init__(
                self.name, mode, self._asked_samplerate, self._asked_channels, form[1], format=container
            ),
            self,
        )
        self._inode = self._stamp()[:2]
        for name, text in self.tags.items():
            self._put(name, text)

    def _follow(self) -> None:
        """A recorder puts a new file in the place of the one that is open: that is the one to read."""
        if self._asked_mode == "w+" and not self.closed and not self._is_own() and self._path.exists():
            self.close()
            self._open_to_read()

    def _is_done(self) -> bool:
        """True where a text would never come into the file: a recorder has put it there, or it can only be read any more."""
        if not self.closed:
            return self._mode == "r" or not self._is_own()
        return self._stamp() != self._last or (self._asked_mode == "w+" and self._was_open)

    def _is_own(self) -> bool:
        return self._stamp()[:2] == self._inode

    def _stamp(self) -> tuple[int, int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0, 0)
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
