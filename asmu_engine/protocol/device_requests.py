"""Requests about the device and the audio process."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from asmu_engine.protocol.request import Channels, Request, Role


class Start(Request):
    """The device runs. `inputs` and `outputs` are the channels in use (from 1), None for all that the device has.

    `drop`: blocks at the start that play silence and process nothing. `end_block`: stop by itself so many blocks after them.
    `reset`: every core goes back to its start.
    """

    needs: ClassVar[Role] = "admin"
    type: Literal["start"] = "start"
    inputs: Channels | None = None
    outputs: Channels | None = None
    end_block: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    drop: Annotated[int, Field(ge=0, lt=2**31)] = 0
    reset: bool = True


class Stop(Request):
    """The device stops; patch, rings and clients stay."""

    needs: ClassVar[Role] = "admin"
    type: Literal["stop"] = "stop"


class Step(Request):
    """The offline device processes `blocks` blocks; answered when they are done."""

    needs: ClassVar[Role] = "admin"
    type: Literal["step"] = "step"
    blocks: Annotated[int, Field(ge=1, lt=2**53)] = 1


class Reset(Request):
    """Every core goes back to its start, all with the same frame; `drop`: blocks after it that play silence.

    Answered with ``{"at"}``, the frame position from which it holds.
    """

    needs: ClassVar[Role] = "operator"
    type: Literal["reset"] = "reset"
    drop: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Profile(Request):
    """Time each core (on) or not (off); answered with the microseconds a block of each node since it was switched on."""

    needs: ClassVar[Role] = "operator"
    repeatable: ClassVar[bool] = True
    type: Literal["profile"] = "profile"
    enabled: bool | None = None


class Fault(Request):
    """Make the virtual device fail on purpose.

    `fault`: ``stall`` (no callback for `blocks` blocks), ``lose`` (`frames` frames vanish), ``input_overflow``,
    ``input_underflow``, ``output_overflow``, ``output_underflow`` (flag on the next block), ``gone`` and ``back``.
    """

    needs: ClassVar[Role] = "admin"
    type: Literal["fault"] = "fault"
    fault: Literal["stall", "lose", "input_overflow", "input_underflow", "output_overflow", "output_underflow", "gone", "back"]
    blocks: Annotated[int, Field(ge=1, lt=2**31)] = 1
    frames: Annotated[int, Field(ge=1, lt=2**40)] = 1
