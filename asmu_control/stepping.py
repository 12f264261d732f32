"""The patch in the caller's own process, stepped by hand; and what can be asked of the interface as a core."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from asmu_control.interface import Interface
    from asmu_control.patch import Patch
    from asmu_control.session import Session

_FLAGS: Final = {"input_underflow": 1, "input_overflow": 2, "output_underflow": 4, "output_overflow": 8}
"""PortAudio's bits, by the names that sounddevice gives them."""

_LONGEST_LATENCY_S: Final = 10.0
"""What is longer is no latency but a clock that went wrong, seconds."""


class InterfaceCore:
    """The interface as the audio process has it."""

    def __init__(self, stepping: Stepping) -> None:
        self._stepping = stepping

    def reset(self, drop: int = 0) -> None:
        """Put every processor back to its start, all with the same frame; players begin their files anew.

        Parameters
        ----------
        drop
            Blocks after it that are silent and processed by nobody (asmu calls blocks frames).
        """
        self._stepping.reset(drop)


class SteppedByHand:
    """What an interface can do without an engine of its own process, and what it knows of its clocks."""

    _stepping: Stepping

    @property
    def acore(self) -> InterfaceCore:
        """What of the interface runs in the audio process: ``interface.acore.reset()``."""
        return InterfaceCore(self._stepping)

    def get_latency(self) -> int:
        """Round-trip latency from the device's clocks, frames: from a sample's way out to its way in again, without the air.

        It is what the driver states, to a fraction of a block at best; measure where it matters, and set `latency`.

        Raises
        ------
        ValueError
            No stream with inputs and outputs ran yet, or the clocks are wrong: nothing, or more than 10 s.
        """
        return self._stepping.get_latency()

    def callback(
        self,
        indata: NDArray[Any] | None,
        outdata: NDArray[Any] | None,
        frames: int,
        time: Any = None,
        status: Any = None,
    ) -> None:
        """Step the patch by one block in this process, with the caller as the device: for trying and testing processors.

        The first call brings the patch up, its processors at their start; `start` or `close` ends that. Recorders and
        players work, and each block waits for their files. To run in real time is not its purpose: `start` is for that.

        Parameters
        ----------
        indata, outdata
            float32, shape (frames, channels): channel ch reads and writes column ch - 1. `outdata` is written whole. Either
            may be None: silence, nowhere.
        frames
            Frames of the block, 1 or more.
        time
            As sounddevice gives it: ``inputBufferAdcTime`` and ``outputBufferDacTime``, seconds, from which `get_latency`
            knows; or None.
        status
            As sounddevice gives it: ``input_overflow`` and the like, which are counted; or None.

        Raises
        ------
        ValueError
            An array of another length, or without a column for a channel in use.
        PatchError
            ``core_failed``: a core raised something, here its cause. It is silent from now on.
        EngineError
            ``engine_state``: a stream has the patch.
        """
        self._stepping.step(indata, outdata, frames, time, status)


class Stepping:
    """Steps the patch of an interface, and knows of its clocks."""

    def __init__(self, interface: Interface, session: Session, patch: Patch) -> None:
        self._interface = interface
        self._session = session
        self._patch = patch
        self._round_trip: float | None = None

    def step(self, indata: NDArray[Any] | None, outdata: NDArray[Any] | None, frames: int, time: Any, status: Any) -> None:
        """See `Interface.callback`."""
        if frames < 1:
            raise ValueError(f"a block of {frames} frames; use 1 or more")
        with self._patch.lock:
            self._patch.check_outside("step")
            self._open()
            local = self._session.local
            assert local is not None
            begin = float(getattr(time, "inputBufferAdcTime", 0.0) or 0.0)
            end = float(getattr(time, "outputBufferDacTime", 0.0) or 0.0)
            if begin and end:
                self._round_trip = end - begin
            local.step(indata, outdata, frames, _bits(status), begin)

    def reset(self, drop: int) -> None:
        """See `InterfaceCore.reset`."""
        if drop < 0:
            raise ValueError(f"drop of {drop} blocks: use 0 or more")
        with self._patch.lock:
            self._patch.check_outside("reset")
            if not self._session.opened:
                if not drop:
                    return  # everything that is not up is at its start
                self._open()
            for processor in self._interface.processors:
                processor._before_start(True)
            self._session.first_position = int(self._session.request({"type": "reset", "drop": drop})["at"])

    def leave(self) -> None:
        """Give the patch up, so that an engine of its own process can have it; recordings of it are whole then."""
        if self._session.local is not None:
            self._interface.close()

    def get_latency(self) -> int:
        """See `Interface.get_latency`."""
        device = self._device()
        seconds = self._round_trip
        if device is not None:
            for side in ("input", "output"):
                if not device.get(f"{side}s"):
                    raise ValueError(f"the stream had no {side}s, so that there was no round trip; start one with both")
            seconds = device["input_latency"] + device["output_latency"]
        if seconds is None:
            raise ValueError("no stream ran yet whose clocks could tell the latency; call interface.start() first")
        if not (math.isfinite(seconds) and 0.0 < seconds <= _LONGEST_LATENCY_S):
            raise ValueError(
                f"the device's clocks say that the round trip takes {seconds:g} s, which cannot be; measure the latency instead"
            )
        return round(seconds * self._interface.samplerate)

    def _device(self) -> dict[str, Any] | None:
        """What is known of the device of the newest stream; None where the patch is stepped by hand, or nothing ran."""
        if self._session.local is not None:
            return None
        device = self._session.stats().get("device")
        return device if isinstance(device, dict) else None

    def _open(self) -> None:
        if self._session.open_local(self._patch.graph.edits()):
            try:
                for processor in self._interface.processors:
                    processor._opened()
                    processor._before_start(True)
            except BaseException:
                self._session.close([])
                raise


def _bits(status: Any) -> int:
    if status is None or isinstance(status, int):
        return int(status or 0)
    try:
        return sum(bit for name, bit in _FLAGS.items() if getattr(status, name))
    except AttributeError:
        raise ValueError(f"status {status!r} is not what sounddevice gives its callbacks; use None") from None
