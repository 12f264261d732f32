"""Events about recordings and players."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asmu_engine.protocol.disk_replies import AcquireJob, PlayJob, RecordJob
from asmu_engine.protocol.eventpart import WHAT, EventPart
from asmu_engine.protocol.reply import Count


class _DiskEvent(EventPart):
    topic: Literal["disk"] = Field(default="disk", description="recordings and players")


class RecordEvent(RecordJob, _DiskEvent):
    """How a recording is going: once a second, and when it ends."""

    event: Literal["job"] = WHAT


class PlayEvent(PlayJob, _DiskEvent):
    """How a player is going: once a second, and when it ends."""

    event: Literal["job"] = WHAT


class AcquireEvent(AcquireJob, _DiskEvent):
    """How a recording into a folder is going: once a second, and when it ends."""

    event: Literal["job"] = WHAT


class DiskWarning(_DiskEvent):
    """Something is wrong, or will be, with the disk of a recording folder."""

    event: Literal["disk_warning"] = WHAT
    job: Annotated[int, Field(ge=1)] = Field(description="the recording", examples=[1])
    folder: str = Field(description="where it grows", examples=["/data/friday"])
    what: Literal["full_soon", "full", "read_only", "gone", "slow", "failed", "dropped", "second_folder"] = Field(
        description="`full_soon`, `slow`: it may come to losses; the others: something was done about it", examples=["full_soon"]
    )
    text: str = Field(description="for people", examples=["/data will be full in 55 minutes"])


class DiskEnded(_DiskEvent):
    """The disk process ended."""

    event: Literal["disk_ended"] = WHAT
    status: str = Field(description="how", examples=["signal 9"])


class DiskRestarted(_DiskEvent):
    """Another disk process goes on with the recordings; players have failed."""

    event: Literal["disk_restarted"] = WHAT
    restarts: Count = Field(description="how often it was replaced so far", examples=[1])
    jobs: list[Count] = Field(description="jobs that were open", examples=[[1]])
