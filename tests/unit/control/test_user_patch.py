"""Ports, processors and transactions, without an engine and against the messages that they become."""

from __future__ import annotations

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.exceptions import EngineTimeout, PatchError
from asmu_control.patch import Patch


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual")


@pytest.fixture
def live(client, link) -> asmu.Interface:
    """An interface whose every edit goes to the fake link."""
    interface = asmu.Interface(engine=client)
    interface._session.prefix = ""
    interface.open()
    return interface


# -- ports ------------------------------------------------------------------------------------------------------


def test_connected_both_ways(interface: asmu.Interface) -> None:
    sine, gain = asmu.generator.Sine(interface, 100), asmu.effect.Gain(interface, 1)
    assert not sine.output()
    assert not gain.input()
    assert gain.input().connected_output is None
    sine.output().connect(gain.input())
    assert sine.output()
    assert gain.input()
    assert gain.input().connected_output == sine.output()
    assert sine.output().inputs == (gain.input(),)
    gain.output().connect(interface.ioutput(ch=3))
    interface.iinput(ch=1).connect(interface.ioutput(ch=2))
    assert interface.ioutput(ch=3).connected_output == gain.output()
    assert interface.ioutput(ch=2).connected_output is interface.iinput(ch=1)
    assert gain.output().inputs == (interface.ioutput(ch=3),)
    assert gain.output().inputs[0] is interface.ioutput(ch=3)


def test_an_input_may_do_the_connecting(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 100)
    interface.ioutput(ch=1).connect(sine.output())
    assert sine.output().inputs == (interface.ioutput(ch=1),)


def test_disconnect_one_all_and_by_the_input(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 100)
    outputs = [interface.ioutput(ch=ch) for ch in (1, 2, 3, 4)]
    for output in outputs:
        sine.output().connect(output)
    sine.output().disconnect(outputs[0])
    assert sine.output().inputs == tuple(outputs[1:])
    outputs[1].disconnect()
    outputs[2].disconnect(sine.output())
    assert sine.output().inputs == (outputs[3],)
    sine.output().disconnect()
    assert not sine.output()
    outputs[0].disconnect()  # nothing is fed, which is what was wanted


def test_disconnecting_what_is_not_connected(interface: asmu.Interface) -> None:
    one, two = asmu.generator.Sine(interface, 1), asmu.generator.Sine(interface, 2)
    one.output().connect(interface.ioutput(ch=1))
    with pytest.raises(PatchError) as caught:
        two.output().disconnect(interface.ioutput(ch=1))
    assert caught.value.code == "not_connected"
    with pytest.raises(PatchError):
        interface.ioutput(ch=1).disconnect(two.output())
    assert interface.ioutput(ch=1).connected_output == one.output()


def test_a_second_source_is_refused_with_the_first_named(interface: asmu.Interface) -> None:
    one, two = asmu.generator.Sine(interface, 1), asmu.generator.Sine(interface, 2)
    one.output().connect(interface.ioutput(ch=1))
    with pytest.raises(PatchError, match=r"output channel 1 is already fed by output 0 of sine1; .* Sum") as caught:
        two.output().connect(interface.ioutput(ch=1))
    assert caught.value.code == "port_in_use"
    assert isinstance(caught.value, ValueError)


def test_what_cannot_be_connected(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 1)
    with pytest.raises(TypeError, match="an output feeds an input"):
        sine.output().connect(sine.output())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an input is fed by an output"):
        interface.ioutput(ch=1).connect(interface.ioutput(ch=2))  # type: ignore[arg-type]
    with pytest.raises(PatchError, match="different interfaces"):
        sine.output().connect(asmu.Interface(device="virtual").ioutput(ch=1))


def test_ports_are_equal_by_place_and_hashable(interface: asmu.Interface) -> None:
    sum_ = asmu.effect.Sum(interface)
    assert sum_.input() == sum_.input(0)
    assert sum_.input() != sum_.output()
    assert sum_.input() != 3
    assert len({sum_.input(), sum_.input(), sum_.output()}) == 2


def test_port_reprs(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 1)
    assert repr(sine.output()) == "<output 0 of sine1>"
    assert repr(interface.iinput(ch=9)) == "in_ch09"
    assert repr(interface.ioutput(ch=12)) == "out_ch12"


# -- channels ---------------------------------------------------------------------------------------------------


def test_channels_are_made_at_first_use(interface: asmu.Interface) -> None:
    two, five = interface.iinput(ch=2), interface.iinput(ch=5)
    assert interface.iinput(ch=2) is two
    assert interface.iinput() is two
    assert interface.iinput(1) is five
    assert interface.iinput(2, ch=1).idx == 2
    assert [channel.channel for channel in interface.iinputs] == [2, 5, 1]
    assert interface.inputs == (1, 2, 5)
    assert interface.outputs == ()


