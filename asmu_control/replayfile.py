"""The sound files of a replay: one for the inputs, one for what is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile

from asmu_control.soundformat import choose_form, error_text, make_plain, open_for_writing
from asmu_engine.protocol.errors import ConfigError, DiskError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from asmu_control.typing import PathLike

    Samples = NDArray[np.float32]

_ZEROS_FRAMES: Final = 65536
_WAV_ENDINGS: Final = (".wav", ".wave")


class ReplayInput:
    """A sound file that is read where it is needed; silence before its start and after its end.

    Raises
    ------
    DiskError
        ``file_unreadable``.
    ConfigError
        ``bad_config``: it has another samplerate.
    """

    def __init__(self, path: PathLike, samplerate: float) -> None:
        try:
            self._file = soundfile.SoundFile(str(path))
        except (soundfile.SoundFileError, OSError) as error:
            raise DiskError(f"cannot read {path}: {error_text(error)}", code="file_unreadable", where=str(path)) from None
        if self._file.samplerate != samplerate:
            self._file.close()
            raise ConfigError(
                f"{path} has {self._file.samplerate} Hz, the journal {samplerate:g} Hz; convert the file",
                code="bad_config",
                where=str(path),
            )

    def read(self, start: int, data: Samples) -> None:
        """Fill `data`, shape (frames, channels), from frame `start` of the file on; channels that it has not are silent."""
        data[:] = 0.0
        if 0 <= start < self._file.frames:
            if self._file.tell() != start:
                self._file.seek(start)
            got = self._file.read(len(data), dtype="float32", always_2d=True)
            channels = min(got.shape[1], data.shape[1])
            data[: len(got), :channels] = got[:, :channels]

    def close(self) -> None:
        """Close it; harmless when done before."""
        self._file.close()


class ReplayOutput:
    """A sound file of 32-bit floats that grows; what is left out is zeros.

    Raises
    ------
    DiskError
        ``file_unwritable``, ``file_format``.
    ConfigError
        ``bad_config``: its ending is that of a format without floats.
    """

    def __init__(self, path: Path, samplerate: float, channels: int) -> None:
        self.frames = 0
        self._path = path
        self._channels = channels
        form = choose_form(path, None, None)
        if form[0] == "WAV" and path.suffix.lower() not in _WAV_ENDINGS:
            raise ConfigError(
                f"{path}: the ending {path.suffix!r} says no format; use .wav, .w64, .caf or .aiff",
                code="bad_config",
                where=str(path),
            )
        if form[1] != "FLOAT":
            raise ConfigError(
                f"{path}: {form[0]} does not hold 32-bit floats; use .wav, .w64, .caf or .aiff",
                code="bad_config",
                where=str(path),
            )
        self._form = form
        file = soundfile.SoundFile.__new__(soundfile.SoundFile)

        def make(format_name: str) -> None:
            soundfile.SoundFile.__init__(file, str(path), "w", int(samplerate), channels, form[1], format=format_name)

        open_for_writing(path, form, make, file)
        self._file = file

    def write(self, start: int, data: Samples) -> None:
        """Append `data`, shape (frames, channels), from frame `start` of the file on, which lies at its end or later."""
        while self.frames < start:
            self._append(np.zeros((min(_ZEROS_FRAMES, start - self.frames), self._channels), np.float32))
        self._append(data)

    def close(self) -> None:
        """Finish the file; harmless when done before."""
        if not self._file.closed:
            self._file.close()
            if self._form[0] == "WAV":
                make_plain(self._path)

    def _append(self, data: Samples) -> None:
        try:
            self._file.write(data)
        except (soundfile.SoundFileError, OSError) as error:
            raise DiskError(
                f"cannot write {self._path}: {error_text(error)}", code="file_unwritable", where=str(self._path)
            ) from None
        self.frames += len(data)
