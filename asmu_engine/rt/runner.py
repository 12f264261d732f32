"""The block runner: what a device calls for every block. Counters, due edits, silence where it may be heard, the schedule."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from asmu_engine.rt.acore import ACore, Block
from asmu_engine.rt.context import Context
from asmu_engine.rt.mailbox import Mailbox, PreparedEdit
from asmu_engine.rt.schedule import NOTHING, Schedule, Takeover
from asmu_engine.rt.stackable import Stackable
from asmu_engine.rt.utc import UtcOffset
from asmu_engine.rt.xruns import Xruns
from asmu_engine.shm.books import block_books
from asmu_engine.shm.causes import STOPPED
from asmu_engine.shm.status import StatusPage


class Counts(Protocol):
    """What the runner asks the device for, where that lost something."""

    loss_uncertainty: int
    """Standard uncertainty of the frames that the device counts as lost; 0 where it knows them exactly."""


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
    began
        Position of the first block of a stream that was told to `follow` an axis; None before it.
    utc
        What UTC is ahead of the monotonic clock; the control thread has it measured anew every now and then.
    device
        The device that calls, for how sure it is of its losses; None for one that is.
    """

    def __init__(self, samplerate: float, blocksize: int, status: StatusPage | None = None, position: int = 0) -> None:
        self.samplerate = samplerate
        self.blocksize = blocksize
        self.context = Context()
        self.mailbox = Mailbox()
        self.schedule = Schedule(blocksize=blocksize)
        self.end_position: int | None = None
        self.drop_until = 0
        self.began: int | None = None
        self._axis: tuple[int, int, float] | None = None
        self._fixed_end = False
        self.position = position
        self.mailbox.next_position = position
        self._status = status
        self.utc = UtcOffset()
        self.device: Counts | None = None
        self._jump: tuple[int, int] | None = None  # cause and uncertainty of a jump of the axis that no tap has seen yet
        self._ran = 0  # frames that the schedules have run
        self._slept: dict[Stackable, int] = {}  # cores that nobody hears, and how many had been run when they were last right
        self._period_ns = round(1e9 * blocksize / samplerate)
        self._book = None if status is None else block_books(status, self._period_ns)
        self._xruns = Xruns(self.context, status)
        self._exceptions, self._edits = StatusPage.word("core_exceptions"), StatusPage.word("edits")

    def advance(self, position: int, cause: int = 0, uncertainty: int = 0) -> None:
        """Before a device starts: the axis has run on to `position`; never backwards.

        Parameters
        ----------
        cause
            Why frames are missing before the first block, a number of `asmu_engine.shm.causes`.
        uncertainty
            Standard uncertainty of how many, frames.
        """
        self.position = max(self.position, position)
        self.mailbox.next_position = self.position
        self._jump = (cause, uncertainty)

    def begin_stream(self, end_block: int | None, drop: int) -> None:
        """Before a device starts: count `drop` silent blocks and the end from the present position."""
        self.drop_until = self.position + drop * self.blocksize
        self.end_position = None if end_block is None else self.drop_until + end_block * self.blocksize
        self.utc.refresh()

    def follow(self, axis: tuple[int, int, float] | None, *, fixed_end: bool = False) -> None:
        """Before a device starts, which takes a while: its first block joins an axis that runs on meanwhile.

        `axis`: a frame position, its monotonic time, ns, and frames a second. `fixed_end`: the end of the stream stays where it
        is; else it, and the dropped blocks, are counted from that first block.
        """
        self.began = None
        self._axis = axis
        self._fixed_end = fixed_end

    def __call__(self, indata: Block, outdata: Block, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        """One block from a device; see `asmu_engine.devices.base.BlockCallback`. False when the stream has reached its end."""
        began = time.monotonic_ns()
        if self._axis is not None:
            self._join(due_ns or began)
        if lost:
            self.position += lost
        position = self.position
        context = self.context
        context.lost_cause = context.lost_uncertainty = 0
        if flags or lost:
            uncertainty = 0 if self.device is None else self.device.loss_uncertainty
            self._xruns.note(flags, lost, position, indata.shape, uncertainty)
        if self._jump is not None:
            context.lost_cause = self._jump[0]
            context.lost_uncertainty += self._jump[1]
        frames = outdata.shape[0]
        last = self.end_position
        if (
            position >= self.drop_until
            and frames == self.blocksize
            and (last is None or position + frames < last)
            and self.mailbox.passes(position, frames)
        ):
            # What `_run` does, for nearly every block: in a callback that comes with cold caches, code not touched is time saved.
            goes_on = True
            self._jump = None
            self._ran += frames
            context.position = position
            context.monotonic_ns = due_ns or began
            context.utc_ns = context.monotonic_ns + self.utc.ns
            if not self.schedule.covers:
                outdata.fill(0)
            failures = self.schedule.run(indata, outdata)
            if failures:
                for step in failures:
                    self._count_failure(step.nodes, step.error, position)
        else:
            goes_on = self._run(indata, outdata, position, due_ns or began)
        self.position = position + frames
        if self._book is not None:
            self._book(began, due_ns, self.utc.ns, position, frames, device_time)
        return goes_on

    def run_edits(self) -> None:
        """Take in what waits while no device runs; the control thread calls this in the callback's stead."""
        self.mailbox.begin(self.position, 0)
        while (edit := self.mailbox.due(self.position)) is not None:
            self._take(edit)
        self.mailbox.end()

    def _join(self, due_ns: int) -> None:
        assert self._axis is not None
        position, since, rate = self._axis
        self._axis = None
        jump = max(0, position + round((due_ns - since) * rate * 1e-9) - self.position)
        self.position += jump
        self.drop_until += jump
        if self.end_position is not None and not self._fixed_end:
            self.end_position += jump
        self.began = self.position

    def _run(self, indata: Block, outdata: Block, position: int, due_ns: int) -> bool:
        outdata.fill(0)
        frames = outdata.shape[0]
        end = position + frames
        mailbox, context = self.mailbox, self.context
        goes_on = True
        if self.end_position is not None and end >= self.end_position:
            end = max(self.end_position, position)
            goes_on = False
        mailbox.begin(position, frames)
        start = position
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
            context.utc_ns = context.monotonic_ns + self.utc.ns
            if start >= self.drop_until:
                self._jump = None
                self._ran += stop - start
                first, last = start - position, stop - position
                whole = first == 0 and last == frames
                failures = self.schedule.run(indata if whole else indata[first:last], outdata if whole else outdata[first:last])
                for step in failures or ():
                    self._count_failure(step.nodes, step.error, start)
            elif self._jump is None:
                self._jump = (STOPPED, 0)  # what is dropped is missing in the rings, by request
            start = stop
        mailbox.end()
        return goes_on

    def reset(self) -> None:
        """Every core goes back to its start; in the callback, or while no device runs."""
        for core in dict.fromkeys(core for step in self.schedule.steps for core in step.cores):
            self._guard(core, core.reset)
        for sleeper in self._slept:
            self._guard(sleeper, sleeper.reset)
            self._slept[sleeper] = self._ran

    def _take(self, edit: PreparedEdit) -> None:
        if edit.schedule is not None:
            edit.replaced.append(self.schedule)
            edit.schedule.profiling = self.schedule.profiling
            self.schedule = edit.schedule
            self._take_over(edit.schedule.takeover)
            # It leads to cores that run no more, and those to the ones before them.
            edit.replaced.append(edit.schedule.takeover)
            edit.schedule.takeover = NOTHING
        for new, old in edit.adoptions:
            self._guard(new, new.adopt, old)
        for core, name, value in edit.values:
            edit.replaced.append(getattr(core, name))
            setattr(core, name, value)
            self._set(core, name, value)
        for core, call in edit.calls:
            self._guard(core, getattr(core, call))
        if edit.reset:
            self.reset()
        if edit.drop:
            self.drop_until = self.position + edit.drop * self.blocksize
        if self._status is not None:
            self._status.words[self._edits] += 1

    def _take_over(self, change: Takeover) -> None:
        """The channels that now run elsewhere go on there."""
        for core in change.waking:
            self._wake(core)
            self._slept.pop(core, None)
        targets: dict[Stackable, None] = {}
        for move in change.moves:
            if move.stands:
                self._guard(move.core, move.follow)
            else:
                self._guard(move.core, move.do)
                targets[move.core] = None
        for core, mine, old, first in change.joins:
            self._guard(core, core.join, old, mine, first)
            targets[core] = None
        for core in targets:
            self._guard(core, core.carried)
        self._slept.update(dict.fromkeys(change.sleeping, self._ran))

    def _wake(self, core: Stackable) -> None:
        """What it has not heard, if anything, is made up for."""
        frames = self._ran - self._slept.get(core, self._ran)
        if frames:
            self._guard(core, core.skip, frames)
            self._slept[core] = self._ran

    def _set(self, core: ACore, name: str, value: Any) -> None:
        parts = self.schedule.places.get(core)
        if parts is None:
            if core in self._slept:
                self._wake(core)
            self._guard(core, core.changed, name)
            return
        for part in parts:
            self._wake(part.core)
            self._guard(part.core, part.core.put, name, value, part.columns, part.channels)
            self._guard(part.core, part.core.changed_at, name, part.columns)

    def _guard(self, core: ACore, method: Callable[..., None], *arguments: Any) -> None:
        """Run a core's method between two frames; one that raises is silenced like one that raises in `process`."""
        try:
            method(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a core raises, the audio goes on
            nodes: Iterable[str] = (core.setup.node,)
            for step in self.schedule.steps:
                if core in step.cores:
                    step.silence(error)
                    nodes = step.cores[core]
            self._count_failure(nodes, error, self.position)

    def _count_failure(self, nodes: Iterable[str], error: Exception | None, position: int) -> None:
        if self._status is not None:
            self._status.words[self._exceptions] += 1
        text = f"{type(error).__name__}: {error}"
        for node in nodes:
            self.context.notices.append({"event": "core_failed", "node": node, "error": text, "position": position})
