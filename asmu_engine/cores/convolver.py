"""Convolution with impulse responses of up to 10 s."""

from __future__ import annotations

from typing import Any

from asmu_engine.protocol.catalogue import Parameter, Value
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.convolution import Convolution
from asmu_engine.rt.responses import read_response, response_of


class AConvolver(AEffect):
    """Output n is input n convolved with its impulse response, or with that of all; exact, and not one frame late.

    The response is an array, or a sound file at an absolute path; without either the samples pass as they are. Another
    response is prepared outside the callback and used from its frame on: one of as many taps goes on with what was heard
    so far and has replaced the former wholly after 32 blocks (of 256 frames at most), another begins from silence.
    """

    kind = "convolver"
    parameters = (
        Parameter("ir", type="array", default=None, doc="impulse response: (taps,) for all channels, or (taps, channels)"),
        Parameter("path", type="text", default="", doc="sound file with the impulse response, instead of an array"),
    )
    latency_frames = 0

    ir: Convolution | None
    path: Convolution | None

    def convert(self, name: str, value: Value | None) -> Any:
        """The running convolution, at rest; ValueError or DiskError for what is no response for this node."""
        given = super().convert(name, value)
        if name == "path":
            given = read_response(given, self.setup.samplerate) if given else None
        if given is None:
            return None
        return Convolution(response_of(given, self.channels), self.channels, self.setup.blocksize)

    def prepare(self) -> None:
        """Everything was made with the parameters."""
        self._running = self.ir or self.path

    def process(self, inputs: Block, outputs: Block) -> None:
        """Convolve, or copy."""
        if self._running is None:
            outputs[...] = inputs
        else:
            self._running.process(inputs, outputs)

    def changed(self, name: str) -> None:
        """The new response, with what the former has heard."""
        former, self._running = self._running, self.ir or self.path
        if former is not None and self._running is not None and former is not self._running:
            self._running.adopt(former)

    def reset(self) -> None:
        """Silence before."""
        if self._running is not None:
            self._running.reset()

    def adopt(self, previous: AConvolver) -> None:
        """Channels that stay go on."""
        if self._running is not None and previous._running is not None:
            self._running.adopt(previous._running)
