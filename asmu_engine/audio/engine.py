"""The engine inside a process: builder, runner and device, driven by one control thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from asmu_engine.audio.builder import Builder, Edit
from asmu_engine.audio.facts import close_failed, columns, describe, free_running
from asmu_engine.audio.kinds import Kinds
from asmu_engine.audio.wiring import Wiring
from asmu_engine.cores.feed import AFeed
from asmu_engine.cores.tap import ATap
from asmu_engine.devices.base import Device
from asmu_engine.devices.faults import plug
from asmu_engine.devices.open import open_device
from asmu_engine.protocol.device import Offline, Virtual, device_from_wire, parse_device
from asmu_engine.protocol.errors import AsmuError, DeviceError, EngineError
from asmu_engine.rt.mailbox import AT_ONCE, PreparedEdit
from asmu_engine.rt.runner import Runner
from asmu_engine.shm.causes import cause_code
from asmu_engine.shm.status import StatusPage

_PAUSE_S: Final = 0.0005
_FIRST_BLOCK_S: Final = 2.0
"""A device that was started calls back within so long, and two blocks."""


class AudioEngine:
    """Graph, schedule and device of one engine; every method belongs to the control thread.

    `thread_setup` is called in the audio thread before its first block, with True where blocks come at a clock's pace: real-time
    scheduling is for those, a device that runs as fast as it can would take a whole processor from everyone else.
    `abandoned`: a device could not be closed properly, and the process must end without its interpreter's exit handlers.
    """

    def __init__(
        self,
        device: str | dict[str, Any],
        samplerate: float,
        blocksize: int,
        *,
        plugins: Iterable[str] = (),
        status: StatusPage | None = None,
        position: int = 0,
        on_end: Callable[[str], None] | None = None,
        thread_setup: Callable[[bool], None] | None = None,
    ) -> None:
        self.samplerate = samplerate
        self.blocksize = blocksize
        self.kinds = Kinds(plugins)
        self.runner = Runner(samplerate, blocksize, status, position)
        self._spec = parse_device(device) if isinstance(device, str) else device_from_wire(device)
        self._builder = Builder(self.kinds, samplerate, blocksize, self.runner.context, status)
        self._device: Device | None = None
        self._held = False
        self._waits = False
        self.abandoned = False
        self._on_end = on_end
        self._thread_setup = thread_setup
        if status is not None:
            status.describe(samplerate, blocksize)

    @property
    def running(self) -> bool:
        """True while the device calls back."""
        return self._device is not None and self._device.running

    def edit(self, edits: list[Edit]) -> int:
        """Apply one transaction; returns the frame position from which it holds."""
        if not self.running:
            self._take_back()  # a device that ended by itself left them
        return self._post(self._builder.build(edits))

    def arm(self, armed: list[Edit], *, release: bool = True) -> dict[str, Any]:
        """Have transactions wait for their frame positions, where the device runs.

        Parameters
        ----------
        armed
            ``{"tag", "at", "edits"}`` each, in the order of effect: the number by which `taken` tells of it, frame
            position, edits.
        release
            A device that was held goes on, if all went well.

        Returns
        -------
        dict
            ``armed``: how many wait now, all but where one could not be built: then ``error`` says why. ``running``: False
            where the device does not run, and nothing was armed.
        """
        if not self.running:
            return {"armed": 0, "running": False}
        return self._arm(armed, release)

    def withdraw(self) -> None:
        """None of the transactions that wait for their frame positions is taken; an unpaced device is held until `arm`."""
        device = self._device
        if device is not None and free_running(device):
            # Not in the middle of a block: that would run past the frame for which an edit was meant.
            self._waits = False
            self._held = True
            while not self._waits and device.running:
                time.sleep(_PAUSE_S)
        self._take_back()

    def start(
        self,
        inputs: list[int] | None = None,
        outputs: list[int] | None = None,
        end_block: int | None = None,
        drop: int = 0,
        reset: bool = True,
        position: int = 0,
        armed: Sequence[Edit] = (),
        hold: bool = False,
        known: dict[str, Any] | None = None,
        axis: Sequence[float] | None = None,
        fixed_end: bool = False,
        cause: str = "",
        uncertainty: int = 0,
    ) -> dict[str, Any]:
        """Open the device and run; the facts of the stream as plain data.

        `position` is where the frame axis stands by now, in case it ran on while nothing was processed; `cause`, a name of
        `asmu_engine.shm.causes`, and `uncertainty`, frames, say why, and how sure its first frame's position is. `armed`: see
        `arm`, before the first frame; `hold`: an unpaced device waits before it for another `arm`. `known`: what an earlier
        answer said under this name; the very device that it is about is opened, under whatever number. `axis`, `fixed_end`:
        see `Runner.follow`; then the answer comes when the first block has, and says where that is.
        """
        if self.running:
            raise DeviceError("the stream already runs; stop it first", code="device_state", where="start")
        self._close_device()
        self._take_back()
        device = open_device(self._spec, self.samplerate, self.blocksize, inputs, outputs, known=known)
        try:
            wiring = Wiring(columns(device.inputs), columns(device.outputs))
            prepared = PreparedEdit(schedule=self._builder.rewire(wiring), reset=reset)
            self.runner.advance(position, cause_code(cause), uncertainty)
            self.runner.device = device
            self._post(prepared)
            self.runner.begin_stream(end_block, drop)
            self.runner.follow((int(axis[0]), int(axis[1]), axis[2]) if axis else None, fixed_end=fixed_end)
            device.hold = self._hold
            device.thread_setup = partial(self._thread_setup, device.paced) if self._thread_setup else None
            facts = describe(device, self._spec)
            begin = self.runner.position
            self._held = False
            waiting = self._arm(list(armed), release=not hold)
            self._held = free_running(device) and (hold or "error" in waiting)
            device.start(self.runner, self._ended)
        except BaseException:
            device.close()
            self._take_back()
            self._builder.wiring = Wiring()
            raise
        self._device = device
        if axis:
            begin = self._first_position(device, begin)
        stream = {"device": facts, "samplerate": device.samplerate, "blocksize": device.blocksize, "position": begin}
        if device.known:
            stream["known"] = device.known
        return {**stream, **waiting} if armed else stream

    def stop(self) -> None:
        """Stop and close the device; what waits for its frame position is withdrawn. Without effect when none is open."""
        self._close_device()
        self._take_back()
        self._builder.wiring = Wiring()
        self.runner.run_edits()

    def reset(self, drop: int = 0) -> int:
        """Every core goes back to its start, all with the same frame, whose position is returned.

        `drop`: so many blocks from there on play silence and process nothing.
        """
        return self._post(PreparedEdit(reset=True, drop=drop))

    def step(self, blocks: int) -> int:
        """Have an offline device process so many blocks; returns how many it did."""
        if self._device is None:
            raise DeviceError("no stream is open; start it first", code="device_state", where="step")
        return self._device.step(blocks)

    def fault(self, fault: str, blocks: int, frames: int, seconds: float = 0.0) -> None:
        """Make the device fail on purpose, where it can; a virtual one that is gone comes back while it is closed.

        Of a simulated one also the machine's UTC, which is off by `seconds` more after ``clock_step``.
        """
        if fault == "clock_step" and isinstance(self._spec, (Virtual, Offline)):
            self.runner.utc.step(round(seconds * 1e9))
            return
        if self._device is None and isinstance(self._spec, Virtual) and fault == "back":
            plug(self._spec.name, present=True)
            return
        if self._device is None:
            raise DeviceError("no stream is open; start it first", code="device_state", where="fault")
        self._device.fault(fault, blocks, frames)

    def profile(self, enabled: bool | None) -> dict[str, float]:
        """Switch timing of the cores on or off; microseconds a block of each node so far."""
        schedule = self.runner.schedule
        times: dict[str, float] = {}
        for step in schedule.steps:
            took = step.nanoseconds / step.calls / 1e3 if step.calls else 0.0
            for node, share in step.nodes.items():
                times[node] = times.get(node, 0.0) + took * share
        if enabled is not None:
            schedule.profiling = enabled
        return times

    def tidy(self) -> list[dict[str, Any]]:
        """Free what edits have replaced; returns what the callback had to say since the last call.

        Of each dated edit that was taken ``{"event": "taken", "tag", "at"}``, in their order.
        """
        said: list[dict[str, Any]] = []
        notices = self.runner.context.notices
        while notices:
            said.append(notices.popleft())
        # Asked second and told first: what is said of a device's end comes behind all that was taken before that.
        taken: list[dict[str, Any]] = []
        for edit in self.runner.mailbox.collect():
            for core in edit.retired:
                try:
                    core.close()
                except Exception as error:  # noqa: BLE001 - a core of a user's own may raise anything
                    said.append(close_failed(core, error, edit.applied_at))
            if edit.at != AT_ONCE:
                taken.append({"event": "taken", "tag": edit.tag, "at": edit.applied_at})
        return taken + said

    def close(self) -> None:
        """Stop, and let go of every core."""
        self._close_device()
        self._take_back()
        self.runner.run_edits()
        self.tidy()
        for core in self._builder.graph.cores.values():
            core.close()

    def _arm(self, armed: list[Edit], release: bool) -> dict[str, Any]:
        for number, one in enumerate(armed):
            try:
                self.runner.mailbox.arm(self._builder.arm(one["edits"], one["at"], one["tag"]))
            except AsmuError as error:
                return {"armed": number, "error": error.to_wire()}
            except Exception as error:  # noqa: BLE001 - those before it are armed, which must be said
                failure = EngineError(f"{type(error).__name__}: {error}", code="engine_failed", where="arm")
                return {"armed": number, "error": failure.to_wire()}
        if release:
            self._held = False
        return {"armed": len(armed)}

    def _first_position(self, device: Device, begin: int) -> int:
        """Where the first block of a device that has just been started is, or is to be at the earliest."""
        deadline = time.monotonic() + _FIRST_BLOCK_S + 2 * self.blocksize / self.samplerate
        while self.runner.began is None and device.running and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        return begin if self.runner.began is None else self.runner.began

    def _take_back(self) -> None:
        self.runner.mailbox.withdraw()
        self._builder.withdraw()

    def _post(self, prepared: PreparedEdit) -> int:
        at = self.runner.mailbox.post(prepared)
        if not self.running:
            self.runner.run_edits()
        return at

    def _ended(self, reason: str) -> None:
        if self._on_end is not None:
            self._on_end(reason)

    def _close_device(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.stop()
            device.close()
            self.abandoned = self.abandoned or bool(getattr(device, "abandoned", False))

    def _hold(self, frames: int) -> bool:
        """Unpaced devices wait while a paced reader would lose frames or a feed has none for the next block."""
        if self._held:
            self._waits = True
            return True
        self._waits = False
        for step in self.runner.schedule.steps:
            core = step.core
            if isinstance(core, ATap) and core.room() < frames:
                return True
            if isinstance(core, AFeed) and not core.primed(frames):
                return True
        return False
