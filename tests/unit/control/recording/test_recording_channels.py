"""What the channels of a recording are called."""

from __future__ import annotations

from asmu_control.recording.channels import names, select
from asmu_engine.protocol.acquisition import ChannelFacts


def test_without_a_name_it_is_the_input_else_the_place() -> None:
    facts = [ChannelFacts(device_channel=7), ChannelFacts(), ChannelFacts(name="door", device_channel=1)]
    assert names(facts, None) == ["input 7", "channel 2", "door"]
    assert names(facts, [2, 0]) == ["door", "input 7"]
    assert select(facts, ["channel 2", "input 7"]) == [1, 0]


def test_where_two_share_one_the_column_is_part_of_it() -> None:
    facts = [ChannelFacts(device_channel=2), ChannelFacts(name="input 2"), ChannelFacts(name="door"), ChannelFacts(name="door")]
    assert names(facts, None) == ["input 2 0", "input 2 1", "door 2", "door 3"]
