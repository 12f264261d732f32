"""Frame positions and times, as a script asks for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.exceptions import EngineError
from asmu_control.testing import FakeLink

FIT = {
    "position": 480_000,
    "monotonic_ns": 70_000_000_000,
    "utc_ns": 1_767_225_600_000_000_123,
    "samplerate": 48_000.0,
    "ppm": 0.0,
    "residual_ns": 900.0,
    "uncertainty_ns": 200.0,
    "ppm_uncertainty": 0.5,
    "seconds": 60.0,
    "device_s": None,
    "device_ppm": None,
}


class Fitted(FakeLink):
    """An engine that has fitted its clocks, from the `after`-th question on, to a device that keeps time if `paced`."""

    after = 0
    paced = True

    def _do(self, message: Any) -> Any:
        result = super()._do(message)
        if message["type"] == "status":
            self.after -= 1
            device = result["device"] and {**result["device"], "paced": self.paced}
            result = {**result, "device": device, "clock_fit": FIT if self.after < 0 else None}
        return result


@pytest.fixture
def link() -> Fitted:
    return Fitted()


@pytest.fixture
def interface(link: Fitted) -> asmu.Interface:
    interface = asmu.Interface(engine=Client(link))
    interface.open()
    return interface


def test_a_frame_has_a_time_and_its_uncertainty(interface: asmu.Interface) -> None:
    assert interface.time_of(480_000) == (np.datetime64("2026-01-01T00:00:00.000000123", "ns"), pytest.approx(200e-9))
    when, uncertainty = interface.time_of(480_000 + 48_000 * 3600)
    assert when == np.datetime64("2026-01-01T01:00:00.000000123", "ns")
    assert uncertainty == pytest.approx(200e-9 + 3600 * 0.5e-6)
    assert interface.clock_fit().ppm_uncertainty == 0.5


@pytest.mark.parametrize(
    "utc",
    [
        "2026-01-01T00:00:01Z",
        "2026-01-01 01:00:01+01:00",
        np.datetime64("2026-01-01T00:00:01"),
        datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
    ],
)
def test_a_time_has_a_frame(interface: asmu.Interface, utc: Any) -> None:
    assert interface.position_of(utc) == 528_000


def test_what_is_no_time_is_refused(interface: asmu.Interface) -> None:
    with pytest.raises(ValueError, match="'soon' is no time"):
        interface.position_of("soon")


def test_the_first_fit_of_a_stream_is_waited_for(link: Fitted, interface: asmu.Interface) -> None:
    interface.start()
    link.after = 3
    assert interface.time_of(480_000)[0] == np.datetime64("2026-01-01T00:00:00.000000123", "ns")
    assert link.after == -1
    link.after = 10**9
    with pytest.raises(EngineError, match="it takes some seconds") as refused:
        interface.clock_fit(timeout=0.0)
    assert refused.value.code == "engine_state"
    assert refused.value.retry


def test_a_device_that_keeps_no_time_is_named(link: Fitted, interface: asmu.Interface) -> None:
    link.after, link.paced = 10**9, False
    interface.start()
    with pytest.raises(EngineError, match="device fake keeps no time") as refused:
        interface.position_of("2026-01-01")
    assert not refused.value.retry


def test_nothing_is_waited_for_where_no_device_runs(link: Fitted, interface: asmu.Interface) -> None:
    link.after = 10**9
    with pytest.raises(EngineError, match=r"the device is stopped$") as refused:
        interface.time_of(0)
    assert not refused.value.retry
