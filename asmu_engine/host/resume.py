"""How an engine goes on with what a dead one of its name has left: its patch, its device, its recordings into folders."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from asmu_engine.config import EngineConfig, make_config
from asmu_engine.host.axis import Axis
from asmu_engine.host.replay import in_parts
from asmu_engine.host.state import SavedAxis, State, boot_name, read_state
from asmu_engine.protocol import messages
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import AsmuError, ConfigError, PatchError, RingError
from asmu_engine.protocol.topic import Topic
from asmu_engine.shm.status import StatusPage

if TYPE_CHECKING:
    from asmu_engine.host.engine import Engine

_log = logging.getLogger(__name__)

UTC_SECONDS: Final = 1.0
"""How sure it is how long a machine was off: what its clock says right after its start was not set by anybody yet."""

AGAIN_SECONDS: Final = 0.5
DEVICE_SECONDS: Final = 3.0
"""Recordings wait for so long for their device: when it has begun, it is known how sure their frame positions are."""

PATIENCE_SECONDS: Final = 60.0
"""For so long the disk process of the dead engine may finish its files, which it holds until then."""

_EDITS: TypeAdapter[list[Edit]] = TypeAdapter(list[Edit])
_NAMES: Final = ("node", "source", "target")


def dead_position(name: str) -> int:
    """Where the frame axis of a dead engine stood in the end, as its counters say that are still in memory; else 0."""
    try:
        page = StatusPage.attach(name)
    except (RingError, OSError):
        return 0
    try:
        return page.counter("frame_position")
    finally:
        page.close()


def resumed(config: EngineConfig) -> tuple[EngineConfig, State | None]:
    """The settings of a dead engine of the name in `config`, over which go those that are given there, and what it has left.

    Where there is nothing to go on with, the engine begins anew, with `config` and the environment.

    Raises
    ------
    ConfigError
        ``bad_config``: what is there cannot be read, or the frame positions would be of another samplerate.
    """
    given = {key: getattr(config, key) for key in config.model_fields_set}
    state = read_state(config.name)
    if state is None:
        _log.warning("there is nothing to resume: no engine %r died; it begins anew", config.name)
        return make_config(**given), None
    merged = make_config(environment=False, **{**state.config, **given})
    if merged.samplerate != state.config["samplerate"]:
        raise ConfigError(
            f"samplerate: engine {config.name!r} ran at {state.config['samplerate']:g} Hz, and what it was doing can only go on "
            "with that; leave it out, or start without --resume",
            code="bad_config",
            where="samplerate",
        )
    there = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    missing = [folder for folder in state.path.split(os.pathsep) if folder and folder not in there]
    if missing:
        os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, there), *missing])
    return merged, state


def axis_now(saved: SavedAxis) -> Axis | None:
    """The line on which an axis has run on, by the present monotonic clock; None where it stands still."""
    if not saved.rate:
        return None
    if saved.boot and saved.boot == boot_name() and saved.monotonic_ns <= time.monotonic_ns():
        return Axis(saved.position, saved.monotonic_ns, saved.rate, saved.uncertainty, saved.ppm)
    elapsed = max(0, time.time_ns() - saved.utc_ns)
    uncertainty = saved.uncertainty + UTC_SECONDS * saved.rate
    return Axis(saved.position, time.monotonic_ns() - elapsed, saved.rate, uncertainty, saved.ppm)


class Resume:
    """The steps, each of which goes on where a part of it fails: what cannot be had back is logged, and told in the status.

    Parameters
    ----------
    engine
        Which goes on.
    state
        With what.
    position
        Frame position at which the axis is at the least.

    Attributes
    ----------
    waiting
        The recordings that are still to go on.
    """

    def __init__(self, engine: Engine, state: State, position: int) -> None:
        self.waiting = [dict(one) for one in state.acquisitions]
        self._engine = engine
        self._state = state
        self._acquiring = False
        axis = None if state.axis is None else axis_now(state.axis)
        stood = max(position, 0 if state.axis is None else state.axis.position)
        engine.axis = state.axis_name
        engine.patch.revision = state.revision
        engine.audio.run.pulse.go_on(stood, axis)

    @property
    def runs(self) -> bool:
        """Whether there is a device to go on with."""
        return self._state.run is not None

    def patch(self, done: Callable[[], None]) -> None:
        """Build the patch anew, then call `done`; nodes that cannot be made are left out, with what is connected to them."""
        parts = in_parts(self._state.edits)
        self._next_part(parts, set(), done)

    def device(self) -> None:
        """Let the device run where it did, and then go on with the recordings; after a while also without it."""
        if self._state.run is None:
            self._acquire()
            return
        self._engine.audio.run.go_on(self._state.run)
        self._engine.events.observe(self._hear)
        self._engine.later(DEVICE_SECONDS, self._acquire)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _next_part(
        self, parts: list[list[dict[str, Any]]], missing: set[str], done: Callable[[], None], *, again: bool = False
    ) -> None:
        while parts:
            edits = [edit for edit in parts[0] if missing.isdisjoint(edit.get(name) for name in _NAMES)]
            if edits:
                break
            parts = parts[1:]
        else:
            done()
            return

        def taken(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if error is None:
                self._next_part(parts[1:], missing, done)
                return
            if error.code == "engine_failed" and not again:  # perhaps for another reason
                self._next_part(parts, missing, done, again=True)
                return
            culprit = self._culprit(edits, error)
            _log.error("%s cannot be had back: %s", culprit or "a part of the patch", error)
            if culprit:
                self._next_part(parts, missing | {culprit}, done)
            else:
                self._next_part(parts[1:], missing, done)

        # Not validated as a whole: what a patch may hold is more than one transaction of a client may.
        request = messages.Transaction.model_construct(id=0, edits=_EDITS.validate_python(edits), keep=True)
        self._engine.submit(request, taken)

    @staticmethod
    def _culprit(edits: list[dict[str, Any]], error: AsmuError) -> str:
        """The node for which edits were refused."""
        name = error.where.partition(":")[0]
        named = {edit.get(key) for edit in edits for key in _NAMES}
        return name if isinstance(error, PatchError) and name in named else ""

    def _hear(self, topic: Topic, fields: dict[str, Any]) -> None:
        if fields.get("event") == "device_back":
            self._engine.later(0.0, self._acquire)

    def _acquire(self) -> None:
        if self._acquiring:
            return
        self._acquiring = True
        pulse = self._engine.audio.run.pulse
        self._engine.acquisitions.axis_uncertainty = pulse.uncertainty() or pulse.joined
        for one in list(self.waiting):
            self._go_on(one, time.monotonic() + PATIENCE_SECONDS)

    def _go_on(self, one: dict[str, Any], deadline: float) -> None:
        engine = self._engine

        def begun(result: dict[str, Any] | None, error: AsmuError | None) -> None:
            if error is not None and error.retry and time.monotonic() < deadline and not engine.ending:
                engine.later(AGAIN_SECONDS, lambda: self._go_on(one, deadline))
                return
            self.waiting.remove(one)
            if error is not None:
                _log.error("the recording into %s cannot go on: %s", one["command"]["folder"], error)
                engine.jobs.lost("acquire", node=one["node"], client=one["client"], command=one["command"], error=error)

        try:
            node = engine.patch.nodes.get(one["node"])
            if node is None or node.kind.ring != "tap":
                raise PatchError(f"its tap {one['node']!r} could not be had back", code="unknown_node", where=one["node"])
            again = {"resume": True, "why": "host", "clock": None, "source": engine.source(node.name)}
            command = {**one["command"], **again, "gap_uncertainty": engine.acquisitions.axis_uncertainty}
            engine.jobs.begin("acquire", begun, node=node.name, ring=node.ring, client=one["client"], command=command, keep=True)
        except AsmuError as error:
            begun(None, error)
