"""Following a recording that goes on in an engine, to its end, and saying what came of it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import typer

from asmu_control.cli.levels import Levels
from asmu_control.cli.recordview import RecordView, clock_text, losses
from asmu_control.existingtap import open_reader
from asmu_control.job import job_error
from asmu_control.units import size_text
from asmu_engine.protocol import exits
from asmu_engine.protocol.errors import AsmuError, DiskError, EngineTimeout

if TYPE_CHECKING:
    from asmu_control.client import Client
    from asmu_control.events import Event

_REFRESH_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 2.0
_OVER: Final = ("finished", "failed")
_TOPICS: Final = ("engine", "device", "disk", "node")


class Signals:
    """Ctrl-C, a termination signal and a terminal that is closed ask for the end; Ctrl-C once more forces it.

    Attributes
    ----------
    stop
        Whether one came.
    """

    def __init__(self) -> None:
        self.stop = False
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        self._numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._take) for number in self._numbers}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop = True


@contextlib.contextmanager
def own_words() -> Iterator[None]:
    """What the engine says of going on with a folder is said as this command's option.

    >>> with own_words():
    ...     raise DiskError("go on with it (resume)", code="file_unwritable")
    Traceback (most recent call last):
    asmu_engine.protocol.errors.DiskError: go on with it (--resume)
    """
    try:
        yield
    except AsmuError as error:
        error.message = error.message.replace("(resume)", "(--resume)")
        error.args = (error.message,)
        raise


def over(status: Mapping[str, Any]) -> bool:
    """Whether a job has ended."""
    return status.get("state") in _OVER


def follow(
    client: Client, status: dict[str, Any], signals: Signals, view: RecordView, numbers: Sequence[int] = (), *, own: bool = False
) -> dict[str, Any]:
    """Show how a recording goes until it ends, or a signal comes; its status then.

    Parameters
    ----------
    client
        Of its engine.
    status
        Of the job, as last known.
    view
        Shows it.
    numbers
        What the channels are called; else they are counted from 1.
    own
        The engine is this command's own: when its device has nothing more to give, all is done.
    """
    job, node = int(status["job"]), str(status["node"])
    numbers = numbers or range(1, (status.get("channels") or 0) + 1)
    with (
        contextlib.closing(Levels(lambda: open_reader(client, node))) as levels,
        client.events(*_TOPICS) as events,
    ):
        done = False
        while not (done or signals.stop or over(status)):
            while (event := events.next(0.0)) is not None:
                done = done or (own and _stands(event))
                if event.get("job", job) == job:
                    view.happened(event)
            note = ""
            try:
                status = client.job(job, timeout=_ANSWER_SECONDS)
            except EngineTimeout:
                note = "the engine does not answer"
            view.show(status, levels.take(), numbers, note)
            if not (done or signals.stop or over(status)):
                time.sleep(_REFRESH_SECONDS)
    return status


def verdict(folder: Path, status: Mapping[str, Any], *, early: bool, quiet: bool) -> int:
    """Say what came of a recording that has ended, and what exit status that is.

    Parameters
    ----------
    early
        It ended before it was to.
    quiet
        Say nothing but errors.

    Raises
    ------
    AsmuError
        It failed.
    """
    if status["state"] == "failed":
        raise job_error(status, folder)
    missing = bool(status.get("lost_frames") or status.get("dropped"))
    if not quiet:
        for line in report(folder, status):
            typer.echo(line)
    if early:
        raise DiskError(
            f"{folder}: the recording ended before it was told to: {status.get('reason') or 'the engine gave no reason'}",
            code="disk_failed",
            where=str(folder),
        )
    return exits.LOSSES if missing else exits.OK


def report(folder: Path, status: Mapping[str, Any]) -> list[str]:
    """A recording in a few lines.

    >>> status = {"seconds": 10.0, "frames": 480_000, "channels": 2, "bytes": 3_840_000, "segments": 1, "lost_frames": 0}
    >>> report(Path("friday"), status)
    ['friday: 0:00:10, 480000 frames of 2 channels, 3.84 MB in 1 segment', 'complete: nothing is missing']
    """
    segments, channels = status.get("segments") or 0, status.get("channels") or 0
    dropped = status.get("dropped") or 0
    first = (
        f"{folder}: {clock_text(status.get('seconds') or 0.0)}, {status.get('frames') or 0} frames of {channels} "
        f"channel{'s' * (channels != 1)}, {size_text(status.get('bytes') or 0)} in {segments} segment{'s' * (segments != 1)}"
    )
    lines = [first]
    if status.get("lost_frames"):
        lines.append(f"missing: {losses(status)}; which ones stands in {folder}/ledger.jsonl")
    if dropped:
        lines.append(f"missing: {dropped} segment{'s' * (dropped != 1)}, deleted to make room; see {folder}/ledger.jsonl")
    return lines if len(lines) > 1 else [first, "complete: nothing is missing"]


def find_job(client: Client, folder: Path) -> dict[str, Any]:
    """The recording into a folder that goes on in an engine, or the last that did.

    Raises
    ------
    DiskError
        ``disk_job_unknown``: there is none; names those that there are.
    """
    jobs = [job for job in client.status().get("jobs") or () if job["kind"] == "acquire"]
    wanted = str(folder) if client.remote else str(folder.absolute())
    found = [job for job in jobs if job["path"] == wanted or (client.remote and job["path"].endswith(f"/{wanted}"))]
    if not found:
        known = ", ".join(job["path"] for job in jobs) or "none"
        raise DiskError(
            f"engine {client.engine!r} records nothing into {wanted}; recordings: {known}", code="disk_job_unknown", where=wanted
        )
    return dict(max(found, key=lambda job: int(job["job"])))


def _stands(event: Event) -> bool:
    """Whether the device has stopped for good."""
    state = event["status"]["state"] if event.topic == "snapshot" else event.get("state") if event.what == "state" else ""
    return state in ("stopped", "failed")
