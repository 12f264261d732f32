"""Edits to finished objects: everything that may fail, allocate or take time happens here, outside the callback."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asmu_engine.audio.compiler import compile_graph
from asmu_engine.audio.graph import Graph
from asmu_engine.audio.heard import is_stackable
from asmu_engine.audio.kinds import Kinds
from asmu_engine.audio.layout import Layout
from asmu_engine.audio.standin import StandIn, stand_in
from asmu_engine.audio.watched import Watch
from asmu_engine.audio.wiring import Wiring
from asmu_engine.protocol.errors import AsmuError, EngineError, PatchError
from asmu_engine.rt.acore import ACore, ADelayLine
from asmu_engine.rt.context import Context, Setup
from asmu_engine.rt.mailbox import AT_ONCE, PreparedEdit
from asmu_engine.rt.schedule import Schedule
from asmu_engine.shm.status import StatusPage

Edit = dict[str, Any]
_LIVE = ("set", "call")


Values = dict[str, tuple[bool, dict[str, Any]]]
"""By node: True and all its parameters as last given, or False and those of them that are given anew."""


@dataclass(eq=False)
class _Built:
    """One transaction that was built: what it makes of the values, the cores made for it, graph and layout before it, and by the
    core of a node that is resized the one that runs."""

    prepared: PreparedEdit
    values: Values = field(default_factory=dict)
    made: list[ACore] = field(default_factory=list)
    before: tuple[Graph, Layout] | None = None
    replaced: dict[ACore, ACore] = field(default_factory=dict)

    @property
    def dated(self) -> bool:
        return self.prepared.at != AT_ONCE

    @property
    def order(self) -> tuple[int, int]:
        return self.prepared.at, self.prepared.tag


class Builder:
    """Holds the graph and turns each transaction into one prepared edit, or refuses it and changes nothing.

    Edits may be armed: built for a frame position to come, on what all before them will have made of the graph. So the
    graph is that of the future while some are armed; `withdraw` brings it back. What changes structure is armed in the
    order of effect, and built for the next block only while nothing of the kind is armed; edits of values alone may come in
    between, as long as none of their cores is replaced before they are taken.
    """

    def __init__(self, kinds: Kinds, samplerate: float, blocksize: int, context: Context, page: StatusPage | None = None) -> None:
        self.graph = Graph()
        self.wiring = Wiring()
        self._kinds = kinds
        self._samplerate = samplerate
        self._blocksize = blocksize
        self._context = context
        self._watch = Watch(page)
        self._values: dict[str, dict[str, Any]] = {}
        self._layout = Layout()
        self._armed: list[_Built] = []  # in the order of effect
        self._posted: deque[_Built] = deque()  # for the next block, and not known to be taken
        self._taken: deque[_Built] = deque()  # filled in the callback

    def build(self, edits: list[Edit]) -> PreparedEdit:
        """One transaction for the next block, already checked by the host against the catalogue and the patch.

        Raises
        ------
        PatchError
            core_failed when a core cannot be prepared, cycle as a second line of defence.
        EngineError
            engine_state: it changes structure while others that do are armed.
        """
        self.settle()
        live = all(edit["op"] in _LIVE for edit in edits)
        if not live and any(built.before is not None for built in self._armed):
            message = "changes of structure are armed; withdraw them before it changes now"
            raise EngineError(message, code="engine_state", where="edit")
        built = self._build(edits, live, PreparedEdit())
        built.before, built.made = None, []  # it cannot be had back
        self._posted.append(built)
        return built.prepared

    def arm(self, edits: list[Edit], at: int, tag: int) -> PreparedEdit:
        """One transaction for frame position `at`; raises as `build`, and then nothing of it stays."""
        self.settle()
        built = self._build(edits, all(edit["op"] in _LIVE for edit in edits), PreparedEdit(at=at, tag=tag))
        insort(self._armed, built, key=lambda one: one.order)
        return built.prepared

    def settle(self) -> None:
        """Take note of what was taken, in its order."""
        while self._taken:
            built = self._taken.popleft()
            built.prepared.receipt = None  # it leads back to here, and no garbage is collected in the audio process
            if built.dated:
                del self._armed[bisect_left(self._armed, built.order, key=lambda one: one.order)]
            else:
                self._posted.popleft()
            for node, (whole, given) in built.values.items():
                self._values[node] = given if whole else {**self._values.get(node, {}), **given}
                if not given and node not in self.graph.cores:
                    del self._values[node]

    def withdraw(self) -> None:
        """Take back all armed edits that were not taken, once none of them is taken any more; their cores are closed."""
        self.settle()
        first = next((built.before for built in self._armed if built.before is not None), None)
        if first is not None:
            self.graph, self._layout = first
        armed, self._armed = self._armed, []
        for built in armed:
            self._close(built)

    def rewire(self, wiring: Wiring) -> Schedule:
        """The schedule for a device with other channels; while nothing is armed."""
        kept, self.wiring = self.wiring, wiring
        try:
            schedule, self._layout = compile_graph(self.graph, self._blocksize, wiring, self._layout, {})
            return schedule
        except AsmuError:
            self.wiring = kept
            raise

    def _build(self, edits: list[Edit], live: bool, prepared: PreparedEdit) -> _Built:
        built = _Built(prepared)
        if not live or any(isinstance(self.graph.cores.get(edit["node"]), ADelayLine) for edit in edits):
            built.before = self.graph, self._layout
            self.graph = self.graph.copy()
        try:
            for edit in edits:
                getattr(self, "_" + edit["op"])(edit, built)
            built.prepared.adoptions = [pair for pair in built.replaced.items() if not is_stackable(pair[0])]
            if not live:
                built.prepared.schedule, self._layout = compile_graph(
                    self.graph, self._blocksize, self.wiring, self._layout, built.replaced
                )
            elif any(self.graph.delays[node] < self._blocksize for node in self.graph.cut):
                self.graph.order(self._blocksize)
        except BaseException:
            if built.before is not None:
                self.graph, self._layout = built.before
            self._close(built)
            raise
        prepared.receipt = partial(self._taken.append, built)
        return built

    def _close(self, built: _Built) -> None:
        """Close the cores of a transaction that is not done after all, whatever a core of a user's own makes of that."""
        built.prepared.receipt = None
        for core in built.made:
            try:
                core.close()
            except Exception as error:  # noqa: BLE001 - the others must be closed too
                text = f"it could not be closed: {type(error).__name__}: {error}"
                self._context.notices.append({"event": "core_failed", "node": core.setup.node, "error": text, "position": 0})

    def _values_of(self, node: str, built: _Built) -> dict[str, Any]:
        """Parameters of a node as they will be when the transaction that is being built is taken."""
        values = self._values.get(node, {})
        for one in (*self._posted, *(one for one in self._armed if one.order < built.order), built):
            if node in one.values:
                whole, given = one.values[node]
                values = given if whole else {**values, **given}
        return values

    # ---- one method an edit

    def _add(self, edit: Edit, built: _Built) -> None:
        node = edit["node"]
        core = self._make(edit["kind"], node, edit, edit.get("parameters", {}), built, left_out=edit.get("left_out", False))
        self.graph.cores[node] = core
        built.values[node] = True, dict(edit.get("parameters", {}))

    def _remove(self, edit: Edit, built: _Built) -> None:
        node = edit["node"]
        built.prepared.retired.append(self.graph.cores[node])
        self.graph.remove(node)
        built.values[node] = True, {}

    def _resize(self, edit: Edit, built: _Built) -> None:
        node = edit["node"]
        old = self.graph.cores[node]
        values = {name: _fit(value, edit) for name, value in self._values_of(node, built).items()}
        left_out = isinstance(old, StandIn)
        core = self._make(old.replaces if isinstance(old, StandIn) else old.kind, node, edit, values, built, left_out=left_out)
        self.graph.cores[node] = core
        built.values[node] = True, values
        self.graph.trim(node, edit["inputs"], edit["outputs"])
        built.prepared.retired.append(old)
        running = built.replaced.pop(old, None if any(old is one for one in built.made) else old)
        if running is None:
            return
        built.replaced[core] = running
        if is_stackable(core):
            # With the state of its channels it takes over their values.
            for one in core.parameters:
                built.prepared.values.append((core, one.name, core.convert(one.name, values.get(one.name, one.default))))

    def _connect(self, edit: Edit, built: _Built) -> None:
        self.graph.connect(edit["source"], edit["output"], edit["target"], edit["input"])

    def _disconnect(self, edit: Edit, built: _Built) -> None:
        self.graph.disconnect(edit["target"], edit["input"])

    def _set(self, edit: Edit, built: _Built) -> None:
        node = edit["node"]
        core = self.graph.cores[node]
        for name, value in () if isinstance(core, StandIn) else edit["parameters"].items():
            try:
                final = core.convert(name, value)
            except Exception as error:
                raise _core_failed(node, error) from error
            built.prepared.values.append((core, name, final))
            if isinstance(core, ADelayLine):
                self.graph.delays[node] = core.shortest(name, final)
        whole, given = built.values.get(node, (False, {}))
        built.values[node] = whole, {**given, **edit["parameters"]}

    def _call(self, edit: Edit, built: _Built) -> None:
        core = self.graph.cores[edit["node"]]
        if not isinstance(core, StandIn):
            built.prepared.calls.append((core, edit["call"]))

    def _make(self, kind: str, node: str, edit: Edit, values: dict[str, Any], built: _Built, *, left_out: bool = False) -> ACore:
        setup = Setup(
            samplerate=self._samplerate,
            blocksize=self._blocksize,
            inputs=edit.get("inputs", 0),
            outputs=edit.get("outputs", 0),
            context=self._context,
            node=node,
            ring=edit.get("ring", ""),
        )
        try:
            core = stand_in(self._kinds[kind], setup) if left_out else self._core(kind, setup, values)
        except AsmuError:
            raise
        except Exception as error:  # a core's own code may raise anything
            raise _core_failed(node, error) from error
        built.made.append(core)
        if isinstance(core, ADelayLine):
            self.graph.delays[node] = core.shortest()
        return core

    def _core(self, kind: str, setup: Setup, values: dict[str, Any]) -> ACore:
        if kind not in self._kinds.foreign:
            return self._kinds[kind](setup, values)
        with self._watch.making(self._kinds[kind], setup.node) as watched:
            core = watched(setup, values)
            core.alone = True  # whose code runs is to be known
            return core


def _core_failed(node: str, error: Exception) -> PatchError:
    return PatchError(f"{node}: the core cannot be prepared: {type(error).__name__}: {error}", code="core_failed", where=node)


def _fit(value: Any, edit: Edit) -> Any:
    """A per-channel value for another number of channels: cut, or its last entry repeated."""
    if not isinstance(value, list):
        return value
    channels = edit.get("outputs", 0) or edit.get("inputs", 0)
    return (value + [value[-1]] * channels)[:channels]
