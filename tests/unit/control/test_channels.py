"""Channels of an interface: their attributes, and how they are found."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.exceptions import ConfigError

CALIBRATION = ["cPa", "fPa", "datePa", "cV", "fV", "dateV", "cA", "fA", "dateA"]
NAMES = ["name", "reference", "gain", "latency", "color", *CALIBRATION, "cFR", "fFR", "pos"]


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual")


@pytest.mark.parametrize("side", ["iinput", "ioutput"])
def test_every_attribute_is_none_until_it_is_set(interface, side):
    channel = getattr(interface, side)(ch=9)
    assert [getattr(channel, name) for name in NAMES] == [None] * len(NAMES)
    for index, name in enumerate(NAMES):
        setattr(channel, name, index)
    assert [getattr(channel, name) for name in NAMES] == list(range(len(NAMES)))
    assert channel.attributes == dict(zip(NAMES, range(len(NAMES)), strict=True))
    assert getattr(interface, side)(ch=10).name is None


def test_further_attributes(interface):
    channel = interface.iinput(ch=1)
    with pytest.raises(AttributeError, match="in_ch01 has no attribute 'serial'; set so far: none"):
        _ = channel.serial
    channel.serial = "4711"
    assert channel.serial == "4711"
    del channel.serial
    assert not hasattr(channel, "serial")


def test_what_every_channel_has_cannot_be_overwritten(interface):
    channel = interface.iinput(ch=1)
    for name in ("connect", "serialize", "channel", "idx", "inputs", "attributes"):
        with pytest.raises(AttributeError):
            setattr(channel, name, 1)
        if name not in ("channel", "idx"):
            with pytest.raises(ConfigError, match=f"{name!r} cannot be the name of an attribute"):
                channel.deserialize({name: 1})


def test_repr_and_truth(interface):
    microphone, speaker = interface.iinput(ch=9), interface.ioutput(ch=12)
    assert (repr(microphone), repr(speaker)) == ("in_ch09", "out_ch12")
    assert not microphone
    assert not speaker
    microphone.connect(speaker)
    assert microphone
    assert speaker
    speaker.disconnect()
    assert not microphone


def test_serialize_and_back(interface):
    channel = interface.iinput(ch=9)
    channel.name, channel.cPa, channel.extra = "mic", 0.05, [1, 2]
    channel.datePa = datetime(2026, 1, 2, 3, tzinfo=UTC)
    channel.cFR = np.array([1, 2j])
    data = channel.serialize()
    assert data["channel"] == 9
    assert set(data) == {"channel", "name", "cPa", "extra", "datePa", "cFR"}
    data["cFR"][0] = 5
    assert channel.cFR[0] == 1
    other = asmu.Interface(device="virtual").iinput(ch=9)
    other.gain = 20
    other.deserialize(channel.serialize())
    assert other.matches({**channel.attributes, "gain": 20})
    with pytest.raises(ConfigError, match="in_ch01 cannot take the attributes of channel 9"):
        interface.iinput(ch=1).deserialize(data)


def test_search_by_attributes(interface):
    for ch, name in ((3, "left"), (1, "right"), (7, "left")):
        interface.iinput(len(interface.iinputs), ch).name = name
    interface.iinput(ch=1).cFR = np.array([1.0, 2.0])
    assert interface.iinput(name="right") is interface.iinput(ch=1)
    assert interface.iinput(name="left") is interface.iinput(ch=3)
    assert interface.iinput(1, name="left") is interface.iinput(ch=7)
    assert interface.iinput(name="left", channel=7) is interface.iinput(ch=7)
    assert interface.iinput(cFR=[1, 2]) is interface.iinput(ch=1)
    assert interface.iinput(ch=3, name="left") is interface.iinput(ch=3)
    for wanted in ({"name": "centre"}, {"cFR": [1, 3]}, {"nothing": 1}, {"name": "left", "gain": 1}, {"ch": 3, "name": "right"}):
        with pytest.raises(ValueError, match=r"no iinput.* with .*; there are: in_ch03 left, in_ch01 right, in_ch07 left"):
            interface.iinput(**wanted)
    with pytest.raises(ValueError, match="at place 2 of 2"):
        interface.iinput(2, name="left")
    with pytest.raises(ValueError, match="there are: none"):
        interface.ioutput(name="left")


def test_a_new_channel_with_its_attributes(interface):
    channel = interface.ioutput(ch=4, name="sub", gain=-6)
    assert (channel.name, channel.gain) == ("sub", -6)
    assert interface.ioutput(name="sub") is channel
    with pytest.raises(ConfigError):
        interface.ioutput(ch=5, connect=1)
    assert interface.ioutputs == (channel,)


def test_channels_are_made_in_order(interface):
    with pytest.raises(ValueError, match="no channel at place 0"):
        interface.iinput()
    with pytest.raises(ValueError, match="the next free place is 0"):
        interface.iinput(1, 2)
    assert interface.iinput(ch=2).idx == 0
    assert interface.iinput(0) is interface.iinput(ch=2)
