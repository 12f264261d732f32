"""From the columns that a PortAudio stream has to the channels in use, for inputs and for outputs each on its own.

ASIO and CoreAudio open just the channels in use, in any order. Elsewhere a stream has the channels from 1 to the
highest in use, and the columns are picked here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from asmu_engine.devices.base import Block

_FLOAT32 = np.dtype(np.float32)
_SELECTING = ("ASIO", "Core Audio")
"""Host APIs, by PortAudio's names, that open chosen channels."""


def channel_settings(sounddevice: Any, channels: tuple[int, ...], host_api: str, *, device_outputs: int = 0) -> Any:
    """The settings object that selects these channels where the host API can, else None.

    `device_outputs`: for outputs, how many the device has (CoreAudio's map has an entry for each); 0 for inputs.
    """
    zero_based = [channel - 1 for channel in channels]
    if host_api == "ASIO":
        return sounddevice.AsioSettings(channel_selectors=zero_based)
    if host_api != "Core Audio":
        return None
    if not device_outputs:
        return sounddevice.CoreAudioSettings(channel_map=zero_based)
    channel_map = [-1] * device_outputs
    for column, channel in enumerate(zero_based):
        channel_map[channel] = column
    return sounddevice.CoreAudioSettings(channel_map=channel_map)


class _Columns:
    """What both directions share: `opened` columns of the stream, and whether they are the channels as they stand."""

    def __init__(self, channels: tuple[int, ...], host_api: str, blocksize: int) -> None:
        selected = host_api in _SELECTING
        self.opened = len(channels) if selected else max(channels, default=0)
        self.straight = selected or channels == tuple(range(1, self.opened + 1))
        """True where the stream's own buffer is the block."""
        self._zero_based = np.array(channels, dtype=np.intp) - 1
        self._block = np.zeros((blocksize, len(channels)), dtype=np.float32)

    def _view(self, buffer: Any, frames: int) -> Block:
        # One call: to reshape what frombuffer gives takes longer than all the rest of reading or writing a block.
        return ndarray((frames, self.opened), _FLOAT32, buffer)


class InputColumns(_Columns):
    """Reads the channels in use out of a stream's input buffer."""

    def read(self, buffer: Any, frames: int) -> Block:
        """The block, shape (frames, channels), valid until the next call; None is the buffer of a stream without inputs."""
        if buffer is None:
            return self._block[:frames]
        if self.straight:
            return self._view(buffer, frames)
        return np.take(self._view(buffer, frames), self._zero_based, axis=1, out=self._block[:frames], mode="clip")


class OutputColumns(_Columns):
    """Puts the channels in use into a stream's output buffer, and silence into the columns between them."""

    def __init__(self, channels: tuple[int, ...], host_api: str, blocksize: int) -> None:
        super().__init__(channels, host_api, blocksize)
        self._runs = _runs(channels)

    def block(self, buffer: Any, frames: int) -> Block:
        """What the engine writes into, shape (frames, channels)."""
        if buffer is None or not self.straight:
            return self._block[:frames]
        return self._view(buffer, frames)

    def write(self, buffer: Any, frames: int) -> None:
        """Play what the engine wrote into `block`."""
        if buffer is None or self.straight:
            return
        columns = self._view(buffer, frames)
        columns.fill(0.0)
        for target, source in self._runs:
            columns[:, target] = self._block[:frames, source]

    def silence(self, buffer: Any, frames: int) -> None:
        """Play silence."""
        if buffer is not None:
            self._view(buffer, frames).fill(0.0)


def _runs(channels: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Neighbouring channels in neighbouring columns as pairs of slices (stream, engine): one copy a run."""
    runs: list[tuple[slice, slice]] = []
    start = 0
    for column in range(1, len(channels) + 1):
        if column == len(channels) or channels[column] != channels[column - 1] + 1:
            runs.append((slice(channels[start] - 1, channels[column - 1]), slice(start, column)))
            start = column
    return runs
