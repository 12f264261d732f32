from __future__ import annotations

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.exceptions import PatchError


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=48000)


def test_asmus_arguments(interface: asmu.Interface) -> None:
    ramp = asmu.effect.GainRamp(interface, 0.5, 2, "log", True, False)
    assert ramp.gain == 0.5
    ramp.set_gain(1)
    ramp.set_gradient(3)
    assert repr(ramp) == "<GainRamp gainramp1: gain 1, gradient 3 1/s, scale log, 1 input, 1 output>"
    assert len(asmu.effect.GainRamp(interface, np.array([0.0, 1.0]), 1).inputs) == 2


def test_nonsense_is_refused(interface: asmu.Interface) -> None:
    for arguments in ((1, -1), (1, float("nan")), (1, 1, "dB"), ("loud", 1), (float("nan"), 1), (7, 1, "log")):
        with pytest.raises(PatchError) as caught:
            asmu.effect.GainRamp(interface, *arguments)
        assert caught.value.code == "bad_value"
    assert interface.processors == ()
    ramp = asmu.effect.GainRamp(interface, 1, 1, "log")
    with pytest.raises(PatchError, match=r"10\^6.5/9; use 6 at most"):
        ramp.set_gain([6.5])
    assert ramp.gain == 1
    assert asmu.effect.GainRamp(interface, 7, 1).gain == 7


def test_stepped_by_hand_it_is_exact_to_the_sample(interface: asmu.Interface) -> None:
    ramp = asmu.effect.GainRamp(interface, 0.25, 1.5)
    interface.iinput(ch=1).connect(ramp.input())
    ramp.output().connect(interface.ioutput(ch=1))
    frames = interface.blocksize
    ones, out = np.ones((frames, 1), np.float32), np.empty((frames, 1), np.float32)
    interface.callback(ones, out, frames)
    assert (out == 0.25).all()
    ramp.set_gain(1)
    interface.callback(ones, out, frames)
    assert out[-1, 0] == pytest.approx(0.25 + 1.5 * frames / 48000, abs=1e-7)
    interface.close()
