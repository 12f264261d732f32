"""A stand-in for the module `sounddevice`: three host APIs without hardware, streams whose blocks the test calls itself."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

BLOCK = 16
"""Frames of the blocks of tests."""


def ramp(columns: int) -> Any:
    """A block in which no two samples are equal."""
    return np.arange(1, BLOCK * columns + 1, dtype=np.float32).reshape(BLOCK, columns)


class PortAudioError(Exception):
    """As PortAudio's: text, number."""


class CallbackStop(Exception):
    """The stream shall end."""


class CallbackAbort(Exception):
    """The stream shall end at once."""


class FakeSounddevice:
    """Devices: 0 ASIO with 8 in and 8 out, 1 and 2 CoreAudio with inputs or outputs only, 3 ALSA with 4 in and 2 out."""

    PortAudioError = PortAudioError
    CallbackStop = CallbackStop
    CallbackAbort = CallbackAbort

    def __init__(self) -> None:
        self.streams: list[FakeStream] = []
        self.refusals: list[PortAudioError] = []
        self.refreshed = 0
        self.default = SimpleNamespace(device=(3, 3))
        self.RawStream = self.RawInputStream = self.RawOutputStream = self._stream
        self.devices = [("Card", 0, 8, 8), ("Mic", 1, 3, 0), ("Speakers", 1, 0, 6), ("Plain", 2, 4, 2)]

    def query_hostapis(self) -> tuple[dict[str, Any], ...]:
        return tuple({"name": name} for name in ("ASIO", "Core Audio", "ALSA"))

    def query_devices(self, device: str | None = None, kind: str = "") -> Any:
        infos = [
            {
                "index": index,
                "name": name,
                "hostapi": api,
                "max_input_channels": ins,
                "max_output_channels": outs,
                "default_samplerate": 48000.0,
            }
            for index, (name, api, ins, outs) in enumerate(self.devices)
        ]
        if device is None:
            return infos
        found = [info for info in infos if device.lower() in str(info["name"]).lower() and info[f"max_{kind}_channels"]]
        if len(found) != 1:
            raise ValueError(f"{'Multiple' if found else 'No'} {kind} devices")
        return found[0]

    def check_input_settings(self, samplerate: float, **settings: Any) -> None:
        if samplerate not in (44100, 48000):
            raise PortAudioError("Invalid sample rate", -9997)

    check_output_settings = check_input_settings

    def AsioSettings(self, channel_selectors: list[int]) -> tuple[str, list[int]]:  # noqa: N802
        return ("asio", channel_selectors)

    def CoreAudioSettings(self, channel_map: list[int]) -> tuple[str, list[int]]:  # noqa: N802
        return ("coreaudio", channel_map)

    def _terminate(self) -> None:
        self.refreshed += 1

    def _initialize(self) -> None: ...

    def _exit_handler(self) -> None: ...

    def _stream(self, **settings: Any) -> FakeStream:
        if self.refusals:
            raise self.refusals.pop(0)
        self.streams.append(FakeStream(settings))
        return self.streams[-1]


class FakeStream:
    """Keeps what it was opened with; `block` calls back once."""

    latency = (0.01, 0.02)

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.calls: list[str] = []
        self.on_stop: Callable[[], Any] = lambda: None

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")
        self.on_stop()

    def close(self) -> None:
        self.calls.append("close")

    def block(self, indata: Any, outdata: Any, adc: float = 0.0, **flags: bool) -> str:
        """Call back with these arrays; the stream's result: continue, stop or abort."""
        names = ("input_underflow", "input_overflow", "output_underflow", "output_overflow")
        status = SimpleNamespace(**{name: flags.get(name, False) for name in names}) if flags else None
        times = SimpleNamespace(inputBufferAdcTime=adc, outputBufferDacTime=adc)
        buffers = [memoryview(np.ascontiguousarray(data)).cast("B") for data in (indata, outdata) if data is not None]
        frames = len(indata if indata is not None else outdata)
        try:
            self.settings["callback"](*buffers, frames, times, status)
        except CallbackStop:
            return "stop"
        except CallbackAbort:
            return "abort"
        return "continue"
