"""Answers about the device and the audio process."""

from __future__ import annotations

from pydantic import Field

from asmu_engine.protocol import device_requests as requests
from asmu_engine.protocol.reply import Answer, Count, DeviceFacts, Nothing, Part


class StreamFacts(Part):
    """A device that runs."""

    device: DeviceFacts = Field(description="the device")
    samplerate: float = Field(description="frames per second, Hz", examples=[48_000.0])
    blocksize: Count = Field(description="frames a block", examples=[256])
    position: Count = Field(description="frame position of the stream's first frame", examples=[0])


class StopReply(Part):
    """The device stands still."""

    position: Count | None = Field(default=None, description="where the axis stands; absent where nothing ran", examples=[96_000])


class StepReply(Part):
    """What was done."""

    blocks: Count = Field(description="blocks processed; fewer than asked for where the stream ended", examples=[10])
    position: Count = Field(description="position behind the last of them", examples=[2560])


class ResetReply(Part):
    """When it was."""

    at: Count = Field(description="frame position from which it holds", examples=[96_256])


class ProfileReply(Part):
    """What was measured."""

    nodes: dict[str, float] = Field(
        description="by node: µs a block, on average; 0 before it was measured", examples=[{"gain1": 2.4}]
    )


ANSWERS = (
    Answer(
        requests.Start,
        StreamFacts,
        (
            "portaudio_missing",
            "device_unknown",
            "device_channels",
            "device_samplerate",
            "device_failed",
            "device_state",
            "device_lost",
            "bad_config",
            "core_failed",
        ),
    ),
    Answer(requests.Stop, StopReply, ("device_failed",)),
    Answer(requests.Step, StepReply, ("device_state",)),
    Answer(requests.Reset, ResetReply),
    Answer(requests.Profile, ProfileReply),
    Answer(requests.Fault, Nothing, ("no_fault", "device_state")),
)
