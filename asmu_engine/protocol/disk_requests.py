"""Requests about sound files: recordings and players.

A client of this machine, which can write the files of its user anyway, names any absolute path. A path from elsewhere,
and any path that is not absolute, lies within the engine's folder for recordings.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.edits import Name
from asmu_engine.protocol.request import FramePosition, Path, Request, Role
from asmu_engine.protocol.version import MAX_CHANNELS

Format = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=4096)]


class Record(Request):
    """The disk process writes what goes into a tap to a file; answered with the status of the new job."""

    needs: ClassVar[Role] = "operator"
    type: Literal["record"] = "record"
    node: Name = Field(description="the tap", examples=["tap1"])
    path: Path = Field(
        description="where the file stands once it is whole: absolute, or within the engine's folder for recordings",
        examples=["take1.wav"],
    )
    format: Format = Field(default="WAV", description="libsndfile's name of it: WAV, RF64, W64, CAF, AIFF, AU, FLAC, OGG, MP3 …")
    subtype: Format = Field(
        default="",
        description="libsndfile's name of the sample format; empty for the finest that the format holds",
        examples=["FLOAT"],
    )
    tags: Annotated[dict[Format, Text], Field(max_length=64)] = Field(
        default_factory=dict,
        description="texts to store in the file: title, artist, comment, date …",
        examples=[{"title": "take 1"}],
    )
    at: FramePosition | None = Field(
        default=None,
        description="frame position of the file's first frame, to come, or still in the ring; null for the ring's oldest frame",
        examples=[480_000],
    )
    keep: bool = Field(default=False, description="the recording, its tap and what feeds that outlive this client")


class Acquire(Request):
    """The disk process writes what goes into a tap to a folder: segments, manifest, ledger and checksums.

    Answered with the status of the new job, which goes on across the death of the engine's processes, and across a loss of the
    device.
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["acquire"] = "acquire"
    node: Name = Field(description="the tap", examples=["tap1"])
    folder: Path = Field(
        description="the recording folder, which is made: absolute, or within the engine's folder for recordings",
        examples=["friday"],
    )
    channels: Annotated[list[ChannelFacts], Field(max_length=MAX_CHANNELS)] = Field(
        default_factory=list, description="what is known of each channel of the tap, in their order; empty for nothing"
    )
    settings: AcquisitionSettings = Field(default_factory=AcquisitionSettings, description="how the folder is written")
    at: FramePosition | None = Field(
        default=None,
        description="frame position of the first frame, to come, or still in the ring; null for the ring's newest frame",
        examples=[480_000],
    )
    keep: bool = Field(default=False, description="the recording, its tap and what feeds that outlive this client")
    resume: bool = Field(
        default=False, description="go on with a folder that an engine left unfinished, with the settings that it was begun with"
    )


class Play(Request):
    """The disk process reads a file into a feed; answered with the status of the new job once the ring is primed."""

    needs: ClassVar[Role] = "operator"
    type: Literal["play"] = "play"
    node: Name = Field(description="the feed", examples=["feed1"])
    path: Path = Field(
        description="the file, absolute or within the folder for recordings, with the feed's channels and the engine's rate",
        examples=["take1.wav"],
    )
    loop: bool = Field(default=False, description="go on at frame 0 after the last one, without a gap, for ever")
    start: FramePosition = Field(default=0, description="frame of the file to begin with")


class Seek(Request):
    """A player goes on at another frame of its file; answered with its status once the ring is primed from there.

    >>> Seek(id=1, job=2, position=48000).model_dump()
    {'v': 1, 'id': 1, 'type': 'seek', 'job': 2, 'position': 48000}
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["seek"] = "seek"
    job: Annotated[int, Field(ge=1)] = Field(description="the player's number", examples=[2])
    position: FramePosition = Field(description="frame of the file, from 0", examples=[48_000])


class JobStatus(Request):
    """How far a recording or player is."""

    repeatable: ClassVar[bool] = True
    type: Literal["job"] = "job"
    job: Annotated[int, Field(ge=1)] = Field(description="its number", examples=[1])


class JobStop(Request):
    """A recording takes what its ring holds and closes its file, or a player stops; answered when the file is whole."""

    needs: ClassVar[Role] = "operator"
    type: Literal["job_stop"] = "job_stop"
    job: Annotated[int, Field(ge=1)] = Field(description="its number", examples=[1])
