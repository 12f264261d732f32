"""The virtual device's clock, told to be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from device_takes import Take

from asmu_engine.devices.faults import plug
from asmu_engine.devices.open import open_device
from asmu_engine.devices.virtual import VirtualDevice

BLOCK = 64


@pytest.mark.parametrize("fault", ["clock_zero", "clock_jump"])
def test_a_clock_that_is_wrong_for_some_blocks_and_nothing_else(fault: str) -> None:
    device = open_device("virtual:name=clocked,buffer_s=3600,speed=20", 48000, BLOCK)
    assert isinstance(device, VirtualDevice)
    try:
        take = Take(device, 20, during=lambda block: device.fault(fault, blocks=6) if block == 5 else None).run()
    finally:
        device.close()
        plug("clocked", present=True)
    period = BLOCK / 48000 / 20
    right = np.array(take.due_ns) * 1e-9 - period
    off = np.array(take.device_times) - right
    wrong = slice(5, 11)
    assert np.abs(np.delete(off, np.arange(5, 11))).max() < 1e-6
    if fault == "clock_zero":
        assert take.device_times[wrong] == [0.0] * 6
    else:
        assert np.allclose(np.abs(off[wrong]), [2.3 if n in (2, 5) else 3.7 for n in range(6)], atol=1e-6)
        assert off[wrong].min() < 0 < off[wrong].max()
    assert np.abs(np.diff(take.due_ns) - period * 1e9).max() <= 1
    assert sum(take.lost) == sum(take.flags) == 0
