"""What a script can ask of the engine that runs its patch: counters, times, single steps, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asmu_control.client import Client
    from asmu_control.session import Session
    from asmu_control.typing import Stats


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

    def fault(self, fault: str, *, blocks: int = 1, frames: int = 1) -> None:
        """Make the virtual device fail on purpose.

        Parameters
        ----------
        fault
            ``"stall"`` (for `blocks` blocks), ``"lose"`` (`frames` frames vanish), ``"input_overflow"``, ``"input_underflow"``,
            ``"output_overflow"``, ``"output_underflow"`` (flag on the next block), ``"gone"`` and ``"back"``.
        """
        self._session.request({"type": "fault", "fault": fault, "blocks": blocks, "frames": frames})

    @property
    def client(self) -> Client:
        """The connection to the engine, for requests and events of your own; EngineError before `open`."""
        return self._session.client
