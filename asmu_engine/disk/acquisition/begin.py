"""The command that begins an acquisition, or goes on with one, and the one that adds to its ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ValidationError

from asmu_engine.disk.acquisition.elsewhere import ledger_folder
from asmu_engine.disk.acquisition.fields import as_model, take_model
from asmu_engine.disk.acquisition.folder import Folder
from asmu_engine.disk.acquisition.job import Acquisition, Beginning
from asmu_engine.disk.acquisition.times import Times
from asmu_engine.disk.fields import take
from asmu_engine.disk.formats import file_form
from asmu_engine.disk.job import Job, Send
from asmu_engine.disk.recorder import Start, open_ring
from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.errors import DiskError, ProtocolError
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import Source
from asmu_engine.shm.reader import RingReader

_WHYS = ("new", "disk", "host")


def begin_acquisition(number: int, send: Send, message: dict[str, Any]) -> Acquisition:
    """The job of a command ``acquire``, yet to be started.

    Raises
    ------
    ProtocolError
        ``bad_message``.
    RingError
        From the ring.
    DiskError
        ``file_unwritable``, ``file_unreadable``, ``file_format``.
    """
    path = Path(take(message, "folder", str))
    _check_absolute(path, "folder")
    ring = take(message, "ring", str)
    beginning = _beginning(message)
    clock = None if message.get("clock") is None else take_model(message, "clock", ClockFit)
    if take(message, "resume", bool, False):
        settings = None if message.get("settings") is None else take_model(message, "settings", AcquisitionSettings)
        return _resume(number, send, ledger_folder(path, settings), ring, beginning, clock)
    reader = open_ring(ring, "newest" if beginning.start is None else beginning.start, held=beginning.start is not None)
    try:
        folder = _create(path, message, reader)
    except BaseException:
        reader.close()
        raise
    # So that whoever goes on knows where it began, should this process die before the first frame is written.
    start = reader.position if beginning.start is None and reader.writer_position else beginning.start
    return _job(number, send, reader, folder, clock, Beginning("new", start), [])


def note_entries(jobs: list[Job], message: dict[str, Any]) -> None:
    """Carry out a command ``note`` on those jobs that are acquisitions; ProtocolError ``bad_message`` for what is no entry."""
    try:
        entries = [ledger.parse_entry(entry) for entry in take(message, "entries", list)]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ProtocolError(f"note: entries: {first['msg']}", code="bad_message", where="entries") from None
    for job in jobs:
        if isinstance(job, Acquisition):
            job.note(entries)


def _beginning(message: dict[str, Any]) -> Beginning:
    why = take(message, "why", str, "new")
    if why not in _WHYS:
        raise ProtocolError(f"acquire: why is {why!r}; use {', '.join(_WHYS)}", code="bad_message", where="why")
    start = None if message.get("start") is None else take(message, "start", int)
    return Beginning(cast("Literal['new', 'disk', 'host']", why), start, take(message, "gap_uncertainty", int, 0))


def _create(path: Path, message: dict[str, Any], reader: RingReader) -> Folder:
    settings = take_model(message, "settings", AcquisitionSettings)
    channels = [as_model(facts, "acquire: channels", ChannelFacts) for facts in take(message, "channels", list, [])]
    if channels and len(channels) != reader.channels:
        raise DiskError(
            f"{len(channels)} channels are described, the tap has {reader.channels}; describe each of them, or none",
            code="file_format",
            where="channels",
        )
    if settings.aligned and settings.rollover_seconds is None:
        raise DiskError(
            "segments are to begin on the clock, but not how often; give rollover_seconds, such as 3600",
            code="file_format",
            where="rollover_seconds",
        )
    if settings.on_full == "second_folder":
        second = Path(settings.second_folder)
        _check_absolute(second, "second_folder")
        if second == path:
            raise DiskError(f"the second folder is the first one, {path}", code="file_unwritable", where="second_folder")
    form = file_form(settings.format, settings.subtype, reader.samplerate, reader.channels, settings.tags, hdf5=True)
    return Folder.create(path, settings, channels, take_model(message, "source", Source), form)


def _resume(number: int, send: Send, path: Path, ring: str, beginning: Beginning, clock: ClockFit | None) -> Acquisition:
    reader = open_ring(ring, "oldest")
    try:
        folder, filled = Folder.resume(path, reader.samplerate, reader.channels)
    except BaseException:
        reader.close()
        raise
    if beginning.why == "new":  # a client's own wish, in an engine that knew nothing of it
        beginning = Beginning("host", beginning.start, beginning.gap_uncertainty)
    job = _job(number, send, reader, folder, clock, beginning, filled)
    first: Start | None = job.position if job.position is not None else beginning.start
    if first is not None:
        reader.seek(first)
    return job


def _job(
    number: int,
    send: Send,
    reader: RingReader,
    folder: Folder,
    clock: ClockFit | None,
    beginning: Beginning,
    filled: list[ledger.Gap],
) -> Acquisition:
    times = Times(reader.samplerate, clock)
    times.note_stamp(reader.stamp, reader.writer_position)
    try:
        return Acquisition(number, send, reader, folder, times, beginning, filled)
    except OSError as error:
        reader.close()
        folder.close()
        raise DiskError(
            f"cannot record into {folder.path}: {error.strerror or error}", code="file_unwritable", where=str(folder.path)
        ) from error
    except BaseException:
        reader.close()
        folder.close()
        raise


def _check_absolute(path: Path, where: str) -> None:
    if not path.is_absolute():
        raise DiskError(f"the {where} {path} is relative; name it from the root", code="file_unwritable", where=where)
