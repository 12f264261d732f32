"""Envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asmu_control.oneshot import OneShot
from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter

if TYPE_CHECKING:
    from asmu_control.interface import Interface


class ADSR(OneShot, Effect):
    """Output n is input n times an envelope of straight lines, the same for all channels; silence until started.

    Exact to the sample: with t = n/samplerate for the n-th frame (n = 0, 1 …) of the block that takes `start` in, the
    set-point rises from where it stood (0 at first) to 1 at t = attack, falls to `sustain` at t = attack + decay, and stays
    there. From `release` on it falls from where it stands to 0 at t = release, counted from there.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    attack, decay, release
        Seconds, 0 to 3600.
    sustain
        Set-point until the release, 0 to 1.
    scale
        ``"lin"``: the factor is the set-point. ``"log"``: it is (10^x − 1)/9 of a set-point x, 0 at 0 and 1 at 1.
    in_buffer, out_buffer
        Taken for asmu's scripts; they have no meaning here, since every port has its own buffer.
    """

    kind = "adsr"
    parameters = (
        Parameter("attack", default=0.01, unit="s", minimum=0.0, maximum=3600.0),
        Parameter("decay", default=0.1, unit="s", minimum=0.0, maximum=3600.0),
        Parameter("sustain", default=0.5, minimum=0.0, maximum=1.0),
        Parameter("release", default=0.1, unit="s", minimum=0.0, maximum=3600.0),
        Parameter("scale", type="choice", default="lin", choices=("lin", "log"), live=False),
    )
    calls = ("start", "release_now")
    begins = "triggered"

    def __init__(
        self,
        interface: Interface,
        attack: float,
        decay: float,
        sustain: float,
        release: float,
        scale: Literal["lin", "log"] = "lin",
        in_buffer: bool = True,
        out_buffer: bool = False,
    ) -> None:
        self._started = False
        super().__init__(interface, attack=attack, decay=decay, sustain=sustain, release=release, scale=scale)

    def set_envelope(
        self,
        attack: float | None = None,
        decay: float | None = None,
        sustain: float | None = None,
        release: float | None = None,
    ) -> None:
        """Change what is given; it holds from the next `start` or `release` on."""
        given = {"attack": attack, "decay": decay, "sustain": sustain, "release": release}
        self._set(**{name: value for name, value in given.items() if value is not None})

    def start(self) -> None:
        """Begin with the next block; while it runs, again from where it stands. Without effect before the engine is up."""
        self._begin(lambda: self._call("start"))
        self._started = self._interface._session.opened

    def release(self) -> None:
        """Fall to zero, beginning with the next block; without effect where it does so already or has not been started."""
        self._call("release_now")

    def running(self) -> bool:
        """True from `start` until it is back at zero after `release`."""
        return self._started and not self._look()

    def _opened(self) -> None:
        self._started = False
        super()._opened()

    def _before_start(self, reset: bool) -> None:
        super()._before_start(reset)
        if reset:
            self._started = False

    def _closing(self) -> None:
        self._started = False
        super()._closing()
