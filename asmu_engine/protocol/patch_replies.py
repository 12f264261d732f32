"""Answers about the patch: transactions, what is scheduled, history."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from asmu_engine.protocol import patch_requests as requests
from asmu_engine.protocol.reply import Answer, Count, Part
from asmu_engine.protocol.version import MAX_CHANNELS

Connection = Annotated[list[Count | str], Field(min_length=4, max_length=4)]
"""Source, its output, target, its input."""

_RINGS = Field(
    default=None,
    description="of new taps and feeds the names of their rings, by node; absent where there are none",
    examples=[{"tap1": "asmu.lab.tap1"}],
)


class TransactionReply(Part):
    """When it took effect, or when it will."""

    revision: Count = Field(description="revision of the patch after it; the present one where it is scheduled", examples=[13])
    at: Count = Field(description="frame position from which it holds", examples=[480_000])
    late: Count | None = Field(
        default=None, description="frames by which that is later than asked for; absent where it is scheduled", examples=[0]
    )
    scheduled: Count | None = Field(default=None, description="its number while it waits; absent where it has taken effect")
    rings: dict[str, str] | None = _RINGS


class UndoReply(TransactionReply):
    """The transaction that took it back."""

    not_undone: list[dict[str, Any]] | None = Field(
        default=None, description="calls of that transaction, which nothing takes back; absent where there are none"
    )


class ScheduledFacts(Part):
    """One transaction that waits for its frame position, or did until now."""

    scheduled: Count = Field(description="its number", examples=[5])
    at: Count = Field(description="frame position of effect", examples=[480_000])
    author: str = Field(description="name of the client that sent it", examples=["notebook"])
    client: str = Field(description="id of that client", examples=["c3"])
    edits: Count = Field(description="number of edits", examples=[2])


class Outcome(Part):
    """What became of a transaction that was scheduled; which fields are there depends on `state`."""

    state: Literal["edited", "cancelled", "dropped"] = Field(
        description="it took effect, was taken back, or could not be done any more", examples=["edited"]
    )
    revision: Count | None = Field(default=None, description="edited: revision of the patch after it", examples=[13])
    at: Count | None = Field(default=None, description="edited: frame position from which it holds", examples=[480_000])
    late: Count | None = Field(default=None, description="edited: frames by which that was later than asked for", examples=[0])
    rings: dict[str, str] | None = Field(
        default=None, description="edited: of new taps and feeds the names of their rings, by node"
    )
    code: str | None = Field(default=None, description="dropped: code of the error")
    message: str | None = Field(default=None, description="dropped: what is wrong")
    where: str | None = Field(default=None, description="dropped: where; may be empty")


class ScheduledReply(Part):
    """What waits."""

    scheduled: list[ScheduledFacts] = Field(description="in the order in which they take effect")
    outcome: Outcome | None = Field(
        default=None, description="of a single number that was asked for; null while it waits, absent where all were asked for"
    )


class NodeFacts(Part):
    """One node of the patch."""

    kind: str = Field(description="its kind, of the catalogue", examples=["gain"])
    inputs: Count = Field(description="number of its inputs", examples=[1])
    outputs: Count = Field(description="number of its outputs", examples=[1])
    parameters: dict[str, Any] = Field(
        description="values that differ from the defaults or were given; of an array of more than 4096 bytes only "
        '`{"array": type, "shape": […]}`, see `value`',
        examples=[{"gain": 0.5}],
    )
    ring: str = Field(description="segment name of its ring; empty for a node without one", examples=[""])
    owner: str = Field(description="id of the client with which it goes; empty for one that is kept", examples=["c3"])


class PatchReply(Part):
    """The patch."""

    revision: Count = Field(description="grows by one with each transaction", examples=[13])
    nodes: dict[str, NodeFacts] = Field(description="by name")
    connections: list[Connection] = Field(
        description="`[source, output, target, input]`, ports from 0; `in` and `out` are the device",
        examples=[[["gain1", 0, "out", 1]]],
    )


class ValueReply(Part):
    """The value."""

    value: Any = Field(
        description="a number, a list with one a channel, a text, true or false, null, or an array", examples=[0.5]
    )


class PortsFacts(Part):
    """How many ports a node of a kind may have."""

    minimum: Count = Field(description="at least", examples=[1])
    maximum: Count = Field(description="at most", examples=[MAX_CHANNELS])


class ParameterFacts(Part):
    """One parameter of a kind."""

    name: str = Field(description="its name", examples=["gain"])
    type: Literal["float", "int", "bool", "choice", "text", "array"] = Field(description="of its value", examples=["float"])
    default: float | bool | str | None = Field(
        description="value where none is given; null for an array of nothing", examples=[1.0]
    )
    unit: str = Field(description="of value and range; empty for a plain number", examples=[""])
    minimum: float = Field(description="least value; may be -∞", examples=[-1e6])
    maximum: float = Field(description="greatest value; may be ∞", examples=[1e6])
    choices: list[str] = Field(description="all values of a choice", examples=[[]])
    per_channel: bool = Field(description="may be a list with one number a channel", examples=[True])
    live: bool = Field(description="may change while the node exists", examples=[True])
    doc: str = Field(description="for people", examples=["factor"])


class KindFacts(Part):
    """One kind of core."""

    name: str = Field(description="its name", examples=["gain"])
    role: Literal["generator", "effect", "analyzer"] = Field(description="with outputs, both, or inputs", examples=["effect"])
    inputs: PortsFacts = Field(description="how many inputs a node may have")
    outputs: PortsFacts = Field(description="how many outputs a node may have")
    parameters: list[ParameterFacts] = Field(description="what can be set")
    calls: list[str] = Field(description="what can be called", examples=[[]])
    paired: bool = Field(description="it has as many outputs as inputs", examples=[True])
    ring: Literal["", "tap", "feed"] = Field(
        description="a node has a ring: `tap` out of the engine, `feed` into it", examples=[""]
    )
    breaks_cycle: bool = Field(description="a cycle may pass through a node of at least one block", examples=[False])
    doc: str = Field(description="for people", examples=["Output n is input n times gain n."])


class CatalogueReply(Part):
    """What this engine can run."""

    kinds: list[KindFacts] = Field(description="all, those of plugins too")


class HistoryEntry(Part):
    """One transaction."""

    revision: Count = Field(description="of the patch after it", examples=[13])
    author: str = Field(description="name of the client; `engine` for the engine itself", examples=["notebook"])
    client: str = Field(description="id of the client; `engine` for the engine itself", examples=["c3"])
    utc: float = Field(description="when it took effect, s since 1970-01-01 UTC", examples=[1_767_225_600.0])
    at: Count = Field(description="frame position from which it holds", examples=[480_000])
    late: Count = Field(description="frames by which that was later than asked for", examples=[0])
    edits: Count = Field(description="number of edits", examples=[1])
    undoable: bool = Field(description="the engine has what undoes it; later transactions may stand in the way", examples=[True])
    undoes: Count | None = Field(description="the revision that it took back; null for none", examples=[None])
    done: list[dict[str, Any]] | None = Field(
        default=None,
        description="its edits, large arrays as in a patch; null where they are too large to be kept, absent if not asked for",
    )
    back: list[dict[str, Any]] | None = Field(default=None, description="the edits that take it back, likewise")


class HistoryReply(Part):
    """The transactions that are remembered."""

    entries: list[HistoryEntry] = Field(description="newest last")


EDIT_REFUSALS = (
    "leased",
    "unknown_kind",
    "unknown_node",
    "duplicate_node",
    "bad_name",
    "unknown_port",
    "port_in_use",
    "not_connected",
    "unknown_parameter",
    "bad_value",
    "fixed_parameter",
    "unknown_call",
    "cycle",
    "patch_too_large",
    "core_failed",
    "device_channels",
    "ring_space",
    "ring_exists",
    "ring_name",
)
"""Codes with which edits may be refused."""

ANSWERS = (
    Answer(
        requests.Transaction,
        TransactionReply,
        ("revision_changed", "key_reused", "scheduled_full", *EDIT_REFUSALS),
    ),
    Answer(requests.Scheduled, ScheduledReply, ("scheduled_unknown",)),
    Answer(requests.Cancel, ScheduledFacts, ("scheduled_unknown",)),
    Answer(requests.GetPatch, PatchReply),
    Answer(requests.GetValue, ValueReply, ("unknown_node", "unknown_parameter")),
    Answer(requests.GetCatalogue, CatalogueReply),
    Answer(requests.History, HistoryReply),
    Answer(requests.Undo, UndoReply, ("not_undoable", "key_reused", *EDIT_REFUSALS)),
)
