"""Answers about the clients themselves, and about the engine as a whole."""

from __future__ import annotations

from pydantic import Field

from asmu_engine.protocol import client_requests as requests
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.disk_replies import Job
from asmu_engine.protocol.patch_replies import PatchReply, ScheduledFacts
from asmu_engine.protocol.reply import Answer, Count, DeviceFacts, Nothing, Numbers, Part, Seconds
from asmu_engine.protocol.request import Role

_STATES = "`stopped`, `running`, `lost` (the device went away) or `failed` (the audio process died too often)"


class _Engine(Part):
    name: str = Field(description="name of the engine", examples=["lab"])
    version: str = Field(description="version of the library", examples=["0.4.0"])
    protocol: Count = Field(description="version of the protocol", examples=[1])
    samplerate: float = Field(description="frames per second, Hz", examples=[48_000.0])
    blocksize: Count = Field(description="frames a block", examples=[256])
    state: str = Field(description=_STATES, examples=["running"])
    reason: str = Field(
        default="",
        description="why it is in that state, as the event told; empty where the device runs or never has",
        examples=[""],
    )
    device: DeviceFacts | None = Field(description="the device that runs; null where none does")
    revision: Count = Field(description="revision of the patch; grows by one with each transaction", examples=[12])
    frame_position: Count = Field(description="position behind the last frame that was processed", examples=[96_000])


class Clock(Part):
    """When a frame was due: the newest that the engine knows of."""

    frame_position: Count = Field(description="the frame", examples=[95_744])
    monotonic_ns: int = Field(
        description="its time on the machine's monotonic clock, ns; 0 before the first block", examples=[51_200_000_000]
    )
    utc_ns: int = Field(
        description="its time since 1970-01-01 UTC, ns; 0 before the first block", examples=[1_767_225_600_000_000_000]
    )


class ServiceFacts(Part):
    """What a client offers to the others."""

    service: str = Field(description="what it is", examples=["relay"])
    endpoint: str = Field(description="where it is found; `*` stands for the engine's address", examples=["tcp://*:5557"])
    facts: dict[str, str] = Field(description="what a user of it must know", examples=[{"format": "float32"}])
    client: str = Field(description="id of the client", examples=["c2"])


class Endpoints(Part):
    """Where else to connect."""

    events_port: Count | None = Field(
        description="port of the events on the engine's address, for a client that came over the network; else null",
        examples=[None],
    )
    services: list[ServiceFacts] = Field(description="what other clients offer")


class HelloReply(_Engine):
    """Who the client is from now on, and what it has to do with."""

    client: str = Field(description="id of the client; events name it", examples=["c3"])
    role: Role = Field(
        description="what it may do: the lesser of what it asked for and what its key allows", examples=["operator"]
    )
    token: str = Field(description="with which it may come back as the same; nobody else's business", examples=["b7c1…"])
    grace: Seconds = Field(description="for how long what it owns waits for it after its connection was lost, s", examples=[0.0])
    beat_seconds: Seconds = Field(description="how often the engine says `beat` to a client that asked for it, s", examples=[1.0])
    silent_seconds: Seconds = Field(
        description="a client that asked for no beat is away when nothing was heard of it for so long, s", examples=[4.0]
    )
    clock: Clock = Field(description="the newest frame whose time is known")
    numbers: Numbers = Field(description="of each topic the number of its last event", examples=[{"patch": 12, "client": 3}])
    endpoints: Endpoints = Field(description="where else to connect")


class LeaseFacts(Part):
    """What a client has for itself alone."""

    nodes: list[str] = Field(description="nodes", examples=[["gain1"]])
    outputs: list[Count] = Field(description="output channels, from 1", examples=[[1, 2]])


class ClientFacts(Part):
    """One client."""

    id: str = Field(description="its id", examples=["c3"])
    name: str = Field(description="what it calls itself", examples=["notebook"])
    pid: Count = Field(description="its process; 0 where that is unknown", examples=[4711])
    role: Role = Field(description="what it may do", examples=["operator"])
    address: str = Field(description="where it came from; empty for this machine", examples=[""])
    since: float = Field(description="when it first said hello, s since 1970-01-01 UTC", examples=[1_767_225_600.0])
    away: bool = Field(description="its connection is lost; it may still come back", examples=[False])


class PresentClient(ClientFacts):
    """One client, with what it has for itself alone."""

    leases: LeaseFacts = Field(description="what that is")


class Summary(Part):
    """Times of the callbacks so far, µs."""

    p50: float = Field(description="half of them were not longer", examples=[21.0])
    p99: float = Field(description="99 of 100 were not longer", examples=[48.5])
    max: float = Field(description="the longest", examples=[153.0])


