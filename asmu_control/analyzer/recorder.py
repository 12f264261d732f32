"""Recorder: from the patch to a sound file, by way of a ring and the disk process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from asmu_control.analyzer.diskjob import DiskJob
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike

_FORMATS: Final = {
    ".wav": ("WAV", "FLOAT"),
    ".wave": ("WAV", "FLOAT"),
    ".rf64": ("RF64", "FLOAT"),
    ".w64": ("W64", "FLOAT"),
    ".caf": ("CAF", "FLOAT"),
    ".aif": ("AIFF", "FLOAT"),
    ".aiff": ("AIFF", "FLOAT"),
    ".au": ("AU", "FLOAT"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}


class SoundFileLike(Protocol):
    """What is asked of a file object: an AFile or soundfile.SoundFile, whose own handle is not used."""

    name: str
    channels: int
    format: str
    subtype: str


class Recorder(DiskJob):
    """Records its inputs to a sound file, from the first frame of the stream to its end.

    The file stands under its name once it is whole: when the stream is closed, or after `close`. Frames that the
    device lost are zeros in it, counted in `status`, so that the file keeps the time axis.

    Parameters
    ----------
    interface
        The interface whose patch it joins; with a running one recording begins at once.
    afile
        Path, whose ending says the format (32-bit float where the format has it), or an AFile or soundfile.SoundFile
        opened for writing, of which path, channels, format and subtype are taken. A file that exists is replaced.
    channels
        Inputs. Default: those of `afile`, else as many as are asked for before recording begins.
    tags
        Texts to store in the file: title, artist, comment, date …
    wait
        Do not record before `record` is called.
    keep
        For an interface with ``engine=…``: the recording goes on when the script has closed the interface, or has ended, with
        what feeds it. It ends with ``asmu_control.connect(engine).stop_job(number)``, the ``job`` of its `status`, or with
        the engine. What was made with ``Interface(keep=True)`` or in ``interface.edit(keep=True)`` is kept anyway.

    Raises
    ------
    DiskError
        ``file_unwritable``, ``file_format``; where recording begins.
    ConfigError
        `keep`, but the engine is the script's own and ends with it.
    """

    def __init__(
        self,
        interface: Interface,
        afile: PathLike | SoundFileLike,
        *,
        channels: int | None = None,
        tags: dict[str, str] | None = None,
        wait: bool = False,
        keep: bool = False,
    ) -> None:
        if isinstance(afile, (str, os.PathLike)):
            path = Path(afile).absolute()
            self._format, self._subtype = _format_of(path)
        else:
            path = Path(os.fspath(afile.name)).absolute()
            self._format, self._subtype = afile.format, afile.subtype
            channels = afile.channels if channels is None else channels
            tags = {**getattr(afile, "tags", {}), **(tags or {})}
        self._tags = dict(tags or {})
        super().__init__(interface, path, channels=channels, wait=wait, keep=keep)

    def _request(self) -> dict[str, Any]:
        return {
            "type": "record",
            "path": str(self._path),
            "format": self._format,
            "subtype": self._subtype,
            "tags": self._tags,
        }


def _format_of(path: Path) -> tuple[str, str]:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_FORMATS)
        raise PatchError(
            f"{path.name}: the ending {path.suffix!r} says no format; use one of {known}, or give a soundfile.SoundFile",
            code="bad_value",
            where="afile",
        ) from None
