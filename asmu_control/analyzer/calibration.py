"""What the calibrations of inputs and outputs have in common: a steady tone, measured well, or refused with the reason.

The convention
--------------
A calibration factor is the physical value of one full-scale sample: V, Pa, or m/s² (A, acceleration) per 1.0. It refers
to a preamplifier at 0 dB; with the preamplifier at `gain` dB

    physical value at the input = sample * c / 10**(gain / 20)

and an output has no preamplifier: physical value = sample * c. The factor holds for momentary values, so also for peaks
and root mean squares, if both sides are of the same sort; between them there is the sqrt(2) of a sine. Sound pressure
levels are dB re 20 µPa rms (IEC 61672-1): 94 dB are 1.0024 Pa.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from asmu_control.analyzer.buffered import Buffered
from asmu_control.analyzer.follower import check_count, deadline_of
from asmu_control.analyzer.spectrum import Transform, check_window
from asmu_control.analyzer.tone import MIN_PERIODS, Tone, fit_tone
from asmu_control.exceptions import CalibrationError
from asmu_control.io import IInput
from asmu_engine.protocol.errors import PatchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from asmu_control.analyzer.result import Result
    from asmu_control.interface import Interface
    from asmu_control.io import IOutput

Mode = Literal["peak", "rms"]

WEAKEST: Final = 1e-4
"""Least amplitude of the tone, full scale 1.0: -80 dBFS."""
MOST_REST: Final = 0.1
"""Most that all but the tone may have, rms, of the tone's: -20 dB. A square wave has 48 %, noise more than 100 %."""
MOST_LEVEL_CHANGE: Final = 0.01
"""Most that the amplitude may differ between the windows, of its mean: 0.09 dB."""
MOST_FREQUENCY_CHANGE: Final = 0.001
"""Most that the frequency may differ between the windows, of its mean."""
SETTLING_SECONDS: Final = 1.0
"""Windows that begin in the first second may be bad: the tone may just have been switched on, and comes with a latency."""


class Calibration(Buffered):
    """Base of `CalIInput` and `CalIOutput`: measures a tone at input 0 over `averages` windows.

    Refused, with a CalibrationError that says why: a tone that is too weak (`WEAKEST`), clipped (any sample at or beyond
    full scale), or not steady: with too much beside it (`MOST_REST`; a constant part does not count), too few periods in a
    window (2), or an amplitude or frequency that changes (`MOST_LEVEL_CHANGE`, `MOST_FREQUENCY_CHANGE`). Windows in which
    frames were lost do not count; those of the first second (`SETTLING_SECONDS`) are passed over if they are bad.
    """

    def __init__(
        self,
        interface: Interface,
        quantity: str,
        win: ArrayLike | None,
        averages: int,
        mode: Mode,
        iinput: IInput | None,
        gain: float,
        paced: bool,
    ) -> None:
        self._window = check_window(win, interface.samplerate, interface.blocksize)
        self._averages = check_count(averages, "averages")
        if mode not in get_args(Mode):
            raise PatchError(f"mode {mode!r}: use one of {', '.join(get_args(Mode))}", code="bad_value", where="mode")
        self._mode: Mode = mode
        self._gain = math.pow(10.0, finite(gain, "gain") / 20.0)
        self._quantity = quantity
        self._iinput = iinput
        self._transform = Transform(self._window)
        self._tones: list[Tone] = []
        self._settled: int | None = None
        self._running = False
        self._refusal: CalibrationError | None = None
        super().__init__(interface, len(self._window), channels=1, paced=paced)

    def evaluate(self, block: bool = True, timeout: float | None = 20, save: bool = True) -> tuple[float, float] | Literal[False]:
        """Measure the tone that comes in from now on, and the factor that follows.

        Parameters
        ----------
        block
            Wait for `averages` windows. False: begin with the first call and go on with each further one.
        timeout
            Longest wait, seconds; None: no limit.
        save
            Write factor, frequency and date (ISO 8601 with offset) to the channel: with volts `cV`, `fV` and `dateV`.

        Returns
        -------
        (frequency, factor) or False
            Hz; V, Pa or m/s² per full scale, see the module. False on time-out.

        Raises
        ------
        CalibrationError
            ``signal_weak``, ``signal_clipped``, ``signal_unsteady``: nothing was written then; ``not_calibrated``: an
            output's level needs an input whose factor is known.
        PatchError
            ``not_connected``: it is not known which input channel this is about; see `iinput`.
        EngineError
            ``engine_state``: no stream has run yet.
        """
        channel = self._channel()
        deadline = deadline_of(block, timeout)
        with self._reading(deadline) as ready:
            if not ready:
                return False
            if block or not self._running:
                self._go_to_newest()
                self._tones.clear()
                self._settled, self._refusal, self._running = None, None, True
            try:
                complete = self._collect(deadline)
            except CalibrationError:
                self._running = False
                raise
            if not complete:
                if block and self._refusal is not None and not self._tones:
                    raise self._refusal
                return False
            self._running = False
            tones = self._tones.copy()
        frequency = float(np.mean([tone.frequency for tone in tones]))
        peak = float(np.mean([tone.peak for tone in tones]))
        rms = math.sqrt(float(np.mean([tone.rms**2 for tone in tones])))
        factor = self._factor(peak if self._mode == "peak" else rms)
        if save:
            setattr(channel, f"c{self._quantity}", factor)
            setattr(channel, f"f{self._quantity}", frequency)
            setattr(channel, f"date{self._quantity}", datetime.now().astimezone().isoformat(timespec="seconds"))
        return frequency, factor

    @abstractmethod
    def _channel(self) -> IInput | IOutput:
        """The channel to calibrate, everything that is needed being there."""

    @abstractmethod
    def _factor(self, level: float) -> float:
        """The factor, from the level at the input in full scale: peak or rms, as `mode` says."""

    def _measured_input(self) -> IInput:
        """The input channel that this measures: the one given, else the one connected."""
        if self._iinput is not None:
            return self._iinput
        source = self.inputs[0].connected_output
        if not isinstance(source, IInput):
            raise PatchError(
                f"{self.name}: its input is not connected to an interface channel; connect one, or name it with iinput=",
                code="not_connected",
                where=self.name,
            )
        return source

    def _collect(self, deadline: float | None) -> bool:
        """Measure windows until enough good ones are there; False on time-out."""
        while len(self._tones) < self._averages:
            buffer = self._next(deadline)
            if buffer is None:
                return False
            if self._settled is None:
                self._settled = buffer.position + round(SETTLING_SECONDS * self._interface.samplerate)
            if not buffer.lost:
                self._add(buffer, self._settled)
        return True

    def _add(self, buffer: Result, settled: int) -> None:
        """Take one window in, or refuse it."""
        samples = np.asarray(buffer)[:, 0]
        tone = fit_tone(samples, self._window, self._transform, self._interface.samplerate, buffer.position)
        self._refusal = flaw(tone, buffer.clipped)
        if self._refusal is not None:
            if buffer.position >= settled:
                raise self._refusal
            self._tones.clear()
            return
        self._tones.append(tone)
        if (reason := change(self._tones)) is None:
            return
        # The earliest ones may belong to the settling.
        kept = [each for each in self._tones if each.position >= settled]
        if len(kept) == len(self._tones):
            raise reason
        self._tones[:] = kept or [tone]
        if (reason := change(self._tones)) is not None:
            raise reason


