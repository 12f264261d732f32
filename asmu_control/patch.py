"""The patch of an interface: changes from processors and ports, kept here and carried to the engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asmu_control.graph import Graph, Port
from asmu_control.transaction import Transaction
from asmu_engine.protocol.errors import AsmuError, EngineError, PatchError

if TYPE_CHECKING:
    from asmu_control.processor import Processor
    from asmu_control.session import Session
    from asmu_control.typing import Edit

_ASK_EVERY: Final = 256
"""After so many changes the engine is asked what became of those that wait, so that not all of them are remembered for ever."""


@dataclass
class _Done:
    """Changes that the graph has, with the processors that they brought; `transaction` where they wait for their frame."""

    edits: list[Edit]
    processors: dict[str, Processor]
    transaction: Transaction | None = None


class Patch:
    """Every change is checked here, done by the engine if it is up, and only then noted: the graph is what the engine runs.

    While changes wait for their frame position the graph is ahead of the engine, as it will be after them; those that are
    cancelled, or that the engine dropped, are taken out of it again.

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
        self._open: Transaction | None = None
        self._before: tuple[Graph, dict[str, Processor]] | None = None  # before the oldest change that waits
        self._since: list[_Done] = []  # from that one on
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
                self._processors.pop(name, None)
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
            if self._since:
                self._note([edit])
            self._tell_opened([edit])

    @contextmanager
    def transaction(self, at: int | None = None, *, if_revision: int | None = None, keep: bool = False) -> Iterator[Transaction]:
        """All edits of the body as one; within another transaction, as part of that."""
        with self.lock:
            if self._open is not None:
                if at is not None or if_revision is not None:
                    raise EngineError(
                        "an edit() within another one takes effect with that; give at= to that", code="engine_state"
                    )
                yield self._open
                return
            if (at is not None or if_revision is not None) and not self._session.opened:
                raise EngineError(
                    "there is no engine yet that has frame positions and revisions; call interface.open() first",
                    code="engine_state",
                )
            before, processors = self.graph.copy(), dict(self._processors)
            self._transaction = []
            transaction = self._open = Transaction(self, self._session)
            try:
                yield transaction
                edits = self.graph.merged(self._transaction)
                answer = self._session.edit(edits, at=at, if_revision=if_revision, keep=keep) if edits else {}
                transaction._answered(answer)
            except BaseException:
                self.graph = before
                raise
            finally:
                for edit in self._transaction:  # what it removed, or what it added, should it have failed
                    if edit["op"] in ("add", "remove") and edit["node"] not in self.graph.nodes:
                        self._processors.pop(edit["node"], None)
                self._transaction = self._open = None
            if keep:
                transaction.keep = True
                self._session.kept.update(edit["node"] for edit in edits if edit["op"] == "add")
            if transaction.scheduled is not None:
                self._before = self._before or (before, processors)
                self._note(edits, transaction)
                return
            if self._since:
                self._note(edits)
            self._tell_opened(edits)

    def cancel_waiting(self) -> None:
        """No change waits any more but those that are kept: the engine is about to be left."""
        for transaction in [done.transaction for done in self._since if done.transaction is not None]:
            if not transaction.keep:
                transaction.cancel()

    def keep(self, processor: Processor) -> None:
        """The node, and all that feeds it, stays in the engine that is left."""
        with self.lock:
            names = [processor.name]
            found: set[str] = set()
            while names:
                name = names.pop()
                node = self.graph.nodes.get(name)
                if node is not None and name not in found:
                    found.add(name)
                    ports = ((name, index) for index in range(node.inputs))
                    names += [self.graph.sources[port][0] for port in ports if port in self.graph.sources]
            self._session.kept |= found

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
        """The engine has these: new processors begin. One that cannot leaves the patch again, and its error is raised."""
        if not self._session.opened:
            return
        failed: BaseException | None = None
        for edit in edits:
            processor = self._processors.get(edit["node"]) if edit["op"] == "add" else None
            if processor is None:
                continue
            try:
                processor._opened()
            except BaseException as error:  # noqa: BLE001 - the others must begin too; raised below
                failed = failed or error
                self._take_back(processor.name, error)
        if failed is not None:
            raise failed

    def _take_back(self, name: str, reason: BaseException) -> None:
        """A node goes whose processor could not begin."""
        edit = {"op": "remove", "node": name}
        try:
            self._session.edit([edit])
        except AsmuError as error:
            reason.add_note(f"{name} may still be in the engine's patch: {error}")
        self._session.kept.discard(name)
        self.graph.apply(edit)
        del self._processors[name]
        if self._since:
            self._note([edit])

    # -- changes that wait ------------------------------------------------------------------------------------------

    def _note(self, edits: list[Edit], transaction: Transaction | None = None) -> None:
        """Changes were made while others wait, or wait themselves."""
        new = {edit["node"] for edit in edits if edit["op"] == "add"} & self._processors.keys()
        self._since.append(_Done(edits, {name: self._processors[name] for name in new}, transaction))
        if len(self._since) % _ASK_EVERY == 0:
            for done in list(self._since):
                if done.transaction is not None:
                    done.transaction._ask()

    def _ended(self, transaction: Transaction) -> None:
        """Changes that waited are in effect, or will never be."""
        with self.lock:
            done = next((done for done in self._since if done.transaction is transaction), None)
            if done is None or self._before is None:
                return
            done.transaction = None
            edited = transaction.state == "edited"
            if not edited:
                self._since.remove(done)
                self._rebuild()
            while self._since and self._since[0].transaction is None:
                first = self._since.pop(0)
                _redo(self._before[0], first.edits)
                self._before[1].update(first.processors)
            if not self._since:
                self._before = None
            if edited:
                self._tell_opened(done.edits)

    def _rebuild(self) -> None:
        """The graph from what was there before the first change that waits, and all that was done since."""
        assert self._before is not None
        graph, processors = self._before[0].copy(), dict(self._before[1])
        for done in self._since:
            _redo(graph, done.edits)
            processors.update(done.processors)
        self.graph = graph
        self._processors = {name: p for name, p in processors.items() if name in graph.nodes}


def _redo(graph: Graph, edits: list[Edit]) -> None:
    for edit in edits:
        try:
            graph.check(edit)
        except PatchError:
            continue  # it was for what is gone now; the engine dropped it as well
        graph.apply(edit)
