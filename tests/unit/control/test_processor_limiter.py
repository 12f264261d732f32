from __future__ import annotations

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.exceptions import PatchError


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=48000)


def test_it_states_its_latency(interface: asmu.Interface) -> None:
    limiter = asmu.effect.Limiter(interface, 0.5, attack=0.003)
    assert limiter.latency_frames == 144
    limiter.set_threshold(0.25)
    limiter.set_release(1)
    assert limiter.threshold == 0.25


def test_nonsense_is_refused(interface: asmu.Interface) -> None:
    for arguments in ((0,), (-1,), (1, -0.1), (1, 2), (1, 0, -1), (float("nan"),)):
        with pytest.raises(PatchError):
            asmu.effect.Limiter(interface, *arguments)
    assert interface.processors == ()


def test_stepped_by_hand(interface: asmu.Interface) -> None:
    limiter = asmu.effect.Limiter(interface, 0.5, attack=0.001)
    interface.iinput(ch=1).connect(limiter.input())
    limiter.output().connect(interface.ioutput(ch=1))
    frames = interface.blocksize
    signal = np.full((frames, 1), 0.25, np.float32)
    out = np.empty((frames, 1), np.float32)
    interface.callback(signal, out, frames)
    assert not out[:48].any()
    assert (out[48:] == 0.25).all()
    signal[100] = 4.0
    interface.callback(signal, out, frames)
    assert np.abs(out).max() <= 0.5
    assert out[148, 0] == pytest.approx(0.5, rel=1e-6)
    interface.close()
