"""Recorder: from the patch to a sound file, by way of a ring and the disk process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from asmu_control.job import job_error
from asmu_control.processor import Analyzer
from asmu_engine.protocol.errors import ConfigError, DiskError, EngineError, PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.io import Input
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
_FINISH_TIMEOUT: Final = 60.0  # what the ring still holds is written, seconds


class SoundFileLike(Protocol):
    """What is asked of a file object: an AFile or soundfile.SoundFile, whose own handle is not used."""

    name: str
    channels: int
    format: str
    subtype: str


class Recorder(Analyzer):
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

    kind = "tap"
    ring = "tap"

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
        if keep and not interface._session.attached:
            raise ConfigError(
                "the script's own engine ends with it, and its recordings with that; for one that goes on start an engine with "
                "'asmu engine start NAME --autostart' and make the interface with engine=NAME",
                code="bad_config",
                where="keep",
            )
        if isinstance(afile, (str, os.PathLike)):
            self._path = Path(afile).absolute()
            self._format, self._subtype = _format_of(self._path)
        else:
            self._path = Path(os.fspath(afile.name)).absolute()
            self._format, self._subtype = afile.format, afile.subtype
            channels = afile.channels if channels is None else channels
            tags = {**getattr(afile, "tags", {}), **(tags or {})}
        self._tags = dict(tags or {})
        self._wait = wait
        self._keep = keep
        self._job = 0
        self._kept_job = 0  # goes on in the engine, while the interface is closed
        self._status: dict[str, Any] = {"state": "waiting", "path": str(self._path), "frames": 0, "lost_frames": 0}
        super().__init__(interface, channels=channels)

    @property
    def path(self) -> Path:
        """Where the recording is, once it is whole."""
        return self._path

    def input(self, idx: int = 0) -> Input:
        """Input `idx`, from 0; while it records no new one can be added, since the file has its channels."""
        if self._job and idx >= len(self.inputs):
            raise PatchError(
                f"{self.name} records {len(self.inputs)} channels already; give channels=… where it is made",
                code="unknown_port",
                where=self.name,
            )
        return super().input(idx)

    def record(self, at: int | None = None) -> None:
        """Begin a new recording; `Interface.start` does this by itself, unless the recorder was made to `wait`.

        Parameters
        ----------
        at
            Frame position of the file's first frame: one to come, or one that the ring still holds (see `frame_position` and
            `ring_seconds` of `Interface`). None: the oldest frame that the ring holds.

        Raises
        ------
        RingError
            ``ring_position``: the ring has lost that frame.
        """
        if not self._interface._session.opened:
            raise EngineError("there is nothing to record before interface.start()", code="engine_state", where=self.name)
        self.close()
        message = {
            "type": "record",
            "node": self.name,
            "path": str(self._path),
            "format": self._format,
            "subtype": self._subtype,
            "tags": self._tags,
            **({} if at is None else {"at": int(at)}),
            **({"keep": True} if self._is_kept() else {}),
        }
        session = self._interface._session
        self._status = session.request(message)
        self._job = int(self._status["job"])
        if self._is_kept():
            session.kept_jobs.add(self._job)

    def status(self) -> dict[str, Any]:
        """How far it is: ``state`` (waiting, running, finished, failed), ``frames``, ``lost_frames``, ``gaps``, ``path`` …

        After the end the last known.
        """
        if self._job:
            self._status = self._interface._session.request({"type": "job", "job": self._job})
        return dict(self._status)

    def close(self) -> dict[str, Any]:
        """Take what the ring holds, close the file, and return the final `status`. Harmless when done before.

        Raises
        ------
        DiskError
            What went wrong; the file is whole up to there.
        """
        if self._job:
            job, self._job = self._job, 0
            self._interface._session.kept_jobs.discard(job)
            self._status = self._interface._session.request({"type": "job_stop", "job": job}, _FINISH_TIMEOUT)
            if self._status["state"] == "failed":
                raise job_error(self._status, self._path)
        return dict(self._status)

    def disconnect(self) -> None:
        """Finish the recording and leave the patch."""
        self.close()
        super().disconnect()

    def _opened(self) -> None:
        self._job, self._kept_job = self._kept_job, 0
        if self._job and self._goes_on():
            return
        self._job = 0
        if not self._wait:
            self.record()

    def _closing(self) -> None:
        if self._job and self._is_kept():
            self.status()
            self._job, self._kept_job = 0, self._job
            self._interface._patch.keep(self)
        else:
            self.close()

    def _is_kept(self) -> bool:
        """True where the recording is to go on without this script."""
        session = self._interface._session
        return self._keep or session.keep or self.name in session.kept

    def _goes_on(self) -> bool:
        """True where a recording that was kept is still running."""
        try:
            return bool(self.status()["state"] == "running")
        except DiskError:
            return False  # so long over that it is forgotten


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
