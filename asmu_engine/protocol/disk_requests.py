"""Requests about sound files: recordings and players.

A client of this machine, which can write the files of its user anyway, names any absolute path. A path from elsewhere,
and any path that is not absolute, lies within the engine's folder for recordings.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from asmu_engine.protocol.edits import Name
from asmu_engine.protocol.request import FramePosition, Path, Request, Role


class Record(Request):
    """The disk process writes the tap `node` to `path` from its first frame on; answered with a job id.

    `format` and `subtype` are libsndfile's names; an empty subtype is the finest that the format holds. `at`: the frame position
    of the file's first frame, which the ring must not have lost yet; None for the ring's first frame. `keep`: the
    recording, its tap and what feeds that outlive this client.
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["record"] = "record"
    node: Name
    path: Path
    format: str = "WAV"
    subtype: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    at: FramePosition | None = None
    keep: bool = False


class Play(Request):
    """The disk process reads `path` into the feed `node`; answered with a job id once the ring is primed."""

    needs: ClassVar[Role] = "operator"
    type: Literal["play"] = "play"
    node: Name
    path: Path
    loop: bool = False
    start: FramePosition = 0


class Seek(Request):
    """A player goes on at frame `position` of its file; answered with its status once the ring is primed from there.

    >>> Seek(id=1, job=2, position=48000).model_dump()
    {'v': 1, 'id': 1, 'type': 'seek', 'job': 2, 'position': 48000}
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["seek"] = "seek"
    job: Annotated[int, Field(ge=1)]
    position: FramePosition


class JobStatus(Request):
    """How far a recording or player is."""

    repeatable: ClassVar[bool] = True
    type: Literal["job"] = "job"
    job: Annotated[int, Field(ge=1)]


class JobStop(Request):
    """A recording takes what its ring holds and closes its file, or a player stops; answered when the file is whole."""

    needs: ClassVar[Role] = "operator"
    type: Literal["job_stop"] = "job_stop"
    job: Annotated[int, Field(ge=1)]
