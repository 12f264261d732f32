"""Player: from a sound file into the patch, by way of the disk process and a ring."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from asmu_control.job import job_error
from asmu_control.processor import Generator
from asmu_engine.protocol.errors import DiskError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike

_POLL_SECONDS: Final = 0.02
_PRIME_TIMEOUT: Final = 60.0  # a slow disk may take its time to fill the ring


class NamedFile(Protocol):
    """What is asked of a file object: an AFile or soundfile.SoundFile, whose own handle is not used."""

    name: str


class Player(Generator):
    """Plays a sound file, one output a file channel, from the first frame of the stream on. A loop has no gap.

    Parameters
    ----------
    interface
        The interface whose patch it joins; with a running one it begins at once. Its samplerate must be the file's.
    afile
        Path, or an AFile or soundfile.SoundFile, of which the path is taken.
    loop
        Go on at the beginning after the end, for ever.

    Raises
    ------
    DiskError
        ``file_unreadable``; ``file_format`` where the samplerate differs.
    """

    kind = "feed"
    ring = "feed"

    def __init__(self, interface: Interface, afile: PathLike | NamedFile, loop: bool = False) -> None:
        name = afile if isinstance(afile, (str, os.PathLike)) else afile.name
        self._path = Path(os.fspath(name)).absolute()
        self._loop = loop
        self._job = 0
        self._started = False
        self._status: dict[str, Any] = {"state": "waiting", "path": str(self._path)}
        super().__init__(interface, channels=_channels(self._path, interface.samplerate))

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def play(self, start: int = 0) -> None:
        """Play from frame `start` of the file, now or when the stream starts; `Interface.start` does this by itself."""
        session = self._interface._session
        self._halt()
        message = {"type": "play", "node": self.name, "path": str(self._path), "loop": self._loop, "start": start}
        self._status = session.request(message, _PRIME_TIMEOUT)
        self._job = int(self._status["job"])

    def status(self) -> dict[str, Any]:
        """How far it is: ``state`` (waiting, running, finished, failed), ``played`` frames, file ``position``, ``loops`` …"""
        if self._job:
            self._status = self._interface._session.request({"type": "job", "job": self._job})
        return dict(self._status)

    def finished(self, block: bool = True, timeout: float = 1.0) -> bool:
        """True once the last frame of the file has been played; never with `loop`.

        Parameters
        ----------
        block
            Wait for it.
        timeout
            Longest wait, seconds; False then.

        Raises
        ------
        DiskError
            The file could not be read to its end.
        """
        deadline = time.monotonic() + (timeout if block else 0.0)
        while True:
            status = self.status()
            if status["state"] == "failed":
                raise job_error(status, self._path)
            if status["state"] == "finished" or time.monotonic() >= deadline:
                return bool(status["state"] == "finished")
            time.sleep(_POLL_SECONDS)

    def disconnect(self) -> None:
        """Stop and leave the patch."""
        self._halt()
        super().disconnect()

    def _opened(self) -> None:
        self._job = 0
        self._started = False
        self.play()

    def _before_start(self, reset: bool) -> None:
        # The first start finds the ring full; a later one begins the file anew, as every processor begins anew.
        if self._started and reset:
            self.play()
        self._started = True

    def _closing(self) -> None:
        self.status()
        self._job = 0

    def _halt(self) -> None:
        if self._job:
            job, self._job = self._job, 0
            self._interface._session.request({"type": "job_stop", "job": job})


def _channels(path: Path, samplerate: float) -> int:
    """Channels of the file, which must have the samplerate."""
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        reason = "there is no such file" if not path.exists() else str(error)
        raise DiskError(f"cannot read {path}: {reason}", code="file_unreadable", where=str(path)) from None
    if info.samplerate != samplerate:
        raise DiskError(
            f"{path} has {info.samplerate} Hz, the interface {samplerate:g} Hz; "
            f"make the interface with samplerate={info.samplerate}, or convert the file",
            code="file_format",
            where=str(path),
        )
    return int(info.channels)