def test_channels_that_cannot_be_made(interface: asmu.Interface) -> None:
    for arguments in ({}, {"idx": 1}, {"idx": 1, "ch": 1}, {"ch": 0}, {"ch": -1}, {"ch": 1025}, {"ch": 1.5}, {"ch": True}):
        with pytest.raises(ValueError, match="channel"):
            interface.ioutput(**arguments)
    with pytest.raises(ValueError, match="input channel 0"):
        asmu.Interface(device="virtual", inputs=[0])


# -- processors -------------------------------------------------------------------------------------------------


def test_ports_grow_one_by_one(interface: asmu.Interface) -> None:
    gain = asmu.effect.Gain(interface, 0.5)
    assert gain.output(1).idx == 1
    assert (len(gain.inputs), len(gain.outputs)) == (2, 2)
    total = asmu.effect.Sum(interface)
    total.input(1)
    assert (len(total.inputs), len(total.outputs)) == (2, 1)
    with pytest.raises(PatchError, match="the next one is input 2, not 3") as caught:
        total.input(3)
    assert caught.value.code == "unknown_port"
    with pytest.raises(PatchError):
        total.input(-1)


def test_per_channel_values_make_the_channels(interface: asmu.Interface) -> None:
    gain = asmu.effect.Gain(interface, np.array([0.5, 0.25, 2]))
    assert len(gain.outputs) == 3
    assert gain.gain == [0.5, 0.25, 2.0]
    gain.set_gain((1, 2, 3))
    with pytest.raises(PatchError, match="2 values for 3 channels"):
        gain.set_gain([1, 2])
    with pytest.raises(PatchError, match="one value for each of its 3 channels"):
        gain.input(3)
    assert gain.gain == [1.0, 2.0, 3.0]
    gain.set_gain(np.float32(0.5))
    assert gain.input(3).idx == 3
    assert gain.gain == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9, "loud", None, True, [0.5, float("nan")], np.array([[1.0]])])
def test_bad_values_are_refused_where_they_are_given(interface: asmu.Interface, value: object) -> None:
    gain = asmu.effect.Gain(interface, 0.5)
    with pytest.raises(PatchError) as caught:
        gain.set_gain(value)  # type: ignore[arg-type]
    assert caught.value.code == "bad_value"
    assert "gain1.gain" in str(caught.value)
    assert gain.gain == 0.5
    before = interface.processors
    with pytest.raises(PatchError):
        asmu.effect.Gain(interface, value)  # type: ignore[arg-type]
    assert interface.processors == before


def test_every_processor_refuses_nonsense(interface: asmu.Interface) -> None:
    for make in (
        lambda: asmu.generator.Sine(interface, -1),
        lambda: asmu.generator.Noise(interface, "brown"),  # type: ignore[arg-type]
        lambda: asmu.generator.Noise(interface, seed=-1),
        lambda: asmu.generator.Noise(interface, amplitude=-1),
        lambda: asmu.effect.Delay(interface, 1.5),  # type: ignore[arg-type]
        lambda: asmu.effect.Delay(interface, -1),
        lambda: asmu.effect.Sum(interface, mode="median"),  # type: ignore[arg-type]
        lambda: asmu.analyzer.Tap(interface, channels=1025),
        lambda: asmu.analyzer.Recorder(interface, "a.xyz"),
    ):
        with pytest.raises(PatchError):
            make()
    assert interface.processors == ()


def test_reprs_say_what_it_is(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 440)
    assert repr(sine) == "<Sine sine1: frequency 440 Hz, phase 0 rad, 1 output>"
    assert repr(asmu.effect.Gain(interface, [1, 2])) == "<Gain gain1: gain [1.0, 2.0], 2 inputs, 2 outputs>"
    assert repr(asmu.analyzer.Tap(interface)) == "<Tap tap1: 1 input>"
    sine.disconnect()
    assert repr(sine) == "<Sine sine1: disconnected>"
    assert repr(interface) == "<Interface virtual: 44100 Hz, blocks of 1024 frames, closed>"


def test_a_disconnected_processor_is_gone_for_good(interface: asmu.Interface) -> None:
    sine, tap = asmu.generator.Sine(interface, 100), asmu.analyzer.Tap(interface)
    port = sine.output()
    port.connect(tap.input())
    sine.disconnect()
    assert not tap.input()
    assert interface.processors == (tap,)
    assert interface.analyzers == (tap,)
    for use in (lambda: sine.set_frequency(1), sine.disconnect, lambda: port.connect(tap.input()), lambda: sine.outputs):
        with pytest.raises(PatchError, match="was disconnected") as caught:
            use()
        assert caught.value.code == "unknown_node"


def test_a_processor_of_ones_own_needs_no_declaration(live: asmu.Interface, link) -> None:
    class SoftClip(asmu.processor.Effect):
        kind = "softclip"

        def set_drive(self, drive: float) -> None:
            self._set(drive=drive)

    clip = SoftClip(live, drive=2.0)
    clip.set_drive(np.float64(3))
    clip._call("restart")
    assert link.edits() == [
        {"op": "add", "node": "softclip1", "kind": "softclip", "inputs": 1, "outputs": 1, "parameters": {"drive": 2.0}},
        {"op": "set", "node": "softclip1", "parameters": {"drive": 3.0}},
        {"op": "call", "node": "softclip1", "call": "restart"},
    ]


