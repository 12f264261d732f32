"""Limiter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface


class Limiter(Effect):
    """Output n is input n, `latency_frames` later, with a gain that keeps every sample within ±threshold.

    Each channel has its own gain. Where nothing needs limiting it is exactly 1: the output is the input, delayed, bit for
    bit. Before a peak it falls in a straight line over `attack` and is there with the peak; afterwards it recovers by 1
    in `release` seconds. Input samples that are NaN or infinite count as 0.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    threshold
        Largest magnitude of the output, 10⁻⁶ to 10⁶; full scale is 1.
    attack
        Look-ahead, seconds, 0 to 1, rounded to whole frames: the latency.
    release
        Time in which the gain rises from 0 to 1, seconds, 0 to 60.
    """

    kind = "limiter"
    parameters = (
        Parameter("threshold", default=1.0, minimum=1e-6, maximum=1e6),
        Parameter("attack", default=0.002, unit="s", minimum=0.0, maximum=1.0, live=False),
        Parameter("release", default=0.1, unit="s", minimum=0.0, maximum=60.0),
    )

    def __init__(self, interface: Interface, threshold: float = 1.0, attack: float = 0.002, release: float = 0.1) -> None:
        super().__init__(interface, threshold=threshold, attack=attack, release=release)

    @property
    def latency_frames(self) -> int:
        """By how many frames the output is later than the input."""
        return round(float(self._get("attack")) * self._interface.samplerate)

    @property
    def threshold(self) -> float:
        """Threshold as last set."""
        return float(self._get("threshold"))

    def set_threshold(self, threshold: float) -> None:
        """Change the threshold for what comes in from the next block on, which leaves `latency_frames` later."""
        self._set(threshold=threshold)

    def set_release(self, release: float) -> None:
        """Change the release time, seconds, from the next block on."""
        self._set(release=release)
