"""Requests about the patch: transactions, what is scheduled, history."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import FailFast, Field

from asmu_engine.protocol.edits import Edit, Name
from asmu_engine.protocol.request import FramePosition, Key, Request, Role
from asmu_engine.protocol.version import MAX_EDITS, MAX_HISTORY


class Transaction(Request):
    """Edits of the patch, all or nothing, all with the same frame.

    One that takes effect now is answered when it has; one for a later frame at once, with the number under which `scheduled`
    lists it and `cancel` takes it back.

    >>> Transaction(id=3, edits=[{"op": "set", "node": "gain1", "parameters": {"gain": 0.5}}], at=48_000).at
    48000
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["transaction"] = "transaction"
    edits: Annotated[list[Edit], FailFast(), Field(min_length=1, max_length=MAX_EDITS)] = Field(
        description="in the order in which they are done"
    )
    at: FramePosition | None = Field(
        default=None,
        description="frame position of effect, in the middle of a block too; null, or one that is over, for the next block",
        examples=[480_000],
    )
    if_revision: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="only if the patch has this revision in the turn of this transaction", examples=[12]
    )
    key: Key | None = Field(
        default=None,
        description="a transaction that comes again with its key is done once, also through another connection",
        examples=["5f0c7a5e"],
    )
    keep: bool = Field(default=False, description="the nodes that it adds outlive this client")


class Scheduled(Request):
    """The transactions that wait for their frame position, in the order of these; or what became of one."""

    repeatable: ClassVar[bool] = True
    type: Literal["scheduled"] = "scheduled"
    scheduled: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="only that number, also where it does not wait any more; null for all that wait", examples=[5]
    )


class Cancel(Request):
    """A transaction that is scheduled is not done; its author may do this, or an admin."""

    needs: ClassVar[Role] = "operator"
    type: Literal["cancel"] = "cancel"
    scheduled: Annotated[int, Field(ge=1)] = Field(description="its number, from the answer to it", examples=[5])


class GetPatch(Request):
    """The patch: revision, nodes, connections. Of large arrays type and shape; `value` gives them whole."""

    repeatable: ClassVar[bool] = True
    type: Literal["patch"] = "patch"


class GetValue(Request):
    """One parameter of a node, whole."""

    repeatable: ClassVar[bool] = True
    type: Literal["value"] = "value"
    node: Name = Field(description="the node", examples=["vector1"])
    parameter: Name = Field(description="one of the parameters of its kind", examples=["vector"])


class GetCatalogue(Request):
    """The kinds of core that this engine knows, with parameters, units, ranges and ports."""

    repeatable: ClassVar[bool] = True
    type: Literal["catalogue"] = "catalogue"


class History(Request):
    """The last transactions, newest last: revision, author, time, frame position, number of edits."""

    repeatable: ClassVar[bool] = True
    type: Literal["history"] = "history"
    since: Annotated[int, Field(ge=0)] = Field(default=0, description="only those of a greater revision", examples=[10])
    limit: Annotated[int, Field(ge=1, le=MAX_HISTORY)] = Field(
        default=MAX_HISTORY, description="at most so many, the newest", examples=[100]
    )
    edits: bool = Field(default=False, description="with what each did, and what undoes it")


class Undo(Request):
    """What the transaction of that revision did is taken back, by a new transaction; answered as that is."""

    needs: ClassVar[Role] = "operator"
    type: Literal["undo"] = "undo"
    revision: Annotated[int, Field(ge=1)] = Field(description="the revision that the transaction made", examples=[12])
    key: Key | None = Field(default=None, description="as that of a transaction", examples=["9d1be2c4"])
    keep: bool = Field(default=False, description="nodes that come back outlive this client")
