"""Any linear filter: second-order sections, an impulse response, or both in this order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asmu_engine.protocol.catalogue import Parameter, Value
from asmu_engine.rt.acore import AEffect, Block
from asmu_engine.rt.convolution import Convolution
from asmu_engine.rt.recursion import Recursion, from_sections
from asmu_engine.rt.responses import response_of

MAX_SECTIONS = 64


class AFilter(AEffect):
    """All channels through second-order sections (in float64) and then a finite impulse response (in float32).

    New sections of the same number go on with the states of the former ones, a new response of the same length with what
    was heard so far: a small change makes no click. Others begin from rest.
    """

    kind = "filter"
    parameters = (
        Parameter("sos", type="array", default=None, doc="sections (n, 6) as scipy.signal writes them: b0 b1 b2 a0 a1 a2"),
        Parameter("fir", type="array", default=None, doc="impulse response: (taps,) for all channels, or (taps, channels)"),
    )
    latency_frames = 0

    sos: Recursion | None
    fir: Convolution | None

    def convert(self, name: str, value: Value | None) -> Any:
        """The running filter, at rest; ValueError for coefficients of another shape or of an unstable filter."""
        given = super().convert(name, value)
        if given is None:
            return None
        if name == "fir":
            return Convolution(response_of(given, self.channels), self.channels, self.setup.blocksize)
        return Recursion(from_sections(_checked(given).tolist()), self.channels)

    def prepare(self) -> None:
        """Everything was made with the parameters."""
        self._recursion, self._convolution = self.sos, self.fir

    def process(self, inputs: Block, outputs: Block) -> None:
        """Sections, then response; a copy where there is neither."""
        if self._recursion is not None:
            self._recursion.process(inputs, outputs)
            inputs = outputs
        if self._convolution is not None:
            self._convolution.process(inputs, outputs)
        elif inputs is not outputs:
            outputs[...] = inputs

    def changed(self, name: str) -> None:
        """The new filter, with the state of the former where it fits."""
        recursion, convolution = self._recursion, self._convolution
        self.prepare()
        if name == "sos":
            self._take_over(recursion, None)
        else:
            self._take_over(None, convolution)

    def reset(self) -> None:
        """At rest."""
        if self._recursion is not None:
            self._recursion.reset()
        if self._convolution is not None:
            self._convolution.reset()

    def adopt(self, previous: AFilter) -> None:
        """Channels that stay go on."""
        self._take_over(previous._recursion, previous._convolution)

    def _take_over(self, recursion: Recursion | None, convolution: Convolution | None) -> None:
        mine = self._recursion
        if mine is not None and recursion is not None and mine is not recursion and mine.order == recursion.order:
            mine.adopt(recursion)
        if self._convolution is not None and convolution is not None and self._convolution is not convolution:
            self._convolution.adopt(convolution)


def _checked(sections: NDArray[np.floating]) -> NDArray[np.float64]:
    if sections.ndim != 2 or sections.shape[1] != 6 or not 1 <= len(sections) <= MAX_SECTIONS:
        raise ValueError(f"sections of shape {sections.shape}; use (n, 6) with n from 1 to {MAX_SECTIONS}")
    if (sections[:, 3] == 0).any():
        raise ValueError("a section has a0 = 0; divide by another coefficient, or delay less")
    normalised = np.asarray(sections, dtype=np.float64) / sections[:, 3:4]
    a1, a2 = normalised[:, 4], normalised[:, 5]
    # The triangle of Jury: both poles inside the unit circle.
    if not ((np.abs(a2) < 1) & (np.abs(a1) < 1 + a2)).all():
        raise ValueError("the filter is unstable: a section has a pole on or outside the unit circle")
    return normalised
