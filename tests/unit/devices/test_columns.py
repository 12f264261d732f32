"""From stream columns to channels and back, and the settings objects of the host APIs that choose channels themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asmu_engine.devices.columns import InputColumns, OutputColumns, channel_settings

LIBRARY = SimpleNamespace(
    AsioSettings=lambda channel_selectors: ("asio", channel_selectors),
    CoreAudioSettings=lambda channel_map: ("coreaudio", channel_map),
)


def buffer(frames: int, columns: int) -> Any:
    return bytearray(np.arange(1, frames * columns + 1, dtype=np.float32).tobytes())


@pytest.mark.parametrize("channels", [(1, 2, 3), (2, 5), (5, 2, 7), (4,)])
def test_inputs_are_picked_from_as_many_columns_as_the_highest_channel(channels: tuple[int, ...]) -> None:
    columns = InputColumns(channels, "ALSA", 8)
    assert columns.opened == max(channels)
    whole = buffer(6, columns.opened)
    expected = np.frombuffer(whole, np.float32).reshape(6, -1)[:, np.array(channels) - 1]
    assert np.array_equal(columns.read(whole, 6), expected)
    assert columns.read(whole, 6).flags.c_contiguous


@pytest.mark.parametrize("channels", [(1, 2, 3), (2, 5), (5, 2, 7), (2, 3, 6, 7)])
def test_outputs_go_to_their_columns_and_silence_to_the_others(channels: tuple[int, ...]) -> None:
    columns = OutputColumns(channels, "ALSA", 8)
    whole = buffer(6, columns.opened)
    block = columns.block(whole, 6)
    block[...] = np.arange(6 * len(channels)).reshape(6, -1) + 0.5
    expected = np.zeros((6, max(channels)), dtype=np.float32)
    expected[:, np.array(channels) - 1] = block
    columns.write(whole, 6)
    assert np.array_equal(np.frombuffer(whole, np.float32).reshape(6, -1), expected)
    columns.silence(whole, 6)
    assert not np.frombuffer(whole, np.float32).any()


@pytest.mark.parametrize("host_api", ["ASIO", "Core Audio"])
def test_host_apis_that_choose_channels_open_only_those(host_api: str) -> None:
    read, write = InputColumns((7, 3), host_api, 8), OutputColumns((9, 2, 4), host_api, 8)
    assert (read.opened, write.opened) == (2, 3)
    whole = buffer(8, 2)
    assert np.array_equal(read.read(whole, 8), np.frombuffer(whole, np.float32).reshape(8, 2))
    whole = bytearray(8 * 3 * 4)
    write.block(whole, 8)[...] = 0.25
    write.write(whole, 8)
    assert (np.frombuffer(whole, np.float32) == 0.25).all()


def test_streams_of_one_direction_have_no_buffer_for_the_other() -> None:
    assert InputColumns((), "ALSA", 8).read(None, 5).shape == (5, 0)
    outputs = OutputColumns((), "ALSA", 8)
    assert outputs.block(None, 5).shape == (5, 0)
    outputs.write(None, 5)
    outputs.silence(None, 5)


def test_settings_objects() -> None:
    assert channel_settings(LIBRARY, (13, 2), "ASIO") == ("asio", [12, 1])
    assert channel_settings(LIBRARY, (2, 4), "Core Audio") == ("coreaudio", [1, 3])
    # sounddevice's own example: the device's third and fifth of six outputs.
    assert channel_settings(LIBRARY, (3, 5), "Core Audio", device_outputs=6) == ("coreaudio", [-1, -1, 0, -1, 1, -1])
    assert channel_settings(LIBRARY, (5, 3), "Core Audio", device_outputs=6) == ("coreaudio", [-1, -1, 1, -1, 0, -1])
    assert channel_settings(LIBRARY, (1, 2), "ALSA") is None
