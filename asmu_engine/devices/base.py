"""What every audio device is to the engine: opened with its channels, started with a callback, stopped, closed.

States: open → `start` → running → (`stop`, or the end of the stream) → open → `close` → closed. A device that
ended by itself says so once through `on_end`, with ``"finished"`` or ``"lost: …"``; one that was stopped says nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import IntFlag
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.errors import DeviceError
from asmu_engine.protocol.version import MAX_CHANNELS

Block = NDArray[np.float32]
OnEnd = Callable[[str], None]

FINISHED = "finished"
"""Reason of a stream that ended as it should: the callback had enough, or the file is at its end."""


class Flags(IntFlag):
    """What went wrong around a block; the bits of PortAudio's callback flags."""

    INPUT_UNDERFLOW = 1
    INPUT_OVERFLOW = 2
    OUTPUT_UNDERFLOW = 4
    OUTPUT_OVERFLOW = 8


class BlockCallback(Protocol):
    """What the device calls for each block, in its audio thread."""

    # Positional, as the cheapest call that Python has.
    def __call__(self, indata: Block, outdata: Block, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        """Read `indata`, write all of `outdata`.

        Parameters
        ----------
        indata, outdata
            Shapes (frames, len(inputs)) and (frames, len(outputs)), C-contiguous, 1 ≤ frames ≤ blocksize. Column n is
            ``device.inputs[n]`` or ``device.outputs[n]``. Valid during the call only.
        flags
            `Flags` of this block, 0 normally.
        lost
            Frames that the device lost right before this block: the frame position advances by as much.
        due_ns
            Monotonic time at which the block should have begun, ns.
        device_time
            The device's clock at the first frame of `indata`, seconds; 0.0 when unknown.

        Returns
        -------
        bool
            False when this block is the last one: it is played, then the stream ends.
        """


class Device(ABC):
    """One open device. Attributes are fixed once it is open, except the two hooks."""

    name: str
    host_api: str
    samplerate: float
    blocksize: int
    inputs: tuple[int, ...]
    """Input channels in use, from 1, in the order of the columns."""
    outputs: tuple[int, ...]
    max_inputs: int
    max_outputs: int
    input_latency: float = 0.0
    """Seconds from the converter's first frame of a block to its callback."""
    output_latency: float = 0.0
    """Seconds from the callback to the converter."""
    paced: bool = True
    """True when blocks come at a clock's pace, False when they come as fast as they are processed."""

    known: dict[str, Any] | None = None
    """As plain data, by what the very same device is found again when the system lists it under another number, if it may."""

    loss_uncertainty: int = 0
    """Standard uncertainty of the frames that it counts as lost; 0 where it knows them exactly."""

    hold: Callable[[int], bool] | None = None
    """Unpaced devices call it with the frames of the next block and wait while it returns True."""
    thread_setup: Callable[[], None] | None = None
    """Called once in the audio thread before its first block, e.g. to ask for real-time scheduling."""

    @abstractmethod
    def start(self, callback: BlockCallback, on_end: OnEnd) -> None:
        """Begin to call back; DeviceError ``device_state`` if it runs or is closed, ``device_lost`` if it is gone."""

    @abstractmethod
    def stop(self) -> None:
        """No callback after it returns, unless it is called from the callback itself. Without effect when stopped."""

    @abstractmethod
    def close(self) -> None:
        """Stop, and give the device back. Without effect when closed."""

    @property
    @abstractmethod
    def running(self) -> bool:
        """True from `start` until the stream was stopped or ended."""

    def fault(self, name: str, blocks: int = 1, frames: int = 1) -> None:
        """Fail on purpose; DeviceError ``no_fault`` where the device cannot do that."""
        raise DeviceError(f"{self.name} cannot be told to {name}; a device that can: virtual", code="no_fault", where=name)

    def step(self, blocks: int) -> int:
        """Process up to `blocks` blocks and return how many; DeviceError ``device_state`` unless the device is stepped."""
        raise DeviceError(
            f"{self.name} runs by itself and cannot be stepped; open offline:stepped=1", code="device_state", where=self.name
        )


def checked_channels(asked: Sequence[int] | None, maximum: int, side: str, device: str, *, hint: str = "") -> tuple[int, ...]:
    """The channels to use, all of them for None; DeviceError ``device_channels`` says what was asked and what exists.

    Parameters
    ----------
    asked
        Channel numbers from 1, each at most once, in the order of the columns.
    side
        ``"input"`` or ``"output"``, for the message.
    """
    if asked is None:
        return tuple(range(1, min(maximum, MAX_CHANNELS) + 1))
    channels = tuple(int(channel) for channel in asked)
    wrong = sorted({channel for channel in channels if not 1 <= channel <= maximum})
    if wrong:
        has = f"{side} channels 1 to {maximum}" if maximum else f"no {side} channels"
        raise DeviceError(
            f"{side} channel {', '.join(map(str, wrong))} asked of {device}, which has {has}{'; ' if hint else ''}{hint}",
            code="device_channels",
            where=side,
        )
    if len(set(channels)) < len(channels):
        twice = sorted({channel for channel in channels if channels.count(channel) > 1})
        raise DeviceError(
            f"{side} channel {', '.join(map(str, twice))} asked more than once of {device}", code="device_channels", where=side
        )
    return channels


def checked_use(inputs: tuple[int, ...], outputs: tuple[int, ...], device: str) -> None:
    """DeviceError ``device_channels`` when no channel at all is in use."""
    if not inputs and not outputs:
        raise DeviceError(f"no channel of {device} is in use; use at least one input or output", code="device_channels")


def checked_blocksize(blocksize: int) -> int:
    """The block size in frames; DeviceError ``device_failed`` outside 1 to 65536."""
    if not 1 <= blocksize <= 65536:
        raise DeviceError(f"blocksize of {blocksize} frames; use 1 to 65536", code="device_failed", where="blocksize")
    return blocksize


def wrong_samplerate(device: str, asked: float, exists: str, hint: str) -> DeviceError:
    """The error for a samplerate that a device does not run at."""
    return DeviceError(
        f"samplerate {asked:g} Hz asked of {device}, which runs at {exists}; {hint}", code="device_samplerate", where="samplerate"
    )
