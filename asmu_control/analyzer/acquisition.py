"""Acquisition: from the patch into a recording folder, for as long as it takes, with an account of every frame."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from asmu_control.analyzer.diskjob import DiskJob
from asmu_control.channelfacts import channel_facts
from asmu_control.leaving import leave
from asmu_control.units import duration, rollover, size
from asmu_engine.protocol.errors import AsmuError, ConfigError
from asmu_engine.recording.unused import remove_unused

if TYPE_CHECKING:
    from typing import Unpack

    from asmu_control.existingtap import TapReader
    from asmu_control.interface import Interface
    from asmu_control.typing import AcquisitionOptions, Duration, PathLike, Rollover, Start

_POLL_SECONDS: Final = 0.05
_OVER: Final = ("finished", "failed")


class Acquisition(DiskJob):
    """Records its inputs into a folder: segments, a manifest, a ledger of all that is missing, and checksums.

    It goes on across a loss of the device and across the death of the engine's processes; what is missing then stands in the
    ledger, with its cause. ``interface.record("friday")`` makes one of the interface's inputs.

    Parameters
    ----------
    interface
        The interface whose patch it joins; with a running one recording begins at once, else with its start.
    folder
        The recording folder, which is made. For an engine on another machine a path within its folder for recordings.
    channels
        Inputs. Default: as many as are asked for before recording begins.
    format, subtype
        Of the segments: ``"WAV"``, ``"RF64"``, ``"W64"``, ``"CAF"``, ``"FLAC"`` … (libsndfile's names), or ``"HDF5"``. An empty
        subtype is the finest that the format holds.
    rollover
        When a new segment begins: by time (``"1h"``, or seconds), exact to the frame, by size (``"2GB"``), by both
        (``"1h,2GB"``), or never (None). What is whole is a finished segment: with its checksum, and droppable.
    aligned
        Segments begin where the UTC day does so many times: on the hour, for ``"1h"``.
    seconds
        Ends by itself after so much time, exact to the frame; None: when it is stopped.
    wait
        Do not record before `record` is called.
    keep
        For an interface with ``engine=…``: the recording goes on when the script has closed the interface, or has ended, with
        what feeds it. It ends with ``asmu record --engine NAME --out FOLDER --stop``, or with the engine.
    tags
        Texts to store in each segment: title, artist, comment, date …
    on_full, second_folder
        What happens when the disk is full, read-only or gone: ``"stop"``, ``"drop_oldest"`` finished segments, or go on in the
        ``"second_folder"``.
    sync_seconds
        At most so much audio is not on the disk yet; default 1 s.
    fill_seconds
        Lost frames are zeros in the segment up to this length, default 10 s; a longer gap begins a new segment.
    minimum_free
        Left free on the disk, default ``"64MiB"``: with less, `on_full` takes effect.
    warn_seconds
        Warn when the disk will be full within so much time; default 1 h.
    clock_seconds
        How often the fit of the clocks is noted in the ledger; default 60 s.
    resume
        Go on with a folder that an engine left unfinished, with the settings that it was begun with.

    Raises
    ------
    DiskError
        ``file_unwritable``, ``file_format``; where recording begins.
    ConfigError
        A setting that is out of range; `keep`, but the engine is the script's own and ends with it.
    """

    _finish_timeout = None  # the last segment may be long, and its format slow

    def __init__(
        self,
        interface: Interface,
        folder: PathLike,
        *,
        channels: int | None = None,
        format: str = "WAV",
        subtype: str = "",
        rollover: Rollover = "1h",
        aligned: bool = False,
        seconds: Duration | None = None,
        wait: bool = False,
        keep: bool = False,
        **options: Unpack[AcquisitionOptions],
    ) -> None:
        self._given = os.fspath(folder)
        self._resume = bool(options.pop("resume", False))
        self._settings = _settings(format, subtype, rollover, aligned, seconds, options)
        self._new: list[Path] = []  # folders that are made for it, the innermost first
        self._went_on = 0  # the job that was there before the interface was opened
        super().__init__(interface, Path(folder).absolute(), channels=channels, wait=wait, keep=keep)

    @property
    def settings(self) -> dict[str, Any]:
        """How the folder is written, by the names of `asmu_engine.protocol.acquisition.AcquisitionSettings`."""
        return dict(self._settings)

    def record(self, at: int | None = None, folder: PathLike | None = None) -> None:
        """Begin; `Interface.start` does this by itself the first time, unless it was made to `wait`.

        Parameters
        ----------
        at
            Frame position of the first frame: one to come, or one that the ring still holds (see `frame_position` and
            `ring_seconds` of `Interface`). None: now.
        folder
            Another folder from now on: each holds one recording.

        Raises
        ------
        RingError
            ``ring_position``: the ring has lost that frame.
        DiskError
            ``file_unwritable``: the folder cannot be made, or holds a recording already.
        """
        if folder is not None:
            self.close()
            self._given, self._path = os.fspath(folder), Path(folder).absolute()
        self._new = [each for each in (self._path, *self._path.parents) if not each.exists()]
        super().record(at)

    def stop(self) -> dict[str, Any]:
        """End the recording; returns its final `status` when all segments are whole. The same as `close`."""
        return self.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended by itself: after its `seconds`, or since something made it.

        Returns
        -------
        bool
            False when it goes on after `timeout` seconds; None waits as long as it takes.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.status()["state"] not in _OVER:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def reader(self, start: Start = "newest") -> TapReader:
        """A reader of what it records, as that comes in, to look at or compute with; see `Tap.reader`."""
        from asmu_control.existingtap import open_reader

        return open_reader(self._interface.client, self.name, start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self.close, error, "ending the recording")

    def _request(self) -> dict[str, Any]:
        # A relative path is this machine's only where the engine runs on it.
        remote = self._interface.client.remote
        return {
            "type": "acquire",
            "folder": self._given if remote else str(self._path),
            "channels": channel_facts(self.inputs),
            "settings": self._settings,
            **({"resume": True} if self._resume else {}),
        }

    def _opened(self) -> None:
        self._went_on = self._kept_job
        super()._opened()

    def _not_started(self) -> None:
        """A recording that was begun for a start that failed is taken back, so that the next try finds its folder free."""
        if self._resume or self._job in (0, self._went_on):
            return
        with contextlib.suppress(AsmuError, OSError):  # the failed start is the error to be seen
            if self.status()["frames"]:
                return  # the device of the engine attached to runs already
            ended = self.close()
            if ended["frames"] or ended["lost_frames"]:
                return
            self._status = {"state": "waiting", "path": str(self._path), "frames": 0, "lost_frames": 0}
            if not self._interface.client.remote:
                remove_unused(self._path, self._new)

    def _begins(self) -> bool:
        # A folder holds one recording: what has begun once is not begun anew with the next engine.
        return super()._begins() and self._status["state"] == "waiting"


def _settings(
    format: str, subtype: str, roll: Rollover, aligned: bool, seconds: Duration | None, options: AcquisitionOptions
) -> dict[str, Any]:
    """All of it in wire form, checked; ConfigError ``bad_config`` names what is wrong."""
    from pydantic import ValidationError

    from asmu_engine.protocol.acquisition import AcquisitionSettings

    values: dict[str, Any] = {"format": format, "subtype": subtype, **rollover(roll)}
    if aligned:
        if "rollover_seconds" not in values:
            raise _bad("aligned", "segments can begin on the hour only where they roll over by time: give rollover='1h'")
        values["aligned"] = True
    if seconds is not None:
        values["seconds"] = duration(seconds, "seconds")
    for name, value in options.items():
        if name.endswith("_seconds"):
            values[name] = duration(value, name, zero=True)
        elif name == "minimum_free":
            values[name] = size(value, name)
        elif name == "second_folder":
            values[name] = str(Path(str(value)).absolute())
            values.setdefault("on_full", "second_folder")
        else:
            values[name] = dict(value) if isinstance(value, Mapping) else value
    if (values.get("on_full") == "second_folder") != bool(values.get("second_folder")):
        raise _bad("second_folder", "on_full='second_folder' and the second_folder itself go together")
    try:
        AcquisitionSettings(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _bad(where, str(first["msg"])) from None
    return values


def _bad(where: str, why: str) -> ConfigError:
    return ConfigError(f"{where}: {why}", code="bad_config", where=where)
