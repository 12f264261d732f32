"""What an acquisition, a recording into a folder, is told: in requests, on the pipe to the disk process, and in the manifest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from asmu_engine.protocol.reply import Count, Part

OnFull = Literal["stop", "drop_oldest", "second_folder"]


class ChannelFacts(Part):
    """One channel of a recording: where it came from, and what its numbers mean."""

    name: Annotated[str, Field(max_length=256)] = Field(default="", description="its name", examples=["microphone 1"])
    device_channel: Count | None = Field(default=None, description="input channel of the device, from 1; null where it is none")
    unit: Annotated[str, Field(max_length=64)] = Field(
        default="", description="of a sample after multiplication with `factor`; empty for full scale", examples=["Pa"]
    )
    factor: float = Field(default=1.0, description="calibration: `unit` a full scale", examples=[12.5])
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="how the factor came about, and whatever else is known of the channel"
    )


class AcquisitionSettings(Part):
    """How a recording folder is written."""

    format: Annotated[str, Field(max_length=64)] = Field(
        default="WAV", description="of the segments: WAV, RF64, W64, CAF, AIFF, AU, FLAC … (libsndfile's names), or HDF5"
    )
    subtype: Annotated[str, Field(max_length=64)] = Field(
        default="", description="libsndfile's name of the sample format; empty for the finest that the format holds"
    )
    tags: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)] = Field(
        default_factory=dict, description="texts to store in each segment: title, artist, comment, date …"
    )
    rollover_seconds: Annotated[float, Field(gt=0, le=31_622_400)] | None = Field(
        default=None, description="a new segment begins after so much time, exact to the frame; null for none", examples=[3600.0]
    )
    rollover_bytes: Annotated[int, Field(ge=4096)] | None = Field(
        default=None, description="a new segment begins before one has more bytes of samples; null for none"
    )
    aligned: bool = Field(
        default=False, description="segments begin at whole multiples of `rollover_seconds` of the UTC day, such as on the hour"
    )
    seconds: Annotated[float, Field(gt=0, le=3_162_240_000)] | None = Field(
        default=None, description="the recording ends by itself after so much time, exact to the frame; null for never"
    )
    sync_seconds: Annotated[float, Field(ge=0.05, le=3600)] = Field(
        default=1.0, description="at most so much audio is not on the disk yet, s"
    )
    fill_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=10.0, description="lost frames are zeros in the segment up to this length, s; a longer gap begins a new segment"
    )
    on_full: OnFull = Field(
        default="stop",
        description="what happens when the disk is full, read-only or gone: `stop`, `drop_oldest` finished segments, or go on in "
        "the `second_folder`",
    )
    second_folder: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="absolute path, for `second_folder`", examples=["/backup/friday"]
    )
    minimum_free: Count = Field(
        default=64 * 2**20, description="bytes that are left free on the disk: with less, `on_full` takes effect"
    )
    warn_seconds: Annotated[float, Field(ge=0)] = Field(
        default=3600.0, description="warn when the disk will be full within so much time, s"
    )
    clock_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = Field(
        default=60.0, description="how often the fit of the clocks is noted in the ledger, s"
    )
