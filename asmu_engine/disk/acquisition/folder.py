"""The recording folder as its writer holds it: locked, with the ledger open, and a manifest that follows it."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import soundfile

from asmu_engine.disk.acquisition.account import Account
from asmu_engine.disk.acquisition.ledgerfile import LedgerFile
from asmu_engine.disk.durable import sync_folder
from asmu_engine.disk.formats import FileForm, file_form
from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.checksums import write_checksums
from asmu_engine.recording.manifest import Manifest, Segment, Source, read_manifest
from asmu_engine.recording.names import LEDGER, MANIFEST
from asmu_engine.recording.software import boot_id, software

STOPPED: Final = "stopped"
"""Why a recording ended that was told to: nobody goes on with it."""


class Folder:
    """Everything of a recording but its rows; `create` or `resume` makes one. Any thread may use it.

    Attributes
    ----------
    path
        Where manifest and ledger are.
    form
        Of the segments.
    account
        What the ledger says so far.
    growing
        Gives the rows of the growing segment and the position behind them; set by whoever writes it.
    """

    def __init__(
        self, path: Path, form: FileForm, manifest: Manifest, book: LedgerFile, account: Account, told: Collection[int] = ()
    ) -> None:
        self.path = path
        self.form = form
        self.account = account
        self.growing: Callable[[], tuple[int, int | None]] = lambda: (0, account.position)
        self._manifest = manifest
        self._ledger = book
        self._told = told
        self._noting = threading.Lock()
        self._lock = threading.Lock()
        """Of the account: never held while the disk is waited for, so that a status is always to be had."""
        self._writing = threading.Lock()
        self._summing = threading.Lock()
        self._stale = True

    @classmethod
    def create(
        cls, path: Path, settings: AcquisitionSettings, channels: list[ChannelFacts], source: Source, form: FileForm
    ) -> Folder:
        """Make the folder of a new recording, and begin its ledger.

        Raises
        ------
        DiskError
            ``file_unwritable``: it cannot be made, or holds a recording already.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_recording(path)
            book = LedgerFile(path / LEDGER, new=True)
        except OSError as error:
            raise DiskError(
                f"cannot record into {path}: {error.strerror}; name a folder that can be made or written",
                code="file_unwritable",
                where=str(path),
            ) from error
        try:
            _refuse_recording(path)  # another one may have begun meanwhile; now nobody else can
            manifest = Manifest(
                id=uuid.uuid4().hex,
                created=datetime.now(UTC).isoformat(timespec="milliseconds"),
                state="recording",
                samplerate=form.samplerate,
                channels=[*channels, *(ChannelFacts() for _ in range(form.channels - len(channels)))],
                source=source,
                software={**software(), "libsndfile": soundfile.__libsndfile_version__},
                settings=settings,
            )
            folder = cls(path, form, manifest, book, Account())
            folder.write_manifest()
            sync_folder(path)
        except OSError as error:
            book.close()
            raise DiskError(f"cannot record into {path}: {error.strerror}", code="file_unwritable", where=str(path)) from error
        except BaseException:
            book.close()
            raise
        return folder

    @classmethod
    def resume(cls, path: Path, samplerate: float, channels: int) -> tuple[Folder, list[ledger.Gap]]:
        """Go on with the folder of a writer that died, with the settings that it was begun with; also its filled gaps.

        Raises
        ------
        DiskError
            ``file_unreadable``: there is no recording, or it is damaged, or it ended because it was told to.
            ``file_format``: it has other `channels` or another `samplerate`, Hz. ``file_unwritable``: another process writes
            it, or the disk does not let this one.
        """
        manifest = read_manifest(path)
        if (len(manifest.channels), manifest.samplerate) != (channels, samplerate):
            raise DiskError(
                f"{path} has {len(manifest.channels)} channels at {manifest.samplerate:g} Hz, the tap {channels} at "
                f"{samplerate:g} Hz; they must be the same",
                code="file_format",
                where=str(path),
            )
        settings = manifest.settings
        form = file_form(settings.format, settings.subtype, samplerate, channels, settings.tags, hdf5=True)
        try:
            book = LedgerFile(path / LEDGER, new=False)
        except OSError as error:
            raise DiskError(
                f"cannot go on in {path}: {LEDGER}: {error.strerror}", code="file_unwritable", where=str(path)
            ) from error
        try:
            entries = book.read()
            account = Account(entries)
            if account.end is not None and account.end.reason == STOPPED:
                raise DiskError(
                    f"the recording in {path} is complete: it was stopped; begin another one",
                    code="file_unreadable",
                    where=str(path),
                )
        except BaseException:
            book.close()
            raise
        manifest.state, manifest.reason = "recording", ""
        told = frozenset(e.noted_ns for e in entries if isinstance(e, ledger.Xrun | ledger.Clock | ledger.Event))
        return cls(path, form, manifest, book, account, told), [e for e in entries if isinstance(e, ledger.Gap) and e.filled]

    @property
    def settings(self) -> AcquisitionSettings:
        """How it is written."""
        return self._manifest.settings

    @property
    def id(self) -> str:
        """Of the recording."""
        return self._manifest.id

    def begin(self, position: int | None, why: str) -> None:
        """Say in the ledger that this process writes from now on; OSError from the system."""
        self.note(ledger.Begun(position=position, why=why, pid=os.getpid(), boot=boot_id()))

    def note(self, *entries: ledger.Entry) -> None:
        """Append to the ledger; OSError from the system, and nothing is noted then.

        What the host had told the writer before this one, who died before he could say so, it tells again: that is passed over.
        """
        with self._noting:
            noted = self._ledger.append(*(entry for entry in entries if entry.noted_ns not in self._told))
            with self._lock:
                for entry in noted:
                    self.account.take(entry)
                    self._learn_device(entry)
            self._stale = True

    def _learn_device(self, entry: ledger.Entry) -> None:
        """A recording that was begun before its device ran learns from the host what that is."""
        source = self._manifest.source
        if source.device is None and isinstance(entry, ledger.Event) and isinstance(entry.facts.get("device"), dict):
            self._manifest.source = source.model_copy(update={"device": entry.facts["device"]})

    def segments(self, *states: str) -> list[Segment]:
        """Those in one of these states, in their order."""
        with self._lock:
            return [segment for segment in self.account.segments.values() if segment.state in states]

    def file(self, segment: Segment) -> Path:
        """Where a finished segment stands."""
        return self.path / segment.file

    def write_checksums(self, folder: Path) -> None:
        """Bring the list of checksums in the folder of some segments up to date; OSError from the system."""
        with self._summing:
            whole = {self.file(segment): segment.sha256 for segment in self.segments("whole")}
            write_checksums(folder, {path.name: digest for path, digest in whole.items() if path.parent == folder})

    def write_manifest(self) -> None:
        """Replace the manifest; OSError from the system."""
        with self._writing:  # a reader may see an older one for a moment, but never an older one after a newer one
            with self._lock:
                self._stale = False
                manifest = self._current_manifest()
            try:
                manifest.write(self.path)
            except OSError:
                self._stale = True
                raise

    def sync_ledger(self) -> None:
        """Bring what was noted to the disk; OSError from the system."""
        self._ledger.sync()

    def sync(self) -> None:
        """Bring the ledger to the disk, and the manifest where something has changed; OSError from the system."""
        self.sync_ledger()
        if self._stale:
            self.write_manifest()

    def move(self, path: Path) -> None:
        """Go on with ledger and manifest in another folder, because this one takes no more.

        The ledger there has all that this one has. Raises OSError where this one cannot be read or that one not be written,
        DiskError ``file_unwritable`` where another recording is there.
        """
        with self._writing, self._noting:
            _refuse_recording(path)
            entries = [_moved(entry, self.path, path) for entry in self._ledger.read()]
            book = LedgerFile(path / LEDGER, new=True)
            try:
                book.append(*entries)
                book.sync()
            except BaseException:
                book.close()
                raise
            self._ledger.close()
            with self._lock:
                self._ledger, self.path, self.account = book, path, Account(entries)
        self.write_manifest()

    def end(self, state: Literal["finished", "failed"], position: int | None, reason: str) -> None:
        """Say that the recording ended, in the ledger and the manifest; OSError from the system."""
        self.note(ledger.Ended(position=position, reason=reason))
        self._manifest.state = state
        self._manifest.reason = "" if state == "finished" else reason
        self.sync()

    def close(self) -> None:
        """Let go of it, so that another process may write it."""
        self._ledger.close()

    def _current_manifest(self) -> Manifest:
        account = self.account
        rows, position = self.growing()
        segments: Iterable[Segment] = account.segments.values()
        return self._manifest.model_copy(
            update={
                "first": account.first,
                "position": position,
                "clock": account.clock,
                "segments": [s.model_copy(update={"frames": rows}) if s.state == "growing" else s for s in segments],
            }
        )


def _moved(entry: ledger.Entry, former: Path, path: Path) -> ledger.Entry:
    """An entry as the ledger of another folder has it: files that are not there are named by their absolute path."""
    if not isinstance(entry, ledger.SegmentBegun | ledger.SegmentEnded | ledger.SegmentWhole | ledger.SegmentDropped):
        return entry
    file = former / entry.file
    return entry.model_copy(update={"file": file.name if file.parent == path else str(file)})


def _refuse_recording(path: Path) -> None:
    book = path / LEDGER
    if (path / MANIFEST).exists() or (book.exists() and book.stat().st_size):
        raise DiskError(
            f"{path} holds a recording already; go on with it (resume), or choose another folder",
            code="file_unwritable",
            where=str(path),
        )
