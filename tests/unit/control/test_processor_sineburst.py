from __future__ import annotations

import numpy as np
import pytest
from one_shots import check_finished, live_interface

import asmu_control as asmu
from asmu_control.exceptions import EngineTimeout, PatchError


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=48000)


def test_asmus_arguments(interface: asmu.Interface) -> None:
    burst = asmu.generator.SineBurst(interface, 1000, 5, 0.5, True)
    assert repr(burst) == "<SineBurst sineburst1: frequency 1000 Hz, periods 5, phase 0.5 rad, 1 output>"
    assert len(asmu.generator.SineBurst(interface, [1000, 2000], 5).outputs) == 2


def test_nonsense_is_refused(interface: asmu.Interface) -> None:
    for arguments in ((0, 1), (-1, 1), (1000, -1), (1000, float("inf")), (1e9, 1)):
        with pytest.raises(PatchError):
            asmu.generator.SineBurst(interface, *arguments)
    assert interface.processors == ()


def test_what_goes_to_the_engine(client, link) -> None:
    burst = asmu.generator.SineBurst(live_interface(client), 1000, 5)
    burst.set_frequency(500)
    burst.set_periods(2.5)
    burst.restart()
    assert link.edits() == [
        {
            "op": "add",
            "node": "sineburst1",
            "kind": "sineburst",
            "inputs": 0,
            "outputs": 1,
            "parameters": {"frequency": 1000.0, "periods": 5.0, "phase": 0.0},
        },
        {"op": "set", "node": "sineburst1", "parameters": {"frequency": 500.0}},
        {"op": "set", "node": "sineburst1", "parameters": {"periods": 2.5}},
        {"op": "call", "node": "sineburst1", "call": "restart"},
    ]


def test_finished(client, link) -> None:
    burst = asmu.generator.SineBurst(live_interface(client), 1000, 5)
    check_finished(burst, link, burst.restart)


def test_before_there_is_an_engine_nothing_has_finished(interface: asmu.Interface) -> None:
    burst = asmu.generator.SineBurst(interface, 1000, 5)
    burst.restart()
    assert not burst.finished(timeout=0.01)


def test_a_restart_that_was_refused_leaves_the_run_as_it_is(client, link) -> None:
    burst = asmu.generator.SineBurst(live_interface(client), 1000, 5)
    link.answers["status"]["counters"]["frame_position"] = 9999
    link.answers["status"]["said"] = {burst.name: {"started": 0, "finished": 256}}
    link.answers["transaction"] = EngineTimeout("late", code="timeout", retry=True)
    with pytest.raises(EngineTimeout):
        burst.restart()
    assert burst.finished()


def test_an_engine_that_runs_already_may_have_begun_it(client, link) -> None:
    interface = asmu.Interface(engine=client)
    interface._session.prefix = ""
    burst = asmu.generator.SineBurst(interface, 1000, 5)
    link.answers["status"]["counters"]["frame_position"] = 9999
    interface.start()
    link.answers["status"]["said"] = {burst.name: {"started": 9728, "finished": 9984}}
    assert burst.finished()


def test_stepped_by_hand(interface: asmu.Interface) -> None:
    burst = asmu.generator.SineBurst(interface, 1000, 30)
    burst.output().connect(interface.ioutput(ch=1))
    frames = interface.blocksize
    out = np.empty((2 * frames, 1), np.float32)
    interface.callback(None, out[:frames], frames)
    assert not burst.finished(block=False)
    interface.callback(None, out[frames:], frames)
    assert burst.finished(block=False)
    n = np.arange(2 * frames)
    expected = np.where(n < 1440, np.sin(2 * np.pi * n / 48), 0)
    assert np.abs(out[:, 0] - expected).max() < 1e-6
    for again in (burst.restart, interface.acore.reset):
        again()
        assert not burst.finished(block=False)
        for part in (out[:frames], out[frames:]):
            interface.callback(None, part, frames)
        assert burst.finished(block=False)
        assert np.abs(out[:, 0] - expected).max() < 1e-6
    interface.close()
    assert burst.finished(block=False)
