"""What the analyzers that write to a disk have in common: a tap, and a job of the engine's disk process that writes it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asmu_control.job import job_error
from asmu_control.processor import Analyzer
from asmu_engine.protocol.errors import ConfigError, DiskError, EngineError, PatchError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.io import Input


class DiskJob(Analyzer):
    """Base of `Recorder` and `Acquisition`; their class says how the job is asked for, in `_request`.

    Parameters
    ----------
    interface
        The interface whose patch it joins; with a running one it begins at once.
    path
        What is written.
    channels
        Inputs to begin with.
    wait
        Do not begin before `record` is called.
    keep
        It goes on when the script has left the engine.

    Raises
    ------
    ConfigError
        `keep`, but the engine is the script's own and ends with it.
    """

    kind = "tap"
    ring = "tap"

    _finish_timeout: float | None = 60.0
    """Longest wait for the end of the job, seconds; None: as long as it takes."""

    def __init__(self, interface: Interface, path: Path, *, channels: int | None, wait: bool, keep: bool) -> None:
        if keep and not interface._session.attached:
            raise ConfigError(
                "the script's own engine ends with it, and its recordings with that; for one that goes on start an engine with "
                "'asmu engine start NAME --autostart' and make the interface with engine=NAME",
                code="bad_config",
                where="keep",
            )
        self._path = path
        self._wait = wait
        self._keep = keep
        self._job = 0
        self._kept_job = 0  # goes on in the engine, while the interface is closed
        self._status: dict[str, Any] = {"state": "waiting", "path": str(path), "frames": 0, "lost_frames": 0}
        super().__init__(interface, channels=channels)

    @property
    def path(self) -> Path:
        """Where the recording is, once it is whole."""
        return self._path

    def input(self, idx: int = 0) -> Input:
        """Input `idx`, from 0; while it records no new one can be added, since what is written has its channels."""
        if self._job and idx >= len(self.inputs):
            raise PatchError(
                f"{self.name} records {len(self.inputs)} channels already; give channels=… where it is made",
                code="unknown_port",
                where=self.name,
            )
        return super().input(idx)

    def record(self, at: int | None = None) -> None:
        """Begin a new recording; `Interface.start` does this by itself, unless it was made to `wait`.

        Parameters
        ----------
        at
            Frame position of the first frame: one to come, or one that the ring still holds (see `frame_position` and
            `ring_seconds` of `Interface`). None: the oldest frame that the ring holds.

        Raises
        ------
        RingError
            ``ring_position``: the ring has lost that frame.
        """
        session = self._interface._session
        if not session.opened:
            raise EngineError("there is nothing to record before interface.start()", code="engine_state", where=self.name)
        self.close()
        message = {
            **self._request(),
            "node": self.name,
            **({} if at is None else {"at": int(at)}),
            **({"keep": True} if self._is_kept() else {}),
        }
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
        """Take what the ring holds, make all whole, and return the final `status`. Harmless when done before.

        Raises
        ------
        DiskError
            What went wrong; what was written is whole up to there.
        """
        if self._job:
            job, self._job = self._job, 0
            self._interface._session.kept_jobs.discard(job)
            self._status = self._interface._session.request({"type": "job_stop", "job": job}, self._finish_timeout)
            if self._status["state"] == "failed":
                raise job_error(self._status, self._path)
        return dict(self._status)

    def disconnect(self) -> None:
        """Finish the recording and leave the patch."""
        self.close()
        super().disconnect()

    @abstractmethod
    def _request(self) -> dict[str, Any]:
        """The request for the job, without node, position and keep."""

    def _opened(self) -> None:
        self._job, self._kept_job = self._kept_job, 0
        if self._job and self._goes_on():
            return
        self._job = 0
        if self._begins():
            self.record()

    def _begins(self) -> bool:
        """Whether it begins by itself, now that there is an engine."""
        return not self._wait

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
