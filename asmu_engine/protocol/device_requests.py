"""Requests about the device and the audio process."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from asmu_engine.protocol.request import Channels, Request, Role


class Start(Request):
    """The device runs; answered when it does."""

    needs: ClassVar[Role] = "admin"
    type: Literal["start"] = "start"
    inputs: Channels | None = Field(
        default=None, description="input channels in use, from 1; null for those of the engine's settings", examples=[[1, 2]]
    )
    outputs: Channels | None = Field(default=None, description="output channels in use, likewise", examples=[[1, 2]])
    end_block: Annotated[int, Field(ge=1, lt=2**53)] | None = Field(
        default=None, description="stop by itself so many blocks after the dropped ones; null for never"
    )
    drop: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="blocks at the start that play silence and process nothing"
    )
    reset: bool = Field(default=True, description="every core goes back to its start")


class Stop(Request):
    """The device stops; patch, rings and clients stay."""

    needs: ClassVar[Role] = "admin"
    type: Literal["stop"] = "stop"


class Step(Request):
    """The offline device processes some blocks; answered when they are done."""

    needs: ClassVar[Role] = "admin"
    type: Literal["step"] = "step"
    blocks: Annotated[int, Field(ge=1, lt=2**53)] = Field(default=1, description="how many", examples=[10])


class Reset(Request):
    """Every core goes back to its start, all with the same frame."""

    needs: ClassVar[Role] = "operator"
    type: Literal["reset"] = "reset"
    drop: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="blocks from there on that play silence and process nothing", examples=[2]
    )


class Profile(Request):
    """How long each core takes, measured while it is switched on."""

    needs: ClassVar[Role] = "operator"
    repeatable: ClassVar[bool] = True
    type: Literal["profile"] = "profile"
    enabled: bool | None = Field(default=None, description="measure, or do not; null leaves that as it is", examples=[True])


class Fault(Request):
    """Make the virtual device fail on purpose."""

    needs: ClassVar[Role] = "admin"
    type: Literal["fault"] = "fault"
    fault: Literal[
        "stall",
        "lose",
        "input_overflow",
        "input_underflow",
        "output_overflow",
        "output_underflow",
        "gone",
        "back",
        "clock_zero",
        "clock_jump",
        "clock_step",
    ] = Field(
        description="`stall`: no callback for some blocks; `lose`: some frames vanish; overflow, underflow: the flag of the next "
        "block; `gone`: the device is lost; `back`: it may be started again; `clock_zero`, `clock_jump`: the device's clock says "
        "0, or anything, for some blocks; `clock_step`: UTC is set",
        examples=["lose"],
    )
    blocks: Annotated[int, Field(ge=1, lt=2**31)] = Field(
        default=1, description="length of a stall, or for how many the device's clock is wrong, blocks"
    )
    frames: Annotated[int, Field(ge=1, lt=2**40)] = Field(default=1, description="frames that vanish", examples=[100])
    seconds: Annotated[float, Field(ge=-1e9, le=1e9)] = Field(
        default=0.0, description="by how much UTC is set forward, s", examples=[-1.5]
    )
