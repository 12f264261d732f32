"""When frames were due in UTC, by the best that is known: the host's fit, else the ring's stamps, else the time of reading."""

from __future__ import annotations

import threading
import time

from asmu_engine.protocol.clock import ClockFit
from asmu_engine.shm.block import Stamp


class Times:
    """Turns frame positions into UTC and back; fits come from any thread.

    Parameters
    ----------
    samplerate
        Nominal, Hz.
    fit
        What the host knew when the recording began.
    """

    def __init__(self, samplerate: float, fit: ClockFit | None = None) -> None:
        self._samplerate = samplerate
        self._lock = threading.Lock()
        self._fit = fit
        self._doubted: int | None = None
        self._anchor = (0, time.time_ns())

    def note_fit(self, fit: ClockFit) -> None:
        """A newer fit. One from before a jump of the axis of unknown length says nothing of what lies behind that."""
        with self._lock:
            if self._doubted is None or fit.position >= self._doubted:
                self._fit = fit

    def note_stamp(self, stamp: Stamp | None, newest: int) -> None:
        """What the ring says with its newest frame; that frame is just being delivered, where it says nothing."""
        if stamp is not None and stamp.utc_ns:
            self._anchor = (stamp.position, stamp.utc_ns)
        elif newest:
            self._anchor = (newest, time.time_ns())

    def doubt(self, position: int) -> None:
        """The axis jumped before `position` by a number of frames that nobody counted: older fits no longer hold."""
        with self._lock:
            self._doubted = position
            if self._fit is not None and self._fit.position < position:
                self._fit = None

    def utc_at(self, position: int) -> int:
        """UTC of a frame position, ns since 1970."""
        with self._lock:
            if self._fit is not None:
                return self._fit.utc_at(position)[0]
        known, utc_ns = self._anchor
        return utc_ns + round((position - known) * 1e9 / self._samplerate)

    def position_at(self, utc_ns: int) -> int:
        """The frame position nearest to a UTC; may be negative."""
        with self._lock:
            if self._fit is not None:
                return self._fit.position_at(utc_ns)
        known, known_ns = self._anchor
        return known + round((utc_ns - known_ns) * self._samplerate / 1e9)