class Counters(Part):
    """What the callback counts, since the engine began."""

    blocks: Count = Field(description="blocks processed", examples=[375])
    frame_position: Count = Field(description="position behind the last of them", examples=[96_000])
    input_underflow: Count = Field(description="blocks with this flag of the device", examples=[0])
    input_overflow: Count = Field(description="blocks with this flag of the device", examples=[0])
    output_underflow: Count = Field(description="blocks with this flag of the device", examples=[0])
    output_overflow: Count = Field(description="blocks with this flag of the device", examples=[0])
    deadline_misses: Count = Field(
        description="blocks that were ready later than their duration after they were due", examples=[0]
    )
    lost_frames: Count = Field(description="frames that the device lost", examples=[0])
    core_exceptions: Count = Field(description="cores that raised", examples=[0])
    edits: Count = Field(description="transactions, resets and starts that the callback took", examples=[12])
    callback_last_ns: Count = Field(description="time of the last callback, ns", examples=[21_000])
    callback_max_ns: Count = Field(description="time of the longest callback, ns", examples=[153_000])
    late_max_ns: Count = Field(description="how much later than due a callback began at most, ns", examples=[310_000])
    last_block_ns: Count = Field(description="when the last one began, ns on the monotonic clock", examples=[51_200_000_000])
    samplerate: float = Field(description="Hz", examples=[48_000.0])
    blocksize: Count = Field(description="frames", examples=[256])
    callback_us: Summary = Field(description="how long callbacks took")
    late_us: Summary = Field(description="how much later than due they began")


class Realtime(Part):
    """What the system granted to the audio process; empty before it is up."""

    audio_thread: str = Field(default="", description="scheduling of the callback's thread", examples=["SCHED_FIFO 70"])
    memory: str = Field(default="", description="whether its memory may be swapped out", examples=["locked"])
    control_thread: str = Field(default="", description="scheduling of the thread that prepares edits", examples=["SCHED_FIFO 5"])
    garbage_collector: str = Field(default="", description="Python's", examples=["frozen and off"])
    switch_interval_us: Count = Field(default=0, description="Python's, µs", examples=[500])


class ProcessFacts(Part):
    """One process of the engine."""

    pid: Count = Field(description="its id in the system", examples=[4712])
    rss: Count | None = Field(description="resident memory, bytes; null where the system does not say", examples=[61_000_000])
    restarts: Count = Field(default=0, description="how often it was replaced", examples=[0])


class Processes(Part):
    """The processes of the engine."""

    host: ProcessFacts = Field(description="the one that answers")
    audio: ProcessFacts | None = Field(description="the one that runs the callback; null while it is being replaced")
    disk: ProcessFacts | None = Field(description="the one that moves files; null before it is needed")


class StatusReply(_Engine):
    """Everything but the patch."""

    pid: Count = Field(description="process of the host", examples=[4710])
    private: bool = Field(description="it ends with the script that started it", examples=[False])
    counters: Counters = Field(description="what the callback counts")
    realtime: Realtime = Field(description="what the system granted")
    processes: Processes = Field(description="the processes of the engine")
    clients: list[PresentClient] = Field(description="who is there, or away and awaited")
    services: list[ServiceFacts] = Field(description="what clients offer")
    owners: dict[str, str] = Field(
        description="by node the id of the client with which it goes; a node that is kept is not named",
        examples=[{"gain1": "c3"}],
    )
    jobs: list[Job] = Field(description="open recordings and players, and the last that ended")
    said: dict[str, dict[str, Count]] = Field(
        description="by node what its core said last of itself (see topic `node`), with the frame position",
        examples=[{"burst1": {"started": 480_000, "finished": 480_240}}],
    )
    clock_fit: ClockFit | None = Field(
        default=None, description="how frame positions lie on the clocks; null or absent before enough is known"
    )
    uptime: Seconds = Field(description="s", examples=[60.0])


class SnapshotReply(Part):
    """All of one moment."""

    status: StatusReply = Field(description="as `status` answers")
    patch: PatchReply = Field(description="as `patch` answers")
    scheduled: list[ScheduledFacts] = Field(description="as `scheduled` answers")
    numbers: Numbers = Field(
        description="of each topic the number of the last event that this includes", examples=[{"patch": 12, "client": 3}]
    )


class KeyFacts(Part):
    """A key with which a client may come from elsewhere, or once might."""

    name: str = Field(description="whose it is", examples=["anna"])
    role: Role = Field(description="what it allows at most", examples=["operator"])
    made: str = Field(description="when, UTC in ISO 8601", examples=["2026-01-01T00:00:00Z"])
    revoked: str = Field(description="when it was revoked, likewise; empty for one that is valid", examples=[""])
    fingerprint: str = Field(description="by which people tell keys apart", examples=["5C:0B:91:3A"])


class KeysReply(Part):
    """The keys that there are now."""

    keys: list[KeyFacts] = Field(description="by name")
    problems: list[str] = Field(description="files that count as not there, and why", examples=[[]])


ANSWERS = (
    Answer(requests.Hello, HelloReply, ("token_unknown",)),
    Answer(requests.Goodbye, Nothing),
    Answer(requests.Ping, Nothing),
    Answer(requests.Status, StatusReply),
    Answer(requests.Snapshot, SnapshotReply),
    Answer(requests.Lease, LeaseFacts, ("leased", "unknown_node", "bad_name", "unknown_port")),
    Answer(requests.Release, LeaseFacts),
    Answer(requests.Announce, Nothing),
    Answer(requests.Keys, KeysReply, ("key_unknown", "bad_config")),
    Answer(requests.Shutdown, Nothing),
)
