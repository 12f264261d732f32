"""What a manifest is told of the channels of a recording."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np

import asmu_control as asmu
from asmu_control import channelfacts
from asmu_control.channelfacts import channel_facts
from asmu_engine.protocol.acquisition import ChannelFacts
from asmu_engine.protocol.codec import pack, unpack


def facts_of(interface: asmu.Interface, *sources: object) -> list[dict]:
    """What is said of a tap that these feed, after a journey as a message, and as the manifest takes it."""
    tap = asmu.analyzer.Tap(interface, channels=len(sources))
    for idx, source in enumerate(sources):
        if source is not None:
            source.connect(tap.input(idx))
    facts = unpack(pack({"channels": channel_facts(tap.inputs)}))["channels"]
    json.dumps(facts, allow_nan=False)
    return [ChannelFacts(**each).model_dump(exclude_defaults=True) for each in facts]


def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual:inputs=4", samplerate=48_000)


def test_where_a_channel_comes_from() -> None:
    lab = interface()
    gain = asmu.effect.Gain(lab, [0.5, 1.0])
    assert facts_of(lab, lab.iinput(ch=3), gain.output(1), None) == [
        {"device_channel": 3},
        {"name": f"{gain.name} output 1"},
        {},
    ]


def test_the_factor_is_that_of_the_calibration_with_its_gain() -> None:
    lab = interface()
    microphone = lab.iinput(ch=1, name="microphone 1", cPa=12.5, fPa=1000.0, cV=0.5, gain=20.0)
    accelerometer = lab.iinput(ch=2, cA=4.0, cV=2.0)
    voltage = lab.iinput(ch=3, cV=10.0, gain=-20.0)
    pressure, acceleration, volt = facts_of(lab, microphone, accelerometer, voltage)
    assert (pressure["name"], pressure["device_channel"], pressure["unit"], pressure["factor"]) == ("microphone 1", 1, "Pa", 1.25)
    assert pressure["calibration"] == {"cPa": 12.5, "fPa": 1000.0, "cV": 0.5, "gain": 20.0}
    assert (acceleration["unit"], acceleration["factor"]) == ("m/s²", 4.0)
    assert (volt["unit"], volt["factor"]) == ("V", 100.0)


def test_everything_else_that_is_known_goes_with_it() -> None:
    lab = interface()
    when = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    channel = lab.iinput(ch=1, pos=(0.0, 1.5, 2.0), datePa=when, latency=np.int64(7), sensor={"serial": 42})
    channel.cFR = np.array([1 + 2j, 3 - 1j])
    channel.fFR = np.array([100.0, 200.0])
    channel.odd = object
    (facts,) = facts_of(lab, channel)
    assert facts["calibration"] == {
        "pos": [0.0, 1.5, 2.0],
        "datePa": "2026-11-20T08:30:00+00:00",
        "latency": 7,
        "sensor": {"serial": 42},
        "cFR": {"real": [1.0, 3.0], "imag": [2.0, -1.0]},
        "fFR": [100.0, 200.0],
        "odd": str(object),
    }


def test_arrays_that_would_not_fit_into_a_message_are_left_out_and_that_is_said(monkeypatch) -> None:
    monkeypatch.setattr(channelfacts, "_MAX_VALUES", 40)
    lab = interface()
    one, other = lab.iinput(ch=1, fFR=np.arange(21.0)), lab.iinput(ch=2, fFR=np.arange(20.0))
    first, second = facts_of(lab, one, other)
    assert first["calibration"] == {"fFR": "left out: 21 values; see the set-up file"}
    assert second["calibration"] == {"fFR": list(np.arange(20.0))}
