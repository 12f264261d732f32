"""The manifest of a recording: what was recorded, from what, and in which files. Replaced as a whole, so it is always whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asmu_engine.protocol.acquisition import AcquisitionSettings, ChannelFacts
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.errors import DiskError
from asmu_engine.recording.names import MANIFEST

VERSION: Final = 1

SegmentState = Literal["growing", "ended", "whole", "dropped"]


class Segment(BaseModel):
    """One file.

    Attributes
    ----------
    index
        From 1, in the order of time.
    file
        Its final name in the folder, or its absolute path where it lies in the second folder.
    first, frames
        Frame position of its first row, and how many rows it has (of a growing one: when the manifest was written).
    bytes, sha256
        Of the finished file.
    state
        ``growing`` (under its temporary name), ``ended`` (being made whole), ``whole`` or ``dropped``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    index: Annotated[int, Field(ge=1)]
    file: str
    first: Annotated[int, Field(ge=0)]
    frames: Annotated[int, Field(ge=0)]
    bytes: int = 0
    sha256: str = ""
    state: SegmentState


class Source(BaseModel):
    """Where the frames came from, as the host knew it when the recording began.

    Attributes
    ----------
    engine
        Name, version and protocol of the engine, and of the libraries and the system beneath it.
    device
        Facts of the device, as ``started`` tells them.
    blocksize
        Frames.
    patch
        ``{"revision": n, "nodes": …, "connections": …}``, as the request ``patch`` answers it.
    node
        The tap.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    engine: dict[str, Any] = Field(default_factory=dict)
    device: dict[str, Any] | None = None
    blocksize: int = 0
    patch: dict[str, Any] = Field(default_factory=dict)
    node: str = ""


class Manifest(BaseModel):
    """All of it.

    Attributes
    ----------
    id
        Of the recording: 32 hexadecimal digits, drawn when it was begun.
    created
        ISO 8601, UTC.
    state
        ``recording``, ``finished``, or ``failed`` with `reason`. A folder whose writer died says ``recording``; nobody holds
        the lock on its ledger then.
    samplerate
        Nominal, Hz.
    channels
        In the order of the columns.
    software
        Versions of what wrote the files.
    first, position
        Frame positions of the first frame and behind the last, None before there is one.
    clock
        The newest fit, None before there is one.
    """

    model_config = ConfigDict(extra="forbid")
    format: Literal["asmu-recording"] = "asmu-recording"
    version: Literal[1] = VERSION
    id: str
    created: str
    state: Literal["recording", "finished", "failed"]
    reason: str = ""
    samplerate: Annotated[float, Field(gt=0)]
    channels: list[ChannelFacts]
    source: Source
    software: dict[str, str]
    settings: AcquisitionSettings
    first: int | None = None
    position: int | None = None
    clock: ClockFit | None = None
    segments: list[Segment] = Field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Replace the manifest of a folder, so that a reader sees the former or this one; OSError from the system."""
        temporary = folder / f".{MANIFEST}.new"
        with temporary.open("wb") as file:
            file.write(self.model_dump_json(indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises
    ------
    DiskError
        ``file_unreadable``: there is none, it is damaged, or of another version; the message says which.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DiskError(
            f"{folder} is no recording folder: {MANIFEST}: {error.strerror}", code="file_unreadable", where=str(path)
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its form"
        raise DiskError(f"{path} is damaged: {where}: {first['msg']}", code="file_unreadable", where=str(path)) from None
