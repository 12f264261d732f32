"""The texts in a sound file: title, date, comment and so on, kept where the format has room for them."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import soundfile

from asmu_control.soundformat import Form, error_text, kept
from asmu_engine.protocol.errors import DiskError

_TEXTS: Final = ("title", "copyright", "software", "artist", "comment", "date", "album", "license", "tracknumber", "genre")


class SoundTexts(soundfile.SoundFile):  # type: ignore[misc]
    """What `AFile` does with the texts of its file: each is an attribute, readable and settable, open or closed."""

    _asked_mode: str
    _form: Form
    _path: Path
    _texts: dict[str, str]

    @property
    def tags(self) -> dict[str, str]:
        """The texts that a file to be written gets: those set here, title and date where the format keeps them."""
        own = {"title": self._path.stem, "date": datetime.now().astimezone().isoformat(timespec="seconds")}
        own = {name: text for name, text in own.items() if name not in self._texts and kept(self._form, {name: text})}
        return {**own, **self._texts}

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _TEXTS:
            object.__setattr__(self, name, value)
            return
        if self._asked_mode == "r":
            raise DiskError(
                f"{self._path} is open to be read; its {name} stays as it is", code="file_unwritable", where=self.name
            )
        if self._is_done():
            raise DiskError(
                f"{self._path} is written already; give it its {name} before the recording begins",
                code="file_unwritable",
                where=self.name,
            )
        text = str(value)
        if not kept(self._form, {**self._texts, name: text}):
            raise DiskError(
                f"{self._form[0]} does not keep a {name} of {len(text)} letters; FLAC does, and WAV one of some 2000",
                code="file_format",
                where=self.name,
            )
        if not self.closed:
            self._put(name, text)
        self._texts[name] = text

    def __getattr__(self, name: str) -> Any:
        if name in _TEXTS:
            return self._text(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _put(self, name: str, text: str) -> None:
        try:
            super().__setattr__(name, text)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise DiskError(
                f"{self._form[0]} takes no {name} now ({error_text(error)}); set it before the first sample is written",
                code="file_format",
                where=self.name,
            ) from None

    def _text(self, name: str) -> str:
        if name in self._texts:
            return self._texts[name]
        if self.closed and self._asked_mode != "r" and not self._path.exists():
            return ""
        if not self.closed:
            return str(super().__getattr__(name))
        try:
            with soundfile.SoundFile(self.name) as file:
                return str(getattr(file, name))
        except (soundfile.SoundFileError, OSError) as error:
            raise self._unreadable(error) from None

    @abstractmethod
    def _is_done(self) -> bool:
        """True where a text would never come into the file any more."""

    def _unreadable(self, error: Exception) -> DiskError:
        reason = "there is no such file" if not self._path.exists() else error_text(error)
        return DiskError(f"cannot read {self._path}: {reason}", code="file_unreadable", where=self.name)
