"""Edits to finished objects: everything that may fail, allocate or take time happens here, outside the callback."""

from __future__ import annotations

from typing import Any

from asmu_engine.audio.compiler import Wiring, compile_graph
from asmu_engine.audio.graph import Graph
from asmu_engine.audio.kinds import Kinds
from asmu_engine.protocol.errors import AsmuError, PatchError
from asmu_engine.rt.acore import ACore, ADelayLine, Block
from asmu_engine.rt.context import Context, Setup
from asmu_engine.rt.mailbox import PreparedEdit
from asmu_engine.rt.schedule import Schedule

Edit = dict[str, Any]
_LIVE = ("set", "call")


class Builder:
    """Holds the graph and turns each transaction into one prepared edit, or refuses it and changes nothing."""

    def __init__(self, kinds: Kinds, samplerate: float, blocksize: int, context: Context) -> None:
        self.graph = Graph()
        self.wiring = Wiring()
        self._kinds = kinds
        self._samplerate = samplerate
        self._blocksize = blocksize
        self._context = context
        self._values: dict[str, dict[str, Any]] = {}
        self._buffers: dict[str, Block] = {}

    def build(self, edits: list[Edit]) -> PreparedEdit:
        """One transaction, already checked by the host against the catalogue and the patch.

        Raises
        ------
        PatchError
            core_failed when a core cannot be prepared, cycle as a second line of defence.
        """
        if all(edit["op"] in _LIVE for edit in edits):
            return self._build_live(edits)
        kept = self.graph, self._values, dict(self._buffers)
        self.graph = self.graph.copy()
        self._values = dict(self._values)
        prepared = PreparedEdit()
        made: list[ACore] = []
        try:
            for edit in edits:
                getattr(self, "_" + edit["op"])(edit, prepared, made)
            prepared.schedule = compile_graph(self.graph, self._blocksize, self.wiring, self._buffers)
        except BaseException:
            self.graph, self._values, self._buffers = kept
            for core in made:
                core.close()
            raise
        return prepared

    def rewire(self, wiring: Wiring) -> Schedule:
        """The schedule for a device with other channels."""
        kept, self.wiring = self.wiring, wiring
        try:
            return compile_graph(self.graph, self._blocksize, wiring, self._buffers)
        except AsmuError:
            self.wiring = kept
            raise

    def _build_live(self, edits: list[Edit]) -> PreparedEdit:
        kept = self._values, dict(self.graph.delays)
        self._values = dict(self._values)
        prepared = PreparedEdit()
        try:
            for edit in edits:
                getattr(self, "_" + edit["op"])(edit, prepared, [])
            if any(self.graph.delays[node] < self._blocksize for node in self.graph.cut):
                self.graph.order(self._blocksize)
        except BaseException:
            self._values, self.graph.delays = kept
            raise
        return prepared

    # ---- one method an edit

    def _add(self, edit: Edit, prepared: PreparedEdit, made: list[ACore]) -> None:
        node = edit["node"]
        core = self._make(edit["kind"], node, edit, edit.get("parameters", {}), made)
        self.graph.cores[node] = core
        self._values[node] = dict(edit.get("parameters", {}))

    def _remove(self, edit: Edit, prepared: PreparedEdit, made: list[ACore]) -> None:
        node = edit["node"]
        prepared.retired.append(self.graph.cores[node])
        self.graph.remove(node)
        del self._values[node]

    def _resize(self, edit: Edit, prepared: PreparedEdit, made: list[ACore]) -> None:
        node = edit["node"]
        old = self.graph.cores[node]
        values = {name: _fit(value, edit) for name, value in self._values[node].items()}
        core = self._make(old.kind, node, edit, values, made)
        self.graph.cores[node] = core
        self._values[node] = values
        self.graph.trim(node, edit["inputs"], edit["outputs"])
        prepared.retired.append(old)
        if old not in made:
            prepared.adoptions.append((core, old))

    def _connect(self, edit: Edit, prepared: PreparedEdit, made: list[ACore]) -> None:
        self.graph.connect(edit["source"], edit["output"], edit["target"], edit["input"])

    def _disconnect(self, edit: Edit, prepared: PreparedEdit, made: list[ACore]) -> None:
        self.graph.disconnect(edit["target"], edit["input"])

    def _set(self, edit: Edit, prepared: PreparedEdit, made: list[ACore]) -> None:
        node = edit["node"]
        core = self.graph.cores[node]
        for name, value in edit["parameters"].items():
            try:
                final = core.convert(name, value)
            except Exception as error:
                raise _core_failed(node, error) from error
            prepared.values.append((core, name, final))
            if isinstance(core, ADelayLine):
                self.graph.delays[node] = core.shortest(name, final)
            # A fresh mapping: the old one is kept for a roll-back.
            self._values[node] = {**self._values[node], name: value}

    def _call(self, edit: Edit, prepared: PreparedEdit, made: list[ACore]) -> None:
        prepared.calls.append((self.graph.cores[edit["node"]], edit["call"]))

    def _make(self, kind: str, node: str, edit: Edit, values: dict[str, Any], made: list[ACore]) -> ACore:
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
            core = self._kinds[kind](setup, values)
        except AsmuError:
            raise
        except Exception as error:  # a core's own code may raise anything
            raise _core_failed(node, error) from error
        made.append(core)
        if isinstance(core, ADelayLine):
            self.graph.delays[node] = core.shortest()
        return core


def _core_failed(node: str, error: Exception) -> PatchError:
    return PatchError(f"{node}: the core cannot be prepared: {type(error).__name__}: {error}", code="core_failed", where=node)


def _fit(value: Any, edit: Edit) -> Any:
    """A per-channel value for another number of channels: cut, or its last entry repeated."""
    if not isinstance(value, list):
        return value
    channels = edit.get("outputs", 0) or edit.get("inputs", 0)
    return (value + [value[-1]] * channels)[:channels]
