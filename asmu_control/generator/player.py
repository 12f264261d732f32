"""Player: from a sound file into the patch, by way of the disk process and a ring."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from asmu_control.generator.feed import Fed
from asmu_control.job import job_error
from asmu_engine.protocol.errors import DiskError, PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike

_POLL_SECONDS: Final = 0.02
_PRIME_TIMEOUT: Final = 60.0  # a slow disk may take its time to fill the ring


class NamedFile(Protocol):
    """What is asked of a file object: an AFile or soundfile.SoundFile, whose own handle is not used."""

    @property
    def name(self) -> Any:
        """Path of the file."""


class Player(Fed):
    """Plays a sound file, one output a file channel, from the first frame of the stream on. A loop has no gap.

    The end of the file may be anywhere in a block: its last frame is played, and zeros follow.

    Parameters
    ----------
    interface
        The interface whose patch it joins; with a running one it begins at once. Its samplerate must be the file's.
    afile
        Path, or an AFile or soundfile.SoundFile, of which the path is taken; what was written to it so far is played.
    loop
        Go on at the beginning after the end, for ever.
    wait
        Do not play before `begin`: its first frame is then in the block that follows, or with ``interface.edit(at=…)`` the very
        frame that was asked for.

    Raises
    ------
    DiskError
        ``file_unreadable``; ``file_format`` where the samplerate differs.
    """

    def __init__(self, interface: Interface, afile: PathLike | NamedFile, loop: bool = False, *, wait: bool = False) -> None:
        self._path = _path(afile)
        self._loop = loop
        self._job = 0
        self._kept_job = 0  # plays on in the engine, if that keeps it, while the interface is closed
        self._started = False
        self._begun = False
        self._begin_at = 0
        self._loops_told = 0
        self._status: dict[str, Any] = {"state": "waiting", "path": str(self._path)}
        channels, self._frames = _channels_and_frames(self._path, interface.samplerate)
        super().__init__(interface, channels=channels, **({"playing": False} if wait else {}))

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
        self._loops_told = 0

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
        return self._wait(lambda status: status["state"] == "finished", block, timeout)

    def looped(self, block: bool = True, timeout: float = 1.0) -> bool:
        """True when the file has begun anew: once for each time it did, none is missed; never without `loop`.

        Parameters
        ----------
        block
            Wait for it.
        timeout
            Longest wait, seconds; False then.

        Raises
        ------
        DiskError
            The file could not be read.
        """
        if not self._wait(lambda status: int(status.get("loops", 0)) > self._loops_told, block, timeout):
            return False
        self._loops_told += 1
        return True

    def set_seek(self, position: int) -> None:
        """Go on at frame `position` of the file; gapless, from the block on that is processed when the call returns.

        Before the stream starts it begins there, for this once. A player that had finished plays on from there.

        Parameters
        ----------
        position
            Frame in the file, 0 to its number of frames.

        Raises
        ------
        ValueError
            There is no such frame.
        DiskError
            The file cannot be read any more.
        """
        if not hasattr(position, "__index__") or not 0 <= position <= self._frames:
            raise PatchError(
                f"{self.name}: there is no frame {position} in {self._path}, which has {self._frames}",
                code="bad_value",
                where=self.name,
            )
        position = 0 if self._loop and position == self._frames else int(position)
        with self._interface._patch.lock:
            if not self._is_running():
                self._begin_at = position
            if not self._interface._session.opened:
                return
            if self._job:
                try:
                    message = {"type": "seek", "job": self._job, "position": position}
                    self._status = self._interface._session.request(message, _PRIME_TIMEOUT)
                    return
                except DiskError as error:
                    if error.code != "disk_job_unknown":
                        raise
                    self._job = 0  # it has just come to its end
            self.play(position)

    def _wait(self, condition: Callable[[dict[str, Any]], bool], block: bool, timeout: float) -> bool:
        deadline = time.monotonic() + (timeout if block else 0.0)
        while True:
            status = self.status()
            if condition(status):
                return True
            if status["state"] == "failed":
                raise job_error(status, self._path)
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)

    def disconnect(self) -> None:
        """Stop and leave the patch."""
        self._halt()
        super().disconnect()

    def _opened(self) -> None:
        self._job, self._kept_job = self._kept_job, 0
        self._started = self._is_running()
        self._begun = self._started and self._interface._session.attached
        if not self._goes_on():
            self._job = 0
            self.play(self._begin_at)

    def _before_start(self, reset: bool) -> None:
        # The first start finds the ring full; a later one begins the file anew, as every processor begins anew.
        # Where the device of others runs it has begun with `_opened`, and does not begin a second time.
        begun, self._begun = self._begun, False
        if self._started and reset and not begun:
            self.play(self._begin_at)
        self._started = True
        self._begin_at = 0

    def _closing(self) -> None:
        self.status()
        self._job, self._kept_job = 0, self._job

    def _goes_on(self) -> bool:
        """True where it plays on since it was kept in the engine."""
        if not self._job or self.name not in self._interface._session.kept:
            return False
        try:
            return bool(self.status()["state"] == "running")
        except DiskError:
            return False  # so long over that it is forgotten

    def _is_running(self) -> bool:
        """True while a device plays it, or after it was stepped by hand."""
        session = self._interface._session
        if not session.opened:
            return False
        stats = session.stats()
        return bool(stats["state"] == "running" or (session.local is not None and stats["blocks"]))

    def _halt(self) -> None:
        if self._job:
            job, self._job = self._job, 0
            self._interface._session.request({"type": "job_stop", "job": job})


def _path(afile: PathLike | NamedFile) -> Path:
    """The path of a file; what was written to an open one is brought to the disk."""
    if isinstance(afile, (str, os.PathLike)):
        return Path(afile).absolute()
    if not isinstance(afile.name, (str, os.PathLike)):
        raise PatchError(
            f"{afile!r} is no file with a path, but {afile.name!r}; only those can be played", code="bad_value", where="afile"
        )
    # One that is open to be read only has nothing to bring, and must not be opened for this.
    if not getattr(afile, "closed", True) and getattr(afile, "mode", "r") != "r":
        afile.flush()  # type: ignore[attr-defined]
    return Path(afile.name).absolute()


def _channels_and_frames(path: Path, samplerate: float) -> tuple[int, int]:
    """Channels and frames of the file, which must have the samplerate."""
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
    return int(info.channels), int(info.frames)