# -- what goes to the engine ------------------------------------------------------------------------------------


def test_before_the_start_the_whole_patch_goes_as_one(client, link) -> None:
    interface = asmu.Interface(engine=client)
    interface._session.prefix = ""
    sine = asmu.generator.Sine(interface, 250)
    for ch in (1, 2):
        sine.output().connect(interface.ioutput(ch=ch))
    assert not link.asked("transaction")
    interface.start(end_frame=7, reset=False, drop=1)
    assert link.edits() == [
        {
            "op": "add",
            "node": "sine1",
            "kind": "sine",
            "inputs": 0,
            "outputs": 1,
            "parameters": {"frequency": 250.0, "phase": 0.0},
        },
        {"op": "connect", "source": "sine1", "output": 0, "target": "out", "input": 0},
        {"op": "connect", "source": "sine1", "output": 0, "target": "out", "input": 1},
    ]
    assert link.asked("start") == [{"inputs": None, "outputs": None, "end_block": 7, "drop": 1, "reset": False}]
    assert interface.start_frame == 4


def test_a_refused_edit_is_not_noted(live: asmu.Interface, link) -> None:
    sine = asmu.generator.Sine(live, 100)
    link.answers["transaction"] = PatchError("no", code="bad_value")
    for use in (
        lambda: sine.set_frequency(200),
        lambda: sine.output().connect(live.ioutput(ch=1)),
        lambda: sine.output(1),
        lambda: asmu.generator.Sine(live, 1),
        sine.disconnect,
    ):
        with pytest.raises(PatchError, match="no"):
            use()
    assert sine.frequency == 100.0
    assert not sine.output()
    assert len(sine.outputs) == 1
    assert live.processors == (sine,)


def test_an_edit_that_was_not_answered_is_not_noted(live: asmu.Interface, link, monkeypatch: pytest.MonkeyPatch) -> None:
    sine = asmu.generator.Sine(live, 100)
    link.answers["transaction"] = EngineTimeout("late", code="timeout", retry=True)
    with pytest.raises(EngineTimeout):
        sine.set_frequency(200)
    assert sine.frequency == 100.0


def test_a_transaction_is_one_request_without_detours(live: asmu.Interface, link) -> None:
    with live.edit(), live.edit():
        gain = asmu.effect.Gain(live, 1.0)
        gain.input(1)
        gain.set_gain([0.5, 0.25])
        gain.output(1).connect(live.ioutput(ch=1))
    assert len(link.asked("transaction")) == 1
    assert link.edits() == [
        {"op": "add", "node": "gain1", "kind": "gain", "inputs": 2, "outputs": 2, "parameters": {"gain": [0.5, 0.25]}},
        {"op": "connect", "source": "gain1", "output": 1, "target": "out", "input": 0},
    ]


def test_what_comes_and_goes_within_a_transaction(live: asmu.Interface, link) -> None:
    with live.edit():
        sine = asmu.generator.Sine(live, 1)
        sine.output().connect(live.ioutput(ch=1))
        sine.disconnect()
    assert [edit["op"] for edit in link.edits()] == ["add", "connect", "remove"]
    assert live.processors == ()
    with live.edit():
        pass
    assert len(link.asked("transaction")) == 1


def test_a_transaction_that_is_refused_leaves_all_as_it_was(live: asmu.Interface, link) -> None:
    sine = asmu.generator.Sine(live, 100)
    sine.output().connect(live.ioutput(ch=1))
    link.answers["transaction"] = PatchError("edit 2: no", code="bad_value")
    made: list[asmu.generator.Sine] = []

    def change_all() -> None:
        with live.edit():
            sine.set_frequency(5)
            sine.disconnect()
            made.append(asmu.generator.Sine(live, 7))

    with pytest.raises(PatchError, match="edit 2"):
        change_all()
    assert sine.frequency == 100.0
    assert sine.output().inputs == (live.ioutput(ch=1),)
    assert live.processors == (sine,)
    with pytest.raises(PatchError):
        made[0].set_frequency(1)


def test_rings_and_starts_wait_for_the_end_of_a_transaction(live: asmu.Interface) -> None:
    with live.edit():
        tap = asmu.analyzer.Tap(live)
        for use in (tap.reader, live.start, live.open):
            with pytest.raises(asmu.exceptions.EngineError, match=r"within edit\(\)"):
                use()


def test_names_differ_between_the_clients_of_an_engine(client) -> None:
    names = {asmu.generator.Sine(asmu.Interface(engine=client), 1).name for _ in range(10)}
    assert len(names) == 10


def test_large_patches_are_built_in_linear_time(interface: asmu.Interface) -> None:
    gain = asmu.effect.Gain(interface, 1.0)
    interface.iinput(ch=1).connect(gain.input())
    for _ in range(2000):
        following = asmu.effect.Gain(interface, 1.0)
        gain.output().connect(following.input())
        gain = following
    assert len(interface._patch.graph.edits()) == 2 * 2001
    assert isinstance(interface._patch, Patch)
