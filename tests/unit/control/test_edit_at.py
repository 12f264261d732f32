"""Changes for a frame position, in a patch that is stepped by hand: exact samples, and a script's objects that follow."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.exceptions import EngineError, PatchError

FRAMES = 256


@pytest.fixture
def interface():
    interface = asmu.Interface(device="virtual", samplerate=48000, blocksize=FRAMES)
    yield interface
    interface.close()


def step(interface: asmu.Interface, count: int = 1, channels: int = 1, frames: int = FRAMES) -> np.ndarray:
    out = np.full((count * frames, channels), np.nan, np.float32)
    for begin in range(0, len(out), frames):
        interface.callback(None, out[begin : begin + frames], frames)
    return out


@pytest.fixture
def constant(interface: asmu.Interface) -> asmu.generator.Constant:
    constant = asmu.generator.Constant(interface, 1.0)
    constant.output().connect(interface.ioutput(ch=1))
    step(interface)
    return constant


def test_values_structure_and_calls_take_effect_with_the_frame(interface, constant):
    burst = asmu.generator.SineBurst(interface, 1000.0, 2)
    burst.output().connect(interface.ioutput(ch=2))
    step(interface, 2, 2)  # the first burst is over
    assert interface.frame_position == 768
    with interface.edit(at=1000) as edit:
        constant.set_value(2.0)
        burst.restart()
    assert (edit.state, edit.at, edit.scheduled, edit.late) == ("waiting", 1000, 1, 0)
    assert not edit.wait(10)  # stepped by hand: nobody steps meanwhile
    with interface.edit(at=1001) as swap:
        interface.ioutput(ch=1).disconnect(constant.output())
        asmu.generator.Constant(interface, 3.0).output().connect(interface.ioutput(ch=1))
    out = step(interface, 2, 2)
    n = np.arange(768, 768 + 512)
    assert np.array_equal(out[:, 0], np.select([n < 1000, n < 1001], [1, 2], 3))
    wanted = np.where((n >= 1000) & (n < 1096), np.sin(2 * np.pi * 1000 * (n - 1000) / 48000), 0)
    assert np.allclose(out[:, 1], wanted, atol=1e-6)
    assert not out[n == 1096, 1].any()
    assert edit.wait()
    assert (edit.state, edit.at, edit.late) == ("edited", 1000, 0)
    assert swap.check()
    assert swap.revision == edit.revision + 1
    assert repr(swap) == "<Transaction: edited at frame 1001>"


def test_the_present_and_what_is_over_take_effect_at_once(interface, constant):
    with interface.edit() as edit:
        constant.set_value(2.0)
    assert (edit.state, edit.at, edit.late, edit.scheduled) == ("edited", 256, 0, None)
    with interface.edit(at=250) as edit:
        constant.set_value(3.0)
    assert (edit.state, edit.at, edit.late) == ("edited", 256, 6)
    assert set(step(interface)[:, 0]) == {3.0}
    assert edit.wait()
    assert not edit.cancel()


def test_cancelled_changes_are_taken_out_of_the_script_too(interface, constant):
    with interface.edit(at=1000) as first:
        constant.set_value(2.0)
        constant.disconnect()
        other = asmu.generator.Constant(interface, 5.0)
    with interface.edit(at=1100) as second:
        other.output().connect(interface.ioutput(ch=1))
    later = asmu.effect.Gain(interface, 2.0)
    assert constant not in interface.processors
    assert other in interface.processors
    assert first.cancel()
    assert not first.cancel()
    assert set(interface.processors) == {constant, later}
    assert constant.value in (1.0, [1.0])
    assert set(step(interface, 4)[:, 0]) == {1.0}
    with pytest.raises(PatchError, match="cancelled"):
        first.wait()
    # What needed it was dropped by the engine.
    with pytest.raises(PatchError, match="no node"):
        second.wait()
    assert (first.state, second.state) == ("cancelled", "dropped")
    constant.set_value(4.0)
    assert set(step(interface)[:, 0]) == {4.0}
    assert not interface._patch._since
    assert interface._patch._before is None


def test_changes_that_the_engine_drops_leave_the_script_when_it_looks(interface, constant):
    gain = asmu.effect.Gain(interface, 2.0)
    with interface.edit(at=1000) as edit:
        gain.input().connect(constant.output())
    interface._session.client.edit([{"op": "remove", "node": gain.name}])  # as another client would
    step(interface, 3)
    assert interface._patch.graph.sources[(gain.name, 0)] == (constant.name, 0)
    with pytest.raises(PatchError) as refusal:
        edit.check()
    assert refusal.value.code == "unknown_node"
    assert (gain.name, 0) not in interface._patch.graph.sources


def test_a_revision_that_has_changed_is_refused_and_nothing_changes(interface, constant):
    with interface.edit() as edit:
        constant.set_value(2.0)
    assert edit.revision is not None
    constant.set_value(3.0)
    with pytest.raises(PatchError) as refusal, interface.edit(if_revision=edit.revision):
        constant.set_value(4.0)
    assert refusal.value.code == "revision_changed"
    assert set(step(interface)[:, 0]) == {3.0}
    with interface.edit(if_revision=edit.revision + 1):
        constant.set_value(4.0)
    assert set(step(interface)[:, 0]) == {4.0}


def test_what_edit_refuses(interface, constant):
    with pytest.raises(ValueError, match="whole number"), interface.edit(at=-1):
        pass
    with pytest.raises(ValueError, match="whole number"), interface.edit(at=1.5):
        pass
    with interface.edit(at=2000) as edit:
        constant.set_value(2.0)
        with interface.edit() as inner:
            constant.set_value(2.5)
        assert inner is edit
        with pytest.raises(EngineError, match="give at= to that"), interface.edit(at=3000):
            pass
        for refused in (edit.wait, edit.cancel, edit.check):
            with pytest.raises(EngineError):
                refused()
    assert edit.cancel()
    closed = asmu.Interface(device="virtual", samplerate=48000, blocksize=FRAMES)
    with pytest.raises(EngineError, match=r"interface\.open"), closed.edit(at=100):
        pass
    with closed.edit() as early:
        asmu.generator.Constant(closed, 1.0)
    assert (early.state, early.at, early.revision) == ("edited", None, None)
    assert closed.frame_position == 0


def test_a_body_that_raises_schedules_nothing(interface, constant):
    def change() -> None:
        with interface.edit(at=1000):
            constant.set_value(2.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert set(step(interface, 4)[:, 0]) == {1.0}
    assert interface._session.client.scheduled() == []


def test_closing_the_interface_takes_back_what_waits(interface, constant):
    with interface.edit(at=10_000) as edit:
        constant.disconnect()
    interface.close()
    assert edit.state == "cancelled"
    assert interface.processors == (constant,)
    assert set(step(interface)[:, 0]) == {1.0}


def test_channels_that_an_edit_inside_the_block_takes_into_use_must_be_there(interface, constant):
    with interface.edit(at=300):
        constant.output().connect(interface.ioutput(ch=3))
    with interface.edit(at=310):
        interface.ioutput(ch=3).disconnect(constant.output())
    with pytest.raises(ValueError, match="channel 3"):
        step(interface, 1, 2)
    out = step(interface, 1, 3)
    n = np.arange(256, 512)
    assert np.array_equal(out[:, 2], np.where((n >= 300) & (n < 310), 1, 0))


def test_how_blocks_are_cut_makes_no_difference(interface):
    sine = asmu.generator.Sine(interface, 1000.0)
    sine.output().connect(interface.ioutput(ch=1))
    step(interface, frames=1)
    whole = _with_changes(interface, sine, [5000])
    assert np.array_equal(whole, _with_changes(interface, sine, [256] * 19 + [136]))
    assert np.array_equal(whole, _with_changes(interface, sine, [1, 999, 250, 1750, 2000]))


def _with_changes(interface: asmu.Interface, sine: asmu.generator.Sine, cuts: list[int]) -> np.ndarray:
    interface.acore.reset()
    begin = interface.frame_position
    for offset, frequency in ((1, 500.0), (700, 777.0), (1000, 3000.0), (4999, 1000.0)):
        with interface.edit(at=begin + offset):
            sine.set_frequency(frequency)
    return np.concatenate([step(interface, 1, frames=frames) for frames in cuts])


def test_many_changes_while_one_waits_are_not_remembered_for_ever(interface, constant):
    with interface.edit(at=300):
        constant.set_value(9.0)
    step(interface)
    for value in range(600):
        constant.set_value(float(value))
    assert len(interface._patch._since) < 256
    assert constant.value in (599.0, [599.0])


def test_threads_may_wait_while_others_edit(interface, constant):
    with interface.edit(at=100_000) as edit:
        constant.set_value(2.0)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            edit.check()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for value in range(200):
            constant.set_value(float(value))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert edit.cancel()
    assert constant.value in (199.0, [199.0])


def test_an_interface_is_not_closed_within_edit(interface, constant):
    with interface.edit():
        constant.set_value(2.0)
        with pytest.raises(EngineError, match=r"cannot close within edit\(\)") as caught:
            interface.close()
    assert caught.value.code == "engine_state"
    assert step(interface)[-1] == 2.0
