"""The clocks of real PortAudio streams: of sound servers whose device is a timer of this machine, so that nothing drifts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine_takes import RATE, use
from sound_servers import JACK_PERIOD, Due, Server, needs, newest_block, start_jack, until

import asmu_control as asmu
from asmu_engine.protocol.clock import ClockFit
from asmu_engine.protocol.errors import AsmuError

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(240)]

SECONDS = 12.0
ATTEMPTS = 6
HALF_A_SECOND = np.timedelta64(500, "ms")
A_TENTH_NS = 100_000_000
SILENT = re.compile("(has not called|no callback) for [0-9.]+ s")
"""Why a stream was taken for lost that the machine kept waiting."""


def stood_still(first: Due, last: Due) -> float:
    """By how many seconds more the clock went on than the stream."""
    return (last.monotonic_ns - first.monotonic_ns) * 1e-9 - (last.position - first.position) / RATE


def check_utc(block: Due) -> None:
    """It is that of this machine at that monotonic time, whenever that was."""
    before, monotonic_ns, after = time.time_ns(), time.monotonic_ns(), time.time_ns()
    assert before - A_TENTH_NS < block.utc_ns + monotonic_ns - block.monotonic_ns < after + A_TENTH_NS


def fit_of_a_stream(device: str, blocksize: int, most_still_s: float, most_late_s: float) -> ClockFit | None:
    """What is known after some seconds; None where this machine kept the stream waiting, until it was taken for lost at worst.

    `most_still_s`: by so much the stream may fall behind for good; `most_late_s`: so late a block of it may be.
    """
    try:
        with asmu.Interface(device=device, samplerate=RATE, blocksize=blocksize, inputs=[1], outputs=[1]) as interface:
            return fit_after_seconds(interface, most_still_s, most_late_s)
    except AsmuError as error:
        if SILENT.search(str(error)):
            return None
        raise


def fit_after_seconds(interface: asmu.Interface, most_still_s: float, most_late_s: float) -> ClockFit | None:
    """On the way each fit tells the time of the newest block."""
    interface.start()
    until(lambda: newest_block().monotonic_ns, 30, "there is no block")
    first = newest_block()
    fit = interface.clock_fit()
    while (stats := interface.stats())["state"] == "running" and fit.seconds < SECONDS:
        block = newest_block()
        when, uncertainty = interface.time_of(block.position)
        fit = interface.clock_fit()
        # A stream that stood still and caught up in a hurry is no clock either.
        if stats["late_max_ns"] > 1e9 * most_late_s or stood_still(first, newest_block()) > most_still_s:
            return None
        check_utc(block)
        assert abs(when - np.datetime64(block.utc_ns, "ns")) < HALF_A_SECOND
        assert 0.0 < uncertainty < 0.1
        time.sleep(0.2)
    return fit if stats["late_max_ns"] <= 1e9 * most_late_s else None


def last_fit(fit_of_next: Callable[[], ClockFit | None]) -> ClockFit:
    """That of the first stream which this machine did not keep waiting: of another one it is no clock."""
    for _ in range(ATTEMPTS):
        if (fit := fit_of_next()) is not None:
            return fit
    pytest.fail("this machine kept every stream waiting")


def test_two_clocks_of_a_pulseaudio_stream_agree_on_its_rate(pulse: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(pulse, monkeypatch)
    fit = last_fit(lambda: fit_of_a_stream(pulse.device + ",latency=0.5", 512, 0.1, 0.25))
    # Its timer is rounded; and it wakes late on a busy machine, which the fit knows.
    assert abs(fit.ppm) < 1000.0 + 5 * fit.ppm_uncertainty
    assert fit.device_ppm is None or abs(fit.device_ppm - fit.ppm) < 100.0 + 5 * fit.ppm_uncertainty


def test_a_jack_server_that_this_machine_times_does_not_drift(
    jack_lock: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("jackd", "jack_lsp")

    def fit_of_next() -> ClockFit | None:
        # Each a server of its own: one that was later than its period skips time, and its clock is wrong for 13 s afterwards.
        server = start_jack(tmp_path)
        try:
            use(server, monkeypatch)
            return fit_of_a_stream(server.device, JACK_PERIOD, 0.01, 0.9 * JACK_PERIOD / RATE)
        finally:
            server.stop()

    fit = last_fit(fit_of_next)
    assert abs(fit.ppm) < 5.0 + 5 * fit.ppm_uncertainty
    assert fit.device_ppm is None or abs(fit.device_ppm) < 50.0
