"""The PortAudio device against a stand-in for the library: what it opens, maps, reports and survives."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from device_takes import Take
from fake_sounddevice import BLOCK, FakeSounddevice, PortAudioError, ramp

from asmu_engine.protocol.errors import DeviceError


def test_asio_opens_just_the_channels_in_use(opened: Any) -> None:
    device, stream = opened("Card", [7, 2], [8])
    assert stream.settings["device"] == (0, 0)
    assert stream.settings["channels"] == (2, 1)
    assert stream.settings["extra_settings"] == (("asio", [6, 1]), ("asio", [7]))
    take = Take(device, 5)
    device.start(take, take.end)
    out = ramp(1)
    stream.block(ramp(2), out)
    assert np.array_equal(take.heard[0], ramp(2))
    assert np.array_equal(take.played[0], out)


def test_core_audio_maps_each_side_with_its_own_maximum(opened: Any) -> None:
    _, stream = opened("portaudio:Mic|Speakers", [3], [5, 2])
    assert stream.settings["device"] == (1, 2)
    assert stream.settings["channels"] == (1, 2)
    assert stream.settings["extra_settings"] == (("coreaudio", [2]), ("coreaudio", [-1, 1, -1, -1, 0, -1]))


def test_elsewhere_the_engine_maps(opened: Any) -> None:
    device, stream = opened("Plain", [4, 2], [2])
    assert stream.settings["channels"] == (4, 2)
    assert stream.settings["extra_settings"] == (None, None)
    take = Take(device, 5)
    device.start(take, take.end)
    out = ramp(2)
    stream.block(ramp(4), out)
    assert np.array_equal(take.heard[0], ramp(4)[:, [3, 1]])
    assert not out[:, 0].any()
    assert np.array_equal(out[:, 1:], take.played[0])
    assert (device.input_latency, device.output_latency, device.max_inputs, device.max_outputs) == (0.01, 0.02, 4, 2)


def test_the_default_device_and_all_its_channels(opened: Any) -> None:
    device, _ = opened("portaudio")
    assert (device.name, device.inputs, device.outputs, device.host_api) == ("Plain", (1, 2, 3, 4), (1, 2), "ALSA")


def test_one_direction_only(opened: Any) -> None:
    device, stream = opened("Mic", [2], None)
    assert (stream.settings["device"], stream.settings["channels"], device.outputs) == (1, 1, ())
    take = Take(device, 5)
    device.start(take, take.end)
    assert stream.block(ramp(1), None) == "continue"
    assert np.array_equal(take.heard[0], ramp(1))
    device, stream = opened("Speakers", None, [1])
    take = Take(device, 1)
    device.start(take, take.end)
    out = ramp(1)
    assert stream.block(None, out) == "stop"
    assert np.array_equal(out, take.played[0])


def test_flags_losses_and_times_are_passed_on(opened: Any) -> None:
    device, stream = opened("Plain", [1], [1])
    take = Take(device, 50)
    device.start(take, take.end)
    stream.block(ramp(1), ramp(1), adc=2.0)
    stream.block(ramp(1), ramp(1), adc=2.0 + BLOCK / 48000)
    stream.block(ramp(1), ramp(1), adc=2.0 + (2 * BLOCK + 100.5) / 48000, input_overflow=True, output_underflow=True)
    stream.block(ramp(1), ramp(1), input_underflow=True, output_overflow=True)
    assert take.flags == [0, 0, 6, 9]
    assert take.lost == [0, 0, 100, 0]
    assert take.device_times[:2] == [2.0, 2.0 + BLOCK / 48000]


def test_the_end_is_told_once_and_blocks_after_it_are_silent(opened: Any) -> None:
    device, stream = opened("Plain", [1], [1])
    take = Take(device, 2)
    device.start(take, take.end)
    assert [stream.block(ramp(1), ramp(1)) for _ in range(2)] == ["continue", "stop"]
    stream.settings["finished_callback"]()
    assert take.ended.wait(10)
    assert take.reasons == ["finished"]
    assert not device.running
    out = ramp(1)
    assert stream.block(ramp(1), out) == "continue"
    assert not out.any()
    assert len(take.starts) == 2
    device.start(take, take.end)
    assert stream.calls == ["start", "stop", "start"]


def test_a_stream_that_ends_by_itself_is_lost(opened: Any) -> None:
    device, stream = opened("Plain", [1], [1])
    take = Take(device, 20)
    device.start(take, take.end)
    stream.settings["finished_callback"]()
    assert take.ended.wait(10)
    assert take.reasons == ["lost: Plain ended the stream by itself; it may be unplugged"]
    device.stop()
    stream.settings["finished_callback"]()
    assert len(take.reasons) == 1


def test_who_is_told_of_the_end_may_close_the_device(opened: Any) -> None:
    device, stream = opened("Plain", [1], [1])
    done = threading.Event()
    # As PortAudio does: stopping waits for the thread that the end is told from.
    telling = threading.Lock()
    stream.on_stop = lambda: telling.acquire() and telling.release()
    device.start(Take(device, 1), lambda reason: (device.close(), done.set()))
    stream.block(ramp(1), ramp(1))
    with telling:
        stream.settings["finished_callback"]()
    assert done.wait(10)
    assert stream.calls == ["start", "stop", "close"]


def test_an_exception_becomes_silence_and_a_reason(opened: Any) -> None:
    def fail(block: int) -> None:
        raise ZeroDivisionError("oh")

    device, stream = opened("Plain", [1], [1, 2])
    take = Take(device, 20, during=fail)
    device.start(take, take.end)
    out = ramp(2)
    assert stream.block(ramp(1), out) == "abort"
    assert not out.any()
    stream.settings["finished_callback"]()
    assert take.ended.wait(10)
    assert take.reasons == ["lost: Plain failed: ZeroDivisionError: oh"]


def test_the_thread_is_set_up_once_a_start(opened: Any) -> None:
    device, stream = opened("Plain", [1], [1])
    calls: list[int] = []
    device.thread_setup = lambda: calls.append(1)
    take = Take(device, 20)
    for expected in (1, 2):
        device.start(take, take.end)
        stream.block(ramp(1), ramp(1))
        stream.block(ramp(1), ramp(1))
        assert len(calls) == expected
        device.stop()


def test_portaudios_errors_in_our_words(opened: Any, library: FakeSounddevice) -> None:
    for number, code, said in (
        (-9997, "device_samplerate", "96000 Hz asked of Plain, which runs at 44100, 48000 Hz; use samplerate"),
        (-9998, "device_channels", "so many channels: .*text"),
        (-9999, "device_failed", "does not open: .*text"),
    ):
        library.refusals = [PortAudioError("text", number)] * 2
        with pytest.raises(DeviceError, match=said) as caught:
            opened("Plain", samplerate=96000)
        assert caught.value.code == code


def test_opening_is_tried_twice(opened: Any, library: FakeSounddevice) -> None:
    library.refusals = [PortAudioError("now and then", -9993)]
    assert opened("Plain")[0].name == "Plain"


def test_a_start_that_fails(opened: Any) -> None:
    device, stream = opened("Plain")

    def fail() -> None:
        raise PortAudioError("gone", -9985)

    stream.start = fail
    take = Take(device, 1)
    with pytest.raises(DeviceError, match=r"does not start: .*gone") as caught:
        device.start(take, take.end)
    assert (caught.value.code, caught.value.retry, device.running) == ("device_failed", True, False)


@pytest.mark.parametrize(
    ("text", "asked", "code", "said"),
    [
        ("Bass", {}, "device_unknown", "no PortAudio device matches 'Bass'; devices: 0: Card .ASIO, 8 in, 8 out.; 1: Mic"),
        ("a", {}, "device_unknown", "several PortAudio devices match 'a'"),
        ("4", {}, "device_unknown", "no PortAudio device 4"),
        ("Mic", {"outputs": [1]}, "device_channels", "output channel 1 asked of 1: Mic .* no output channels; devices: 0: Card"),
        ("portaudio:Mic|Plain", {}, "device_unknown", "two host APIs"),
        ("Plain", {"inputs": [], "outputs": []}, "device_channels", "no channel of Plain"),
    ],
)
def test_what_is_not_there_is_refused(opened: Any, library: FakeSounddevice, text: str, asked: Any, code: str, said: str) -> None:
    with pytest.raises(DeviceError, match=said) as caught:
        opened(text, **asked)
    assert caught.value.code == code
    assert library.streams == []


def test_without_any_device(opened: Any, library: FakeSounddevice) -> None:
    library.devices = []
    library.default.device = (-1, -1)
    with pytest.raises(DeviceError, match=r"no default device; devices: none; .*device='virtual'") as caught:
        opened("portaudio")
    assert caught.value.code == "device_unknown"
    with pytest.raises(DeviceError, match="plug one in"):
        opened("3")


def test_a_device_that_is_not_listed_is_looked_for_again_unless_a_stream_is_open(opened: Any, library: FakeSounddevice) -> None:
    with pytest.raises(DeviceError):
        opened("Bass")
    assert library.refreshed == 1
    opened("Plain")
    with pytest.raises(DeviceError):
        opened("Bass")
    assert library.refreshed == 1
