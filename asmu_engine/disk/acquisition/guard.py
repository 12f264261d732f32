"""What becomes of a recording when its disk is full, slow, read-only or gone."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from asmu_engine.disk.acquisition.account import dropped
from asmu_engine.disk.acquisition.finisher import Finisher
from asmu_engine.disk.acquisition.folder import Folder
from asmu_engine.disk.acquisition.policy import Policy, Trouble, trouble_of
from asmu_engine.disk.acquisition.reserve import SIZE, Reserve
from asmu_engine.disk.acquisition.space import DiskWatch, Warning, room_of
from asmu_engine.disk.acquisition.writer import Writer
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording import ledger
from asmu_engine.recording.manifest import Segment

Warn = Callable[[Warning], None]

_WORDS: Final[dict[Trouble, str]] = {
    "full": "is full",
    "read_only": "cannot be written",
    "gone": "is gone",
    "failed": "does not take it",
}
_EASE: Final = 4 * SIZE
"""So much more than `minimum_free` is there when room is held back again."""
_FINISHING_S: Final = 0.25
_NUMBERS: Final[dict[Trouble, int]] = {"full": errno.ENOSPC, "read_only": errno.EROFS, "gone": errno.ENOENT}


class Guard:
    """Watches the disk, and acts by the recording's settings when it fails; belongs to the writer's thread.

    Parameters
    ----------
    folder, writer, finisher
        The recording.
    warn
        Tells the host of a warning.
    """

    def __init__(self, folder: Folder, writer: Writer, finisher: Finisher, warn: Warn) -> None:
        self._folder = folder
        self._writer = writer
        self._finisher = finisher
        self._warn = warn
        settings = folder.settings
        self._policy = Policy(settings)
        self._reserve = Reserve()
        self._reserve.take(folder.path)
        self._data_reserve = Reserve()  # where data grow elsewhere than the account: the last file there has to be made whole
        self._hold_elsewhere()
        self._watch = DiskWatch(settings, writer.data, folder.form.samplerate, writer.frame_bytes)
        self._noted = 0
        self._told = ""

    def look(self, behind_seconds: float, ring_seconds: float) -> None:
        """Look at the disk, about once a second; `react` says what may become of the writer's position.

        Parameters
        ----------
        behind_seconds, ring_seconds
            How much the ring holds that is not written yet, and how much it can hold.

        Raises
        ------
        DiskError
            The recording cannot go on.
        """
        self._watch.note_written(self._writer.bytes - self._noted)
        self._noted = self._writer.bytes
        for warning in self._watch.look(behind_seconds, ring_seconds):
            self.tell(warning)
        if self._watch.trouble is not None:
            self._act(None, self._watch.trouble, may_fall_back=True)
        elif not self._reserve.taken and _room(self._folder.path) > self._folder.settings.minimum_free + _EASE:
            self._reserve.take(self._folder.path)

    def react(self, error: OSError, *, may_fall_back: bool = False) -> None:
        """The disk did not take something; where this returns, it is to be tried again. DiskError as `look`.

        Parameters
        ----------
        error
            What it said.
        may_fall_back
            Where the recording goes on elsewhere, what is not certainly on the disk that failed may be taken from the ring
            once more: the writer's position is lower then.
        """
        self._act(error, trouble_of(error), may_fall_back=may_fall_back)

    def react_to_finisher(self, error: OSError) -> None:
        """A segment that ended could not be made whole; it is tried again, or left as it is. DiskError as `look`."""
        segment = self._finisher.failed
        if segment is None or segment.path.parent == self._writer.data:
            self.react(error)
            self._finisher.retry()
            return
        # What the recording has left cannot be helped, and must not end what goes on elsewhere.
        self._finisher.set_aside()
        why = error.strerror or error
        self.tell(
            Warning("failed", f"{segment.path} stays unfinished: {why}; asmu repair makes it whole once the disk is well again")
        )

    def tell(self, warning: Warning) -> None:
        """Tell the host, and the ledger."""
        self._told = warning.what
        self._warn(warning)
        event = ledger.Event(
            what="disk_warning",
            position=self._writer.position,
            text=warning.text,
            facts={"what": warning.what, "folder": str(self._writer.data)},
        )
        with contextlib.suppress(OSError):  # it is the disk of which the warning tells
            self._folder.note(event)

    def state(self, behind_seconds: float) -> dict[str, Any]:
        """The fields of `DiskState`; the age of what is not on the disk yet is the caller's to add."""
        return {
            "folder": str(self._writer.data),
            "free_bytes": self._watch.free_bytes,
            "bytes_per_second": self._watch.bytes_per_second,
            "full_in_seconds": self._watch.full_in_seconds,
            "behind_seconds": behind_seconds,
        }

    def close(self) -> None:
        """The recording is over: the room that was held back is free again."""
        self._reserve.give_back()
        self._data_reserve.give_back()

    # -- what is done --------------------------------------------------------------------------------------------

    def _act(self, error: OSError | None, trouble: Trouble, *, may_fall_back: bool) -> None:
        held = self._reserve.taken
        self._reserve.give_back()
        oldest = next((s for s in self._folder.segments("whole") if self._folder.file(s).parent == self._writer.data), None)
        second = Path(self._folder.settings.second_folder)
        moved = self._writer.data == second
        if moved and self._folder.path != second and self._account_helped(held, error, trouble):
            return
        # What the watch saw has no error of the system's: an equal one stands for it.
        cause = error if error is not None or trouble not in _NUMBERS else OSError(_NUMBERS[trouble], _WORDS[trouble])
        if oldest is None and self._policy.decide(cause, True, moved) == "drop_oldest" and self._finisher.busy:
            self._finisher.wait(_FINISHING_S)  # one that could be dropped will be there soon
            return
        decision = self._policy.decide(cause, oldest is not None, moved)
        if decision == "drop_oldest" and oldest is not None:
            self._drop(oldest)
        elif decision == "second_folder":
            if may_fall_back and trouble != "full":
                self._writer.fall_back()
            self._move(second, error, trouble)
        else:
            raise self._stop(error, trouble)

    def _account_helped(self, held: bool, error: OSError | None, trouble: Trouble) -> bool:
        """Data go to the second folder and the account to the first: whether it was the first's trouble, and is done with.

        `held`: room was held back there until now.
        """
        works = self._ledger_works()
        if works and held and trouble == "full":
            return True
        elsewhere = trouble == "full" and _room(self._writer.data) > max(self._folder.settings.minimum_free, SIZE)
        if works and not elsewhere:
            return False
        self._move_ledger(self._writer.data, error, trouble)
        return True

    def _drop(self, segment: Segment) -> None:
        path = self._folder.file(segment)
        word = dropped(segment, segment.frames, "to make room")
        try:
            # Noted first: a file that is gone without a word would be a loss that nobody accounts for.
            noted = self._noted_now(word)
            path.unlink(missing_ok=True)
            if not noted:  # there was no room for a line even
                self._folder.note(word)
            self._folder.write_checksums(path.parent)
        except OSError as failure:
            raise self._stop(failure, trouble_of(failure)) from failure
        self.tell(Warning("dropped", f"{path.name} was deleted to make room in {path.parent}"))

    def _move(self, second: Path, error: OSError | None, trouble: Trouble) -> None:
        former = self._writer.data
        try:
            second.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # where the ledger cannot be written, it moves too
                self._writer.end_segment()
            self._writer.move(second)
            self._watch.move(second)
            if not self._ledger_works():
                self._move_ledger(second, error, trouble)
            self._hold_elsewhere()
            self._writer.end_segment()
        except OSError as failure:
            raise self._stop(failure, trouble_of(failure)) from failure
        why = error.strerror if error is not None else f"it {_WORDS[trouble]}"
        self.tell(Warning("second_folder", f"the recording goes on in {second}; {former} takes no more: {why}"))

    def _ledger_works(self) -> bool:
        """Whether the account can stay where it is: a line may still be taken by memory where the disk takes nothing any more."""
        event = ledger.Event(what="second_folder", position=self._writer.position, text=str(self._writer.data))
        try:
            self._folder.note(event)
            self._folder.sync()
        except OSError:
            return False
        return self._folder.path.exists()

    def _noted_now(self, entry: ledger.Entry) -> bool:
        try:
            self._folder.note(entry)
        except OSError:
            return False
        return True

    def _move_ledger(self, second: Path, error: OSError | None, trouble: Trouble) -> None:
        self._data_reserve.give_back()
        try:
            self._folder.move(second)
        except (OSError, DiskError) as failure:
            raise self._stop(error, trouble) from failure
        self._reserve.take(second)

    def _hold_elsewhere(self) -> None:
        if self._writer.data != self._folder.path:
            self._data_reserve.take(self._writer.data)

    def _stop(self, error: OSError | None, trouble: Trouble) -> DiskError:
        self._data_reserve.give_back()
        folder = self._writer.data
        why = error.strerror or str(error) if error is not None else f"it {_WORDS[trouble]}"
        if self._told != trouble:
            self._warn(Warning(trouble, f"{folder}: {why}"))
        return DiskError(
            f"recording into {folder} stopped: {why}; what was written is kept. Make room and go on there (resume), or begin "
            "in another folder",
            code="disk_failed",
            where=str(folder),
            retry=True,
        )


def _room(folder: Path) -> int:
    """Free bytes on the disk of a folder, none where it is gone."""
    try:
        return room_of(folder).free_bytes
    except OSError:
        return 0
