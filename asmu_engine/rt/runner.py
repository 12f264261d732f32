"""The block runner: what a device calls for every block. Silence first, then counters, due edits, the schedule."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from asmu_engine.rt.acore import ACore, Block
from asmu_engine.rt.context import Context
from asmu_engine.rt.mailbox import Mailbox, PreparedEdit
from asmu_engine.rt.schedule import Schedule
from asmu_engine.shm.status import StatusPage

INPUT_UNDERFLOW, INPUT_OVERFLOW, OUTPUT_UNDERFLOW, OUTPUT_OVERFLOW = 1, 2, 4, 8
FLAG_NAMES = {
    INPUT_UNDERFLOW: "input_underflow",
    INPUT_OVERFLOW: "input_overflow",
    OUTPUT_UNDERFLOW: "output_underflow",
    OUTPUT_OVERFLOW: "output_overflow",
}
CAUSE_DEVICE = 1
"""Ring cause code of frames that the device lost."""


class Runner:
    """Owns the frame position and the running schedule; nothing else changes either while a stream runs.

    Attributes
    ----------
    position
        Frame position of the next block's first frame; after a loss it advances by what was lost.
    end_position
        The stream ends there by itself; None for never.
    drop_until
        Blocks that begin before this position play silence and process nothing.
    """

    def __init__(self, samplerate: float, blocksize: int, status: StatusPage | None = None, position: int = 0) -> None:
        self.samplerate = samplerate
        self.blocksize = blocksize
        self.context = Context()
        self.mailbox = Mailbox()
        self.schedule = Schedule(blocksize=blocksize)
        self.end_position: int | None = None
        self.drop_until = 0
        self.position = position
        self.mailbox.next_position = position
        self._status = status
        self._utc_offset = time.time_ns() - time.monotonic_ns()
        self._period_ns = round(1e9 * blocksize / samplerate)
        word = StatusPage.word
        self._blocks, self._position = word("blocks"), word("frame_position")
        self._misses, self._lost = word("deadline_misses"), word("lost_frames")
        self._last, self._max = word("callback_last_ns"), word("callback_max_ns")
        self._late_max, self._last_block = word("late_max_ns"), word("last_block_ns")
        self._exceptions, self._edits = word("core_exceptions"), word("edits")
        self._flags = {flag: word(name) for flag, name in FLAG_NAMES.items()}

    def advance(self, position: int) -> None:
        """Before a device starts: the axis has run on to `position`; never backwards."""
        self.position = max(self.position, position)
        self.mailbox.next_position = self.position

    def begin_stream(self, end_block: int | None, drop: int) -> None:
        """Before a device starts: count `drop` silent blocks and the end from the present position."""
        self.drop_until = self.position + drop * self.blocksize
        self.end_position = None if end_block is None else self.drop_until + end_block * self.blocksize
        self._utc_offset = time.time_ns() - time.monotonic_ns()

    def __call__(self, indata: Block, outdata: Block, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        """One block from a device; see `asmu_engine.devices.base.BlockCallback`. False when the stream has reached its end."""
        began = time.monotonic_ns()
        outdata.fill(0)
        if lost:
            self.position += lost
        position = self.position
        if flags or lost:
            self._count_xrun(flags, lost, position)
        goes_on = self._run(indata, outdata, position, due_ns or began, lost)
        frames = outdata.shape[0]
        self.position = position + frames
        if self._status is not None:
            self._count_block(began, due_ns, position, frames, device_time)
        return goes_on

    def run_edits(self) -> None:
        """Take in what waits while no device runs; the control thread calls this in the callback's stead."""
        self.mailbox.begin(self.position, 0)
        while (edit := self.mailbox.due(self.position)) is not None:
            self._take(edit)
        self.mailbox.end()

    def _run(self, indata: Block, outdata: Block, position: int, due_ns: int, lost: int) -> bool:
        frames = outdata.shape[0]
        end = position + frames
        mailbox, context = self.mailbox, self.context
        goes_on = True
        if self.end_position is not None and end >= self.end_position:
            end = max(self.end_position, position)
            goes_on = False
        mailbox.begin(position, frames)
        start = position
        context.lost_cause = CAUSE_DEVICE if lost else 0
        while start < end:
            while (edit := mailbox.due(start)) is not None:
                self._take(edit)
            cut = mailbox.cut(end)
            if cut <= start:
                continue  # it came in just now
            stop = min(cut, start + self.blocksize)
            if start == position and stop == end:
                # Edits from now on belong to the next block: say so before the long part.
                mailbox.end()
            context.position = start
            context.monotonic_ns = due_ns + (start - position) * self._period_ns // self.blocksize
            context.utc_ns = context.monotonic_ns + self._utc_offset
            if start >= self.drop_until:
                first, last = start - position, stop - position
                whole = first == 0 and last == frames
                failures = self.schedule.run(indata if whole else indata[first:last], outdata if whole else outdata[first:last])
                for step in failures or ():
                    self._count_failure(step.core, step.error, start)
            start = stop
        mailbox.end()
        return goes_on

    def _take(self, edit: PreparedEdit) -> None:
        if edit.schedule is not None:
            edit.replaced.append(self.schedule)
            edit.schedule.profiling = self.schedule.profiling
            self.schedule = edit.schedule
        for new, old in edit.adoptions:
            self._guard(new, new.adopt, old)
        for core, name, value in edit.values:
            edit.replaced.append(getattr(core, name))
            setattr(core, name, value)
            self._guard(core, core.changed, name)
        for core, call in edit.calls:
            self._guard(core, getattr(core, call))
        if edit.drop:
            self.drop_until = self.position + edit.drop * self.blocksize
        if self._status is not None:
            self._status.words[self._edits] += 1

    def _guard(self, core: ACore, method: Callable[..., None], *arguments: Any) -> None:
        """Run a core's method between two frames; one that raises is silenced like one that raises in `process`."""
        try:
            method(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a core raises, the audio goes on
            self._count_failure(core, error, self.position)
            for step in self.schedule.steps:
                if step.core is core:
                    step.silence(error)

    def _count_block(self, began: int, due_ns: int, position: int, frames: int, device_time: float) -> None:
        status = self._status
        assert status is not None
        words = status.words
        words[self._blocks] += 1
        words[self._position] = position + frames
        words[self._last_block] = began
        late = began - due_ns if due_ns else 0
        if late > 0:
            status.count_lateness(late)
            words[self._late_max] = max(words[self._late_max], late)
        else:
            status.count_lateness(0)
        status.stamp(position, due_ns or began, (due_ns or began) + self._utc_offset, device_time)
        took = time.monotonic_ns() - began
        words[self._last] = took
        words[self._max] = max(words[self._max], took)
        status.count_time(took)
        if max(late, 0) + took > self._period_ns:
            words[self._misses] += 1

    def _count_xrun(self, flags: int, lost: int, position: int) -> None:
        names = [name for flag, name in FLAG_NAMES.items() if flags & flag]
        if self._status is not None:
            words = self._status.words
            for flag, word in self._flags.items():
                if flags & flag:
                    words[word] += 1
            words[self._lost] += lost
        self.context.notices.append({"event": "xrun", "flags": names, "lost": lost, "position": position})

    def _count_failure(self, core: ACore, error: Exception | None, position: int) -> None:
        if self._status is not None:
            self._status.words[self._exceptions] += 1
        text = f"{type(error).__name__}: {error}"
        self.context.notices.append({"event": "core_failed", "node": core.setup.node, "error": text, "position": position})