def flaw(tone: Tone, clipped: int) -> CalibrationError | None:
    """Why one window is refused; None if it is good."""
    if clipped:
        return _refuse("signal_clipped", f"the signal is clipped: {clipped} samples at or beyond full scale; lower the gain")
    strongest = tone.peak if tone.frequency else math.sqrt(2.0) * tone.rest
    if strongest < WEAKEST:
        level = f"has {20 * math.log10(strongest):.1f} dBFS" if strongest > 0 else "is silence"
        needed = f"{20 * math.log10(WEAKEST):.0f} dBFS are needed"
        return _refuse("signal_weak", f"the signal is too weak: the strongest in it {level}, {needed}")
    if not tone.frequency:
        return _refuse("signal_unsteady", f"the signal is not a steady tone: there are not {MIN_PERIODS:g} periods in a window")
    rest = tone.rest / (tone.peak / math.sqrt(2.0))
    if rest > MOST_REST:
        return _refuse(
            "signal_unsteady",
            f"the signal is not a steady tone: beside {tone.frequency:.6g} Hz there is noise, distortion or another tone of "
            f"{100 * rest:.0f} % of it, {100 * MOST_REST:.0f} % may be",
        )
    return None


def change(tones: list[Tone]) -> CalibrationError | None:
    """Why these windows together are refused; None if they agree."""
    for what, values, limit in (
        ("level", [tone.peak for tone in tones], MOST_LEVEL_CHANGE),
        ("frequency", [tone.frequency for tone in tones], MOST_FREQUENCY_CHANGE),
    ):
        spread = (max(values) - min(values)) / (sum(values) / len(values))
        if spread > limit:
            return _refuse(
                "signal_unsteady",
                f"the signal is not a steady tone: its {what} changes by {100 * spread:.2g} %, {100 * limit:.2g} % may be",
            )
    return None


def finite(value: Any, what: str) -> float:
    """A finite number; PatchError ``bad_value`` for others."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise PatchError(f"{what} {value!r}: use a finite number", code="bad_value", where=what)
    return number


def positive(value: Any, what: str) -> float:
    """A finite number above 0; PatchError ``bad_value`` for others."""
    number = finite(value, what)
    if number <= 0:
        raise PatchError(f"{what} {value!r}: use a number above 0", code="bad_value", where=what)
    return number


def _refuse(code: str, message: str) -> CalibrationError:
    return CalibrationError(message, code=code, where="evaluate", retry=True)
