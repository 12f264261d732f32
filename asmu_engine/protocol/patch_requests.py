"""Requests about the patch: transactions, what is scheduled, history."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from asmu_engine.protocol.edits import Edit, Name
from asmu_engine.protocol.request import FramePosition, Key, Request, Role
from asmu_engine.protocol.version import MAX_EDITS, MAX_HISTORY


class Transaction(Request):
    """Edits of the patch, all or nothing, all with the same frame.

    `at`: the frame position of effect, in the middle of a block too; None for the next block. `if_revision`: only if the
    patch still has this revision. `key`: a transaction that comes again with the same key is done once, also through
    another connection. `keep`: the nodes that it adds outlive this client.

    Answered with ``{"revision", "at", "late"}``: the patch revision after it, the frame position of effect, and by how many
    frames that is later than asked for. One for later is answered at once with ``{"revision", "at", "scheduled"}``, the
    number under which `scheduled` lists it and `cancel` takes it back.

    >>> Transaction(id=3, edits=[{"op": "set", "node": "gain1", "parameters": {"gain": 0.5}}], at=48_000).at
    48000
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["transaction"] = "transaction"
    edits: Annotated[list[Edit], Field(min_length=1, max_length=MAX_EDITS)]
    at: FramePosition | None = None
    if_revision: Annotated[int, Field(ge=0)] | None = None
    key: Key | None = None
    keep: bool = False


class Scheduled(Request):
    """The transactions that wait for their frame position, in the order of these."""

    repeatable: ClassVar[bool] = True
    type: Literal["scheduled"] = "scheduled"


class Cancel(Request):
    """A transaction that is scheduled is not done; its author may do this, or an admin."""

    needs: ClassVar[Role] = "operator"
    type: Literal["cancel"] = "cancel"
    scheduled: Annotated[int, Field(ge=1)]


class GetPatch(Request):
    """The patch: revision, nodes, connections. Of large arrays type and shape; `value` gives them whole."""

    repeatable: ClassVar[bool] = True
    type: Literal["patch"] = "patch"


class GetValue(Request):
    """One parameter of a node, whole."""

    repeatable: ClassVar[bool] = True
    type: Literal["value"] = "value"
    node: Name
    parameter: Name


class GetCatalogue(Request):
    """The kinds of core that this engine knows, with parameters, units, ranges and ports."""

    repeatable: ClassVar[bool] = True
    type: Literal["catalogue"] = "catalogue"


class History(Request):
    """The last transactions, newest last: revision, author, time, frame position, number of edits.

    `since`: only those of a greater revision. `edits`: with what each did.
    """

    repeatable: ClassVar[bool] = True
    type: Literal["history"] = "history"
    since: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_HISTORY)] = MAX_HISTORY
    edits: bool = False


class Undo(Request):
    """What the transaction of that revision did is taken back, by a new transaction; answered as that is."""

    needs: ClassVar[Role] = "operator"
    type: Literal["undo"] = "undo"
    revision: Annotated[int, Field(ge=1)]
    key: Key | None = None
