"""When frames were: the fit of a running engine's axis to the clocks, against drift, wrong clocks, losses, steps and deaths."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plain_engine import PlainEngine, until

import asmu_control as asmu
from asmu_engine.protocol.clock import ClockFit

pytestmark = pytest.mark.e2e

RATE = 48_000.0
PPM = 37.0


def fitted(engine: PlainEngine, enough: Callable[[ClockFit], bool] = lambda fit: True) -> ClockFit:
    """The first fit that is good enough."""

    def look() -> ClockFit | None:
        wire = engine.client.result("status")["clock_fit"]
        fit = None if wire is None else ClockFit.model_validate(wire)
        return fit if fit and enough(fit) else None

    fit = until(look, "a fit of the clocks")
    assert isinstance(fit, ClockFit)
    return fit


def newest(engine: PlainEngine) -> ClockFit:
    """A fit of what comes from now on."""
    position = engine.client.result("status")["frame_position"]
    return fitted(engine, lambda fit: fit.position >= position)


def utc_ahead_ns() -> int:
    """What this machine's UTC is ahead of its monotonic clock: the quickest of three readings, so that nothing came between."""
    readings = []
    for _ in range(3):
        before, utc_ns, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after - before, utc_ns - (before + after) // 2))
    return min(readings)[1]


def check_times(engine: PlainEngine, fit: ClockFit, *, utc_ahead_s: float = 0.0) -> None:
    """What the fit says of the newest frame is what the engine's own clocks, and this machine's, say of it."""
    clock = engine.client.result("hello", name="plain")["clock"]
    monotonic_ns, uncertainty = fit.monotonic_at(clock["frame_position"])
    assert abs(monotonic_ns - clock["monotonic_ns"]) <= 4 * uncertainty
    utc_ns, _ = fit.utc_at(clock["frame_position"])
    machine_ns = monotonic_ns + utc_ahead_ns() + round(utc_ahead_s * 1e9)
    assert abs(utc_ns - machine_ns) < 10_000_000
    assert abs(fit.position_at(utc_ns) - clock["frame_position"]) <= 1


@pytest.mark.parametrize("speed", [1, 8])
def test_the_drift_of_the_device_is_known_within_a_minute_of_it(speed: int) -> None:
    with PlainEngine("lab", device=f"virtual:drift_ppm={PPM},speed={speed}") as engine:
        assert engine.client.result("status")["clock_fit"] is None
        begin = engine.client.result("start")["position"]
        fit = fitted(engine)
        assert fit.position - begin <= 60 * RATE
        assert abs(fit.ppm - PPM) <= 1.0
        assert abs(fit.ppm - PPM) <= max(4 * fit.ppm_uncertainty, 1e-3)
        assert fit.samplerate == pytest.approx(RATE * speed * (1 + PPM * 1e-6), rel=1e-6)
        check_times(engine, fit)


def test_wrong_device_times_and_counted_losses_change_nothing() -> None:
    with PlainEngine("lab", device=f"virtual:drift_ppm={PPM}") as engine:
        engine.client.listen()
        engine.client.result("start")
        before = fitted(engine)
        for fault in (
            {"fault": "clock_zero", "blocks": 200},
            {"fault": "lose", "frames": 12_345},
            {"fault": "clock_jump", "blocks": 200},
            {"fault": "lose", "frames": 1},
            {"fault": "stall", "blocks": 20},
        ):
            engine.client.result("fault", **fault)
        lost = 12_346
        until(lambda: engine.client.result("status")["counters"]["lost_frames"] >= lost, "the losses")
        until(lambda: engine.client.result("status")["frame_position"] >= before.position + 3 * RATE, "three seconds more")
        fit = newest(engine)
        assert abs(fit.ppm - PPM) <= 1.0
        assert abs(fit.monotonic_ns - before.monotonic_at(fit.position)[0]) < 1_000_000
        check_times(engine, fit)
        engine.client.event("xrun", "xrun")
        told = [(event["lost"], event["uncertainty"]) for event in engine.client.seen if event["topic"] == "xrun"]
        assert sum(frames for frames, _ in told) == engine.client.result("status")["counters"]["lost_frames"]
        assert {uncertainty for _, uncertainty in told} == {0}
        assert not any(event.get("event") == "clock_step" for event in engine.client.seen)


def test_utc_that_is_set_moves_utc_alone_and_the_death_of_the_audio_process_moves_nothing() -> None:
    def steps(client: Any) -> list[dict[str, Any]]:
        client.event("engine", "clock_step")
        return [event for event in client.seen if event.get("event") == "clock_step"]

    with PlainEngine("lab", device=f"virtual:drift_ppm={PPM}") as engine:
        engine.client.listen()
        engine.client.result("start")
        before = fitted(engine)
        at = engine.client.result("status")["frame_position"]
        engine.client.result("fault", fault="clock_step", seconds=3600.25)
        (step,) = steps(engine.client)
        assert abs(step["seconds"] - 3600.25) < 0.01
        assert not step["suspended"]
        assert at - RATE <= step["position"] <= engine.client.result("status")["frame_position"]
        fit = fitted(engine, lambda fit: fit.utc_ns - fit.monotonic_ns > before.utc_ns - before.monotonic_ns + 10**9)
        assert abs(fit.ppm - PPM) <= 1.0
        assert abs(fit.monotonic_ns - before.monotonic_at(fit.position)[0]) < 1_000_000
        check_times(engine, fit, utc_ahead_s=3600.25)

        os.kill(engine.client.result("status")["processes"]["audio"]["pid"], signal.SIGKILL)
        restarted = engine.client.event("engine", "audio_restarted")
        after = fitted(engine, lambda fit: fit.position >= restarted["position"])
        assert abs(after.ppm - PPM) <= 1.0, "the rate is known from the stream before"
        # The new process knows nothing of the UTC that was simulated in the one before: to the host UTC is set back.
        until(lambda: len(steps(engine.client)) == 2, "the step back")
        assert abs(steps(engine.client)[1]["seconds"] + 3600.25) < 0.01
        check_times(engine, newest(engine))


def test_a_script_asks_when_a_frame_was() -> None:
    with asmu.Interface(device=f"virtual:inputs=1,outputs=0,drift_ppm={PPM}", samplerate=48_000, blocksize=256) as interface:
        interface.iinput(ch=1)
        interface.start()
        fit = interface.clock_fit()
        assert abs(fit.ppm - PPM) <= 1.0
        position = interface.frame_position
        when, uncertainty = interface.time_of(position)
        now = np.datetime64(time.time_ns(), "ns")
        assert abs(now - when) < np.timedelta64(1, "s")
        assert 0.0 < uncertainty < 1e-3
        assert abs(interface.position_of(when) - position) <= 1
        begun = interface.time_of(interface.start_frame)[0]
        seconds = (when - begun) / np.timedelta64(1, "s")
        assert seconds == pytest.approx((position - interface.start_frame) / (RATE * (1 + PPM * 1e-6)), abs=1e-4)
