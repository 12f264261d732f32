from __future__ import annotations

import numpy as np
import pytest
from one_shots import live_interface, tell

import asmu_control as asmu
from asmu_control.exceptions import PatchError


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=48000)


def test_asmus_arguments(interface: asmu.Interface) -> None:
    adsr = asmu.effect.ADSR(interface, 0.1, 0.2, 0.5, 0.3, "log", True, False)
    assert adsr._get("release") == 0.3
    adsr.set_envelope(attack=0.01, sustain=0)
    assert (adsr._get("attack"), adsr._get("decay"), adsr._get("sustain"), adsr._get("scale")) == (0.01, 0.2, 0, "log")


def test_nonsense_is_refused(interface: asmu.Interface) -> None:
    for arguments in ((-1, 0, 0, 0), (0, 0, 1.1, 0), (0, 0, 0, 3601), (0, 0, 0, 0, "dB"), (0, "long", 0, 0)):
        with pytest.raises(PatchError):
            asmu.effect.ADSR(interface, *arguments)
    assert interface.processors == ()


def test_what_goes_to_the_engine(client, link) -> None:
    adsr = asmu.effect.ADSR(live_interface(client), 0.1, 0.2, 0.5, 0.3)
    adsr.start()
    adsr.release()
    assert [edit["call"] for edit in link.edits() if edit["op"] == "call"] == ["start", "release_now"]


def test_running_from_the_start_to_the_end_of_the_release(client, link) -> None:
    adsr = asmu.effect.ADSR(live_interface(client), 0.1, 0.2, 0.5, 0.3)
    assert not adsr.running()
    tell(link, adsr.name, 1000)
    adsr.start()
    assert adsr.running()
    tell(link, adsr.name, triggered=1024)
    assert adsr.running()
    adsr.release()
    assert adsr.running()
    tell(link, adsr.name, 20000, triggered=1024, finished=16384)
    assert not adsr.running()
    adsr.start()
    assert adsr.running()
    adsr.start()
    assert adsr.running()
    adsr.interface.acore.reset()
    assert not adsr.running()


def test_without_an_engine_it_does_not_run(interface: asmu.Interface) -> None:
    adsr = asmu.effect.ADSR(interface, 0.1, 0.2, 0.5, 0.3)
    adsr.start()
    adsr.release()
    assert not adsr.running()


def test_it_does_not_run_in_an_engine_that_has_ended(client, link) -> None:
    adsr = asmu.effect.ADSR(live_interface(client), 0.1, 0.2, 0.5, 0.3)
    adsr.start()
    adsr.interface.close()
    assert not adsr.running()


def test_stepped_by_hand(interface: asmu.Interface) -> None:
    frames = interface.blocksize
    adsr = asmu.effect.ADSR(interface, 0.01, 0.005, 0.25, 0.02)
    interface.iinput(ch=1).connect(adsr.input())
    adsr.output().connect(interface.ioutput(ch=1))
    ones, out = np.ones((frames, 1), np.float32), np.empty((frames, 1), np.float32)
    t = np.arange(frames) / 48000
    interface.callback(ones, out, frames)
    assert not out.any()
    adsr.start()
    assert adsr.running()
    interface.callback(ones, out, frames)
    assert np.abs(out[:, 0] - np.interp(t, [0, 0.01, 0.015], [0, 1, 0.25])).max() < 1e-7
    adsr.release()
    interface.callback(ones, out, frames)
    assert np.abs(out[:, 0] - np.interp(t, [0, 0.02], [0.25, 0])).max() < 1e-7
    assert not adsr.running()
    interface.close()
