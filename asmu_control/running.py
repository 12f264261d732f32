"""What a script can ask of the engine that runs its patch: counters, times, single steps, faults."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from asmu_engine.protocol.errors import EngineError

if TYPE_CHECKING:
    import numpy as np

    from asmu_control.client import Client
    from asmu_control.recording.times import Time
    from asmu_control.session import Session
    from asmu_control.typing import Stats
    from asmu_engine.protocol.clock import ClockFit

_FIT_SECONDS: Final = 20.0
"""A stream that keeps time has a fit within some seconds, or when a sound server has found its pace."""
_AGAIN_SECONDS: Final = 0.1


class Running:
    """What an interface can do with its engine, beside starting and ending it."""

    _session: Session

    def step(self, blocks: int = 1, timeout: float = 60.0) -> None:
        """Process `blocks` blocks of the device ``offline:stepped=1``; returns when they are done, `timeout` in seconds."""
        self._session.request({"type": "step", "blocks": blocks}, timeout)

    @property
    def frame_position(self) -> int:
        """Frame position behind the last processed block: the engine's time axis now; 0 before there is an engine."""
        return int(self._session.stats().get("frame_position") or 0)

    def clock_fit(self, timeout: float = _FIT_SECONDS) -> ClockFit:
        """How frame positions lie on the clocks now: drift of the device in ppm, times, and how sure all that is.

        Parameters
        ----------
        timeout
            Longest wait for the first fit of a device that has just been started, s.

        Raises
        ------
        EngineError
            ``engine_state``: there is none: the device does not run, or keeps no time (``offline``), or has just been started.
        """
        from asmu_engine.protocol.clock import ClockFit

        deadline = time.monotonic() + timeout
        while True:
            status = self._session.request({"type": "status"})
            if (wire := status.get("clock_fit")) is not None:
                return ClockFit.model_validate(wire)
            device = status.get("device") or {}
            if not device.get("paced") or time.monotonic() >= deadline:
                why = f"the device is {status['state']}" + (f": {status['reason']}" if status.get("reason") else "")
                if device:
                    why = "it takes some seconds" if device.get("paced") else f"device {device.get('name')} keeps no time"
                raise EngineError(
                    f"nothing is known yet of how frames lie on the clocks: {why}",
                    code="engine_state",
                    where="clock_fit",
                    retry=bool(device.get("paced")),
                )
            time.sleep(_AGAIN_SECONDS)

    def time_of(self, position: int) -> tuple[np.datetime64, float]:
        """When a frame was, or will be, by the clocks as they are now.

        That is when its block was due in the callback; at the input it was there ``device["input_latency"]`` earlier (see
        `stats`), as far as the device says. Of times before UTC was set, or the device restarted, a recording's ledger knows
        more; see `open_recording`.

        Parameters
        ----------
        position
            Frame position.

        Returns
        -------
        tuple
            UTC as ``datetime64[ns]``, and its standard uncertainty against this machine's clock, s.

        Raises
        ------
        EngineError
            As `clock_fit`.
        """
        from asmu_control.recording.times import as_datetime64

        utc_ns, uncertainty_ns = self.clock_fit().utc_at(position)
        return as_datetime64(utc_ns), uncertainty_ns * 1e-9

    def position_of(self, utc: Time) -> int:
        """The frame position that is, or will be, due nearest to a time; before the first frame it is negative.

        Parameters
        ----------
        utc
            ``datetime64``, `datetime.datetime`, or ISO text; one without an offset is UTC.

        Raises
        ------
        EngineError
            As `clock_fit`.
        ValueError
            A text that is no time.
        """
        from asmu_control.recording.times import to_utc_ns

        return self.clock_fit().position_at(to_utc_ns(utc))

    def stats(self) -> Stats:
        """State and counters of the engine, read at no cost to the audio; after the end the last that were read.

        Among them ``state`` (``"closed"``, ``"stopped"``, ``"running"``, ``"lost"``, ``"failed"``), ``blocks``,
        ``frame_position``, ``input_underflow``, ``input_overflow``, ``output_underflow``, ``output_overflow`` (blocks),
        ``deadline_misses`` (blocks), ``lost_frames``, ``core_exceptions``, ``callback_us`` (``p50``, ``p99``, ``max``),
        ``samplerate``, ``blocksize``, ``device`` and ``realtime``: what the system granted.
        """
        return self._session.stats()

    def profile(self, enabled: bool | None = None) -> dict[str, float]:
        """Time of each core, microseconds a block, by node name; `enabled` switches the measuring on or off."""
        return dict(self._session.request({"type": "profile", "enabled": enabled})["nodes"])

    def fault(self, fault: str, *, blocks: int = 1, frames: int = 1, seconds: float = 0.0) -> None:
        """Make the virtual device fail on purpose.

        Parameters
        ----------
        fault
            ``"stall"`` (for `blocks` blocks), ``"lose"`` (`frames` frames vanish), ``"input_overflow"``, ``"input_underflow"``,
            ``"output_overflow"``, ``"output_underflow"`` (flag on the next block), ``"gone"`` and ``"back"``; ``"clock_zero"``
            and ``"clock_jump"`` (the device's clock is wrong for `blocks` blocks), ``"clock_step"`` (UTC is set forward by
            `seconds`).
        """
        self._session.request({"type": "fault", "fault": fault, "blocks": blocks, "frames": frames, "seconds": seconds})

    @property
    def client(self) -> Client:
        """The connection to the engine, for requests and events of your own; EngineError before `open`."""
        return self._session.client
