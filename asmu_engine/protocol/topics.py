"""Every event, one class each; topic and ``event`` say which."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from asmu_engine.protocol.client_replies import ClientFacts
from asmu_engine.protocol.device_replies import StreamFacts
from asmu_engine.protocol.disk_topics import AcquireEvent, DiskEnded, DiskRestarted, DiskWarning, PlayEvent, RecordEvent
from asmu_engine.protocol.eventpart import WHAT, EventPart
from asmu_engine.protocol.reply import Count, DeviceFacts


class _EngineEvent(EventPart):
    topic: Literal["engine"] = Field(default="engine", description="engine and processes")


class _PatchEvent(EventPart):
    topic: Literal["patch"] = Field(default="patch", description="transactions")


class _DeviceEvent(EventPart):
    topic: Literal["device"] = Field(default="device", description="the device")


class _NodeEvent(EventPart):
    topic: Literal["node"] = Field(default="node", description="what nodes say of themselves")
    node: str = Field(description="the node", examples=["burst1"])


class _ClientEvent(EventPart):
    topic: Literal["client"] = Field(default="client", description="clients")


class State(_EngineEvent):
    """The device runs, stands, was lost, or the engine failed."""

    event: Literal["state"] = WHAT
    state: Literal["stopped", "running", "lost", "failed"] = Field(description="from now on", examples=["stopped"])
    reason: str = Field(description="why; may be empty", examples=["finished"])
    position: Count = Field(description="frame position behind the last processed block", examples=[96_000])


class AudioEnded(_EngineEvent):
    """The audio process died; another is started, and edits wait for it."""

    event: Literal["audio_ended"] = WHAT
    status: str = Field(description="how", examples=["signal 9"])
    position: Count = Field(description="frame position behind the last processed block", examples=[96_000])


class AudioRestarted(_EngineEvent):
    """The new audio process runs the device with the same patch."""

    event: Literal["audio_restarted"] = WHAT
    position: Count = Field(description="frame position of its first block", examples=[120_000])
    gap: Count = Field(description="frames that were lost", examples=[24_000])
    restarts: Count = Field(description="how often it was replaced so far", examples=[1])


class Ending(_EngineEvent):
    """The engine ends; requests are refused from now on."""

    event: Literal["ending"] = WHAT


class JournalFailed(_EngineEvent):
    """Lines of the journal are lost; a replay of it will not be whole."""

    event: Literal["journal_failed"] = WHAT
    reason: str = Field(description="why", examples=["No space left on device"])
    lost: Count = Field(description="lines that are lost so far", examples=[3])


class Edited(_PatchEvent):
    """A transaction holds."""

    event: Literal["edited"] = WHAT
    author: str = Field(description="name of the client; `engine` for the engine itself", examples=["notebook"])
    client: str = Field(description="id of the client; `engine` for the engine itself", examples=["c3"])
    edits: Count = Field(description="number of edits", examples=[2])
    revision: Count = Field(description="revision of the patch after it", examples=[13])
    at: Count = Field(description="frame position from which it holds", examples=[480_000])
    late: Count = Field(description="frames by which that is later than asked for", examples=[0])
    scheduled: Count | None = Field(default=None, description="its number while it waited; absent where it did not", examples=[5])
    rings: dict[str, str] | None = Field(
        default=None,
        description="of new taps and feeds the names of their rings, by node; absent where there are none",
        examples=[{"tap1": "asmu.lab.tap1"}],
    )


class ClockStep(_EngineEvent):
    """UTC was set on this machine, or it slept: from `position` on frames are `seconds` later in UTC than was expected."""

    event: Literal["clock_step"] = WHAT
    position: Count = Field(description="the first frame after it", examples=[96_000])
    seconds: float = Field(description="by how much; negative where the clock was put back, s", examples=[1.0])
    suspended: bool = Field(description="the machine slept meanwhile", examples=[False])


class StateFailed(_EngineEvent):
    """What ``--resume`` would go on with cannot be kept on the disk."""

    event: Literal["state_failed"] = WHAT
    reason: str = Field(description="why", examples=["No space left on device"])


class _Waiting(_PatchEvent):
    scheduled: Count = Field(description="its number", examples=[5])
    author: str = Field(description="name of the client that sent it", examples=["notebook"])
    client: str = Field(description="id of that client", examples=["c3"])
    at: Count = Field(description="frame position at which it would have taken effect", examples=[480_000])


class Cancelled(_Waiting):
    """A transaction that was scheduled is not done: somebody took it back."""

    event: Literal["cancelled"] = WHAT


class Dropped(_Waiting):
    """A transaction that was scheduled cannot be done any more, such as on a node that is gone."""

    event: Literal["dropped"] = WHAT
    code: str = Field(description="of the error", examples=["unknown_node"])
    message: str = Field(description="what is wrong", examples=["there is no node 'gain1' in the patch"])
    where: str = Field(description="where; may be empty", examples=["gain1"])


class Started(StreamFacts, _DeviceEvent):
    """The device runs because it was told to; after a loss of the audio process see `audio_restarted`."""

    event: Literal["started"] = WHAT
    drop: Count = Field(description="blocks at the start that play silence and process nothing", examples=[0])
    end_block: Count | None = Field(description="it stops by itself so many blocks after them; null for never", examples=[None])
    reset: bool = Field(description="every core went back to its start", examples=[True])


class WasReset(_DeviceEvent):
    """Every core went back to its start."""

    event: Literal["reset"] = WHAT
    position: Count = Field(description="frame position from which that holds", examples=[96_256])
    drop: Count = Field(description="blocks from there on that play silence and process nothing", examples=[0])


class DeviceLost(_DeviceEvent):
    """The device went away; recordings of one file are closed, those into folders wait for it, the patch stays."""

    event: Literal["device_lost"] = WHAT
    reason: str = Field(description="how that was noticed", examples=["no callback for 1.0 s"])
    position: Count = Field(description="frame position behind the last processed block", examples=[96_000])
    device: DeviceFacts | None = Field(description="the device")


class DeviceBack(_DeviceEvent):
    """A device that was lost was found again and runs, with the same patch."""

    event: Literal["device_back"] = WHAT
    position: Count = Field(description="frame position of its first block", examples=[480_000])
    gap: Count = Field(description="frames for which it was away", examples=[384_000])
    device: DeviceFacts = Field(description="the device")


class Xrun(EventPart):
    """Frames were lost, or the device says so; it belongs to the block at `position`."""

    topic: Literal["xrun"] = Field(default="xrun", description="losses")
    event: Literal["xrun"] = WHAT
    flags: list[Literal["input_underflow", "input_overflow", "output_underflow", "output_overflow"]] = Field(
        description="what the device said", examples=[["input_overflow"]]
    )
    lost: Count = Field(description="frames right before the block that are known to be lost", examples=[256])
    uncertainty: Count = Field(
        default=0, description="standard uncertainty of `lost`, frames; 0 where the device counts them", examples=[12]
    )
    position: Count = Field(description="frame position of the block's first frame", examples=[96_256])


class Said(_NodeEvent):
    """A core tells what it did."""

    event: Literal["node"] = WHAT
    what: str = Field(
        description="`started`, `finished` (bursts, vectors); `finished`, `looped` (players); `triggered`, `released`, "
        "`finished` (envelopes); and whatever cores of plugins say",
        examples=["finished"],
    )
    position: Count = Field(description="frame position of the first frame to which it applies", examples=[480_240])


class CoreFailed(_NodeEvent):
    """A core raised: it is silent from now on, the others go on."""

    event: Literal["core_failed"] = WHAT
    error: str = Field(description="class and text of the exception", examples=["ZeroDivisionError: division by zero"])
    position: Count = Field(description="frame position of the block in which it did", examples=[96_256])


class LeftOut(_NodeEvent):
    """A core whose code made the audio process die again and again is not made again: it is silent until its node is removed."""

    event: Literal["left_out"] = WHAT
    crashes: Count = Field(description="how often the process died in it", examples=[3])
    position: Count = Field(description="where the axis stood", examples=[96_256])


class Joined(ClientFacts, _ClientEvent):
    """A client said hello for the first time, or under another name than before."""

    event: Literal["joined"] = WHAT


class Away(ClientFacts, _ClientEvent):
    """The connection of a client is lost: its leases have ended, what it owns waits for its grace."""

    event: Literal["away"] = WHAT


class Back(ClientFacts, _ClientEvent):
    """A client that was away is there again."""

    event: Literal["back"] = WHAT


class Left(ClientFacts, _ClientEvent):
    """A client is gone, and what it owned."""

    event: Literal["left"] = WHAT


class Announced(_ClientEvent):
    """A client offers a service, or no longer."""

    event: Literal["announced"] = WHAT
    client: str = Field(description="id of the client", examples=["c2"])
    service: str = Field(description="what it is", examples=["relay"])
    endpoint: str = Field(description="where it is found; empty: no longer", examples=["tcp://*:5557"])
    facts: dict[str, str] = Field(description="what a user of it must know", examples=[{"format": "float32"}])


EVENTS: dict[str, tuple[type[EventPart], ...]] = {
    "engine": (State, AudioEnded, AudioRestarted, Ending, JournalFailed, ClockStep, StateFailed),
    "patch": (Edited, Cancelled, Dropped),
    "device": (Started, WasReset, DeviceLost, DeviceBack),
    "xrun": (Xrun,),
    "node": (Said, CoreFailed, LeftOut),
    "disk": (RecordEvent, AcquireEvent, PlayEvent, DiskWarning, DiskEnded, DiskRestarted),
    "client": (Joined, Away, Back, Left, Announced),
}
"""By topic."""


def event_name(model: type[EventPart]) -> str:
    """What stands in ``event``.

    >>> event_name(CoreFailed)
    'core_failed'
    """
    return str(model.model_fields["event"].annotation.__args__[0])  # type: ignore[union-attr]


@cache
def _adapter(topic: str, event: str) -> TypeAdapter[Any]:
    if (topic, event) == ("disk", "job"):
        return TypeAdapter(Annotated[RecordEvent | AcquireEvent | PlayEvent, Field(discriminator="kind")])
    return TypeAdapter(next(model for model in EVENTS[topic] if event_name(model) == event))


def check_event(message: dict[str, Any]) -> EventPart:
    """A published message as an object of its class; pydantic's ValidationError where a field is wrong, missing or unknown."""
    checked = _adapter(message["topic"], message["event"]).validate_python(message)
    assert isinstance(checked, EventPart)
    return checked
