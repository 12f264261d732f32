"""When the frames of the running device are: its counters page looked at again and again, and the fit of that to the clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from asmu_engine.clocks.axis import Jump
from asmu_engine.clocks.estimator import ClockEstimator
from asmu_engine.clocks.offset import Step, slept
from asmu_engine.host.loop import Loop
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.topic import Topic
from asmu_engine.shm.status import StatusPage

LOOK_SECONDS: Final = 0.1
FIT_SECONDS: Final = 1.0
_LEAST_LOSS_SECONDS: Final = 0.05
"""An axis that jumps by less may be another way of the sound system to call back."""

_BEGINS: Final[frozenset[tuple[Topic, str]]] = frozenset(
    (("device", "started"), ("engine", "audio_restarted"), ("device", "device_back"))
)


class Clocks:
    """Of one engine; it learns from the engine's events when a stream begins and ends. Only a device that keeps time has a fit.

    Parameters
    ----------
    page
        The counters of the audio process.
    samplerate, blocksize
        Nominal, Hz; frames.
    publish
        For events of its own: ``clock_step``, and ``xrun`` where a sound device lost frames and did not say so.

    Attributes
    ----------
    fit
        The newest fit; of a stream that has ended the last one. None before some seconds of the first.
    on_fit
        Called with each new one, about once a second, and by how much UTC was set right before it, ns; 0 for not at all.
    """

    def __init__(
        self,
        loop: Loop,
        page: StatusPage,
        samplerate: float,
        blocksize: int,
        publish: Callable[[Topic, dict[str, Any]], None],
    ) -> None:
        self.fit: ClockFit | None = None
        self.on_fit: Callable[[ClockFit, int], None] | None = None
        self._page = page
        self._samplerate = samplerate
        self._blocksize = blocksize
        self._publish = publish
        self._device: dict[str, Any] = {}
        self._estimator = ClockEstimator(samplerate)
        self._step_ns = 0  # by which UTC was set since the last fit: right after a restart there is none for some seconds
        self._begin: int | None = None  # frame position of the stream's first block; None while there is no stream
        loop.every(LOOK_SECONDS, self.look)
        loop.every(FIT_SECONDS, self.update)

    def happened(self, topic: Topic, fields: dict[str, Any]) -> None:
        """An event of the engine; see `Events.observe`."""
        what = str(fields.get("event"))
        if (topic, what) in _BEGINS:
            self._begin_stream(int(fields["position"]), fields.get("device") or self._device)
        elif what == "state" and fields["state"] != "running":
            self._begin = None

    def look(self) -> None:
        """Take one sample."""
        if self._begin is None:
            return
        position, monotonic_ns, utc_ns, device_s = self._page.clock()
        if position < self._begin or not monotonic_ns:
            return  # the last block of the stream before, or there was none yet
        step = self._estimator.add(position, monotonic_ns, utc_ns, device_s, slept())
        if step is not None:
            self._tell_step(step)

    def update(self) -> None:
        """Fit anew."""
        if self._begin is not None:
            self._fit()

    def _begin_stream(self, position: int, device: dict[str, Any]) -> None:
        if not device.get("paced"):
            self._begin = self.fit = None
            return
        alike = ("kind", "host_api", "name", "speed")
        same = bool(self._device) and all(device.get(key) == self._device.get(key) for key in alike)
        if self._device.get("speed") != device.get("speed"):
            self._estimator = ClockEstimator(self._samplerate * float(device.get("speed") or 1.0))
        self._estimator.restart(same_device=same)
        self._device = dict(device)
        self._begin = position

    def _fit(self, step: Step | None = None) -> None:
        if step is not None:
            self._step_ns += step.ns
        fit = self._estimator.fit(step.position if step else None)
        if self._device.get("kind") == "portaudio":
            for jump in self._estimator.jumps():
                self._tell_loss(jump)
        if fit is not None:
            self.fit = fit
            step_ns, self._step_ns = self._step_ns, 0
            if self.on_fit is not None:
                self.on_fit(fit, step_ns)

    def _tell_step(self, step: Step) -> None:
        facts = {"position": step.position, "seconds": step.ns * 1e-9, "suspended": step.suspended}
        self._publish("engine", {"event": "clock_step", **facts})
        self._fit(step)

    def _tell_loss(self, jump: Jump) -> None:
        """The axis fell behind: nobody knows whether frames are missing for it, but not more than these."""
        frames = round(jump.ns * 1e-9 * self._samplerate)
        if frames >= max(4 * self._blocksize, _LEAST_LOSS_SECONDS * self._samplerate):
            facts = {"flags": [], "lost": 0, "uncertainty": frames, "position": jump.position}
            self._publish("xrun", {"event": "xrun", **facts})
