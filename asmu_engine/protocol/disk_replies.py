"""Answers about sound files: recordings and players."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asmu_engine.protocol import disk_requests as requests
from asmu_engine.protocol.reply import Answer, Count, ErrorFacts, Part, Seconds

JobState = Literal["starting", "running", "finished", "failed"]
Gap = Annotated[list[Count | str], Field(min_length=3, max_length=3)]
"""Frame position, frames, cause: ``device``, ``overrun``, ``restart``, ``absent`` and the others of a ledger."""


class _Job(Part):
    job: Annotated[int, Field(ge=1)] = Field(description="its number", examples=[1])
    node: str = Field(description="its tap or feed", examples=["tap1"])
    path: str = Field(description="the file", examples=["/data/take1.wav"])
    client: str = Field(description="name of the client that began it", examples=["notebook"])
    state: JobState = Field(description="how it goes", examples=["running"])
    samplerate: float | None = Field(default=None, description="Hz", examples=[48_000])
    channels: Count | None = Field(default=None, description="channels of the file", examples=[2])
    seconds: Seconds | None = Field(default=None, description="length so far, s", examples=[1.0])
    reason: str | None = Field(default=None, description="why the engine ended it; absent where it did not")
    error: ErrorFacts | None = Field(default=None, description="why it failed; absent where it did not")


class RecordJob(_Job):
    """A recording; what it does not know before it has begun is absent until then."""

    kind: Literal["record"] = Field(description="what it is")
    part: str | None = Field(
        default=None, description="where the file lies until it is whole; then empty", examples=["/data/take1.wav.part"]
    )
    format: str | None = Field(default=None, description="libsndfile's name", examples=["WAV"])
    subtype: str | None = Field(default=None, description="libsndfile's name", examples=["FLOAT"])
    first: Count | None = Field(default=None, description="frame position of the file's first frame", examples=[48_000])
    position: Count | None = Field(
        default=None, description="frame position of the next frame that is written", examples=[96_000]
    )
    frames: Count | None = Field(default=None, description="frames in the file", examples=[48_000])
    lost_frames: Count | None = Field(default=None, description="those of them that were lost, and are zeros", examples=[0])
    gap_count: Count | None = Field(default=None, description="stretches of such zeros", examples=[0])
    gaps: list[Gap] | None = Field(
        default=None,
        description="the latest 1000 of them, `[position, frames, cause]`; causes: `device`, `overrun`, `restart`, `absent`",
        examples=[[]],
    )


class PlayJob(_Job):
    """A player; what it does not know before it has begun is absent until then."""

    kind: Literal["play"] = Field(description="what it is")
    frames: Count | None = Field(default=None, description="frames of the file", examples=[96_000])
    played: Count | None = Field(default=None, description="frames that were played", examples=[48_000])
    ahead: Count | None = Field(default=None, description="frames in the ring that are yet to be played", examples=[450_000])
    position: Count | None = Field(default=None, description="frame of the file that is played next", examples=[48_000])
    loops: Count | None = Field(default=None, description="how often the file began anew", examples=[0])


class DiskState(Part):
    """The disk that a recording folder grows on."""

    folder: str = Field(description="where the segments lie that are written now", examples=["/data/friday"])
    free_bytes: Count = Field(description="room that is left", examples=[500_000_000_000])
    bytes_per_second: Annotated[float, Field(ge=0)] = Field(
        description="how fast the recording has grown lately", examples=[1_536_000.0]
    )
    full_in_seconds: Seconds | None = Field(
        description="when `minimum_free` is reached at that pace, s; null where nothing is written", examples=[325_520.0]
    )
    behind_seconds: Seconds = Field(description="how much the ring holds that is not written yet, s", examples=[0.02])
    unsynced_seconds: Seconds = Field(description="how much is written, but may not be on the disk yet, s", examples=[0.4])


class AcquireJob(_Job):
    """A recording into a folder, which `path` names; what it does not know before it has begun is absent until then."""

    kind: Literal["acquire"] = Field(description="what it is")
    format: str | None = Field(default=None, description="of the segments", examples=["WAV"])
    subtype: str | None = Field(default=None, description="libsndfile's name", examples=["FLOAT"])
    first: Count | None = Field(default=None, description="frame position of the first frame", examples=[48_000])
    position: Count | None = Field(
        default=None, description="frame position of the next frame that is written", examples=[96_000]
    )
    frames: Count | None = Field(default=None, description="frames so far, lost ones included", examples=[48_000])
    bytes: Count | None = Field(
        default=None, description="size of the segments so far, dropped ones included", examples=[384_000]
    )
    lost_frames: Count | None = Field(default=None, description="frames that are missing", examples=[0])
    lost: dict[str, Count] | None = Field(default=None, description="those by cause", examples=[{"device": 256}])
    gap_count: Count | None = Field(default=None, description="stretches that are missing", examples=[0])
    gaps: list[Gap] | None = Field(
        default=None, description="the latest 100 of them, `[position, frames, cause]`, causes as in the ledger", examples=[[]]
    )
    segment: str | None = Field(
        default=None, description="the segment that grows", examples=["000002_2026-01-01T01-00-00.000Z.wav"]
    )
    segments: Count | None = Field(default=None, description="segments that are whole", examples=[1])
    dropped: Count | None = Field(default=None, description="segments that were deleted to make room", examples=[0])
    xruns: Count | None = Field(default=None, description="how often the device said that something went wrong", examples=[0])
    disk: DiskState | None = Field(default=None, description="the disk")


Job = Annotated[RecordJob | AcquireJob | PlayJob, Field(discriminator="kind")]

_RING = ("unknown_node", "path_forbidden", "disk_failed", "ring_unknown", "ring_closed", "ring_access")


ANSWERS = (
    Answer(requests.Record, RecordJob, (*_RING, "file_unwritable", "file_format", "ring_position", "ring_full")),
    Answer(
        requests.Acquire, AcquireJob, (*_RING, "file_unwritable", "file_unreadable", "file_format", "ring_position", "ring_full")
    ),
    Answer(requests.Play, PlayJob, (*_RING, "file_unreadable", "file_format", "feed_in_use", "leased")),
    Answer(requests.Seek, PlayJob, ("disk_job_unknown", "file_format", "file_unreadable", "disk_failed")),
    Answer(requests.JobStatus, Job, ("disk_job_unknown",)),
    Answer(requests.JobStop, Job, ("disk_job_unknown", "disk_failed")),
)
