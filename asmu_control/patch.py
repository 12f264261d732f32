"""The patch of an interface: changes from processors and ports, kept here and carried to the engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from asmu_control.graph import Graph, Port
from asmu_engine.protocol.errors import EngineError

if TYPE_CHECKING:
    from asmu_control.processor import Processor
    from asmu_control.session import Session
    from asmu_control.typing import Edit


class Patch:
    """Every change is checked here, done by the engine if it is up, and only then noted: the graph is what the engine runs.

    Attributes
    ----------
    lock
        Held during each change, and during a whole `transaction`: changes of other threads wait for its end.
    graph
        Nodes and connections.
    """

    def __init__(self, session: Session) -> None:
        self.lock = threading.RLock()
        self.graph = Graph()
        self._session = session
        self._transaction: list[Edit] | None = None
        self._processors: dict[str, Processor] = {}
        self._numbers: dict[str, int] = {}

    @property
    def processors(self) -> tuple[Processor, ...]:
        """All processors in the patch, in the order in which they were made."""
        return tuple(self._processors[name] for name in self.graph.nodes)

    def new_name(self, kind: str) -> str:
        """A name for a node of this kind that no other node has."""
        with self.lock:
            self._numbers[kind] = self._numbers.get(kind, 0) + 1
            return f"{self._session.prefix}{kind}{self._numbers[kind]}"

    def add(self, processor: Processor, inputs: int, outputs: int, parameters: dict[str, Any]) -> None:
        """A new node, with its processor."""
        name = processor.name
        edit = {"op": "add", "node": name, "kind": processor.kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}
        with self.lock:
            self.graph.declare(processor.describe())
            self._processors[name] = processor
            try:
                self.edit(edit)
            except BaseException:
                del self._processors[name]
                raise

    def remove(self, processor: Processor) -> None:
        """A node goes, with its connections."""
        with self.lock:
            self.edit({"op": "remove", "node": processor.name})
            if self._transaction is None:
                del self._processors[processor.name]

    def connect(self, source: Port, target: Port) -> None:
        """An output feeds an input."""
        self.edit({"op": "connect", "source": source[0], "output": source[1], "target": target[0], "input": target[1]})

    def disconnect(self, target: Port) -> None:
        """An input is no longer fed."""
        self.edit({"op": "disconnect", "target": target[0], "input": target[1]})

    def edit(self, edit: Edit) -> None:
        """Do one edit, here and in the engine if it is up; PatchError, and nothing done, where either refuses it."""
        with self.lock:
            self.graph.check(edit)
            if self._transaction is not None:
                self._transaction.append(edit)
                self.graph.apply(edit)
                return
            self._session.edit([edit])
            self.graph.apply(edit)
            self._tell_opened([edit])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All edits of the body as one; within another transaction, as part of that."""
        with self.lock:
            if self._transaction is not None:
                yield
                return
            before = self.graph.copy()
            self._transaction = []
            try:
                yield
                edits = self.graph.merged(self._transaction)
                if edits:
                    self._session.edit(edits)
            except BaseException:
                self.graph = before
                raise
            finally:
                self._transaction = None
                self._processors = {name: p for name, p in self._processors.items() if name in self.graph.nodes}
            self._tell_opened(edits)

    def check_outside(self, what: str) -> None:
        """EngineError ``engine_state`` within a transaction, whose edits the engine does not have yet."""
        if self._transaction is not None:
            raise EngineError(f"cannot {what} within edit(): its changes take effect at its end", code="engine_state")

    def ring_of(self, processor: Processor) -> str:
        """Segment name of a node's ring; EngineError ``engine_state`` before the engine is up."""
        self.check_outside("reach a ring")
        node = self._session.request({"type": "patch"})["nodes"].get(processor.name)
        if node is None:
            raise EngineError(f"{processor.name} is not in the engine's patch", code="engine_state", where=processor.name)
        return str(node["ring"])

    def _tell_opened(self, edits: list[Edit]) -> None:
        if self._session.opened:
            for edit in edits:
                if edit["op"] == "add" and edit["node"] in self._processors:
                    self._processors[edit["node"]]._opened()
