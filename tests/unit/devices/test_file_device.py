"""A sound file as a device: every sample, to the last one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from device_takes import Take
from numpy.typing import NDArray

from asmu_engine.devices.base import Device
from asmu_engine.devices.open import open_device
from asmu_engine.devices.readahead import ReadAhead
from asmu_engine.protocol.device import File
from asmu_engine.protocol.errors import DeviceError

RATE = 8000


@pytest.fixture
def sound(tmp_path: Path) -> tuple[str, NDArray[np.float32]]:
    """A file of 3 channels and 10007 frames, more than one piece of reading and no whole number of blocks."""
    data = np.random.default_rng(4).uniform(-1, 1, (10007, 3)).astype(np.float32)
    path = tmp_path / "street, night=1.wav"
    soundfile.write(path, data, RATE, subtype="FLOAT")
    return str(path), data


@pytest.fixture
def opened() -> Iterator[Any]:
    devices: list[Device] = []

    def make(path: str, options: str = "", blocksize: int = 64, **more: Any) -> Device:
        devices.append(open_device(f"file:{path}{options}", more.pop("samplerate", RATE), blocksize, **more))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


@pytest.mark.parametrize("options", [",speed=0", ",speed=50"])
def test_the_inputs_are_the_file_to_the_last_frame(opened: Any, sound: Any, options: str) -> None:
    path, data = sound
    device = opened(path, options)
    take = Take(device, 10**9).run()
    assert np.array_equal(take.axis(take.heard), data)
    assert take.reasons == ["finished"]
    assert [len(block) for block in take.heard] == [64] * 156 + [10007 - 64 * 156]
    assert [block.shape for block in take.played] == [(len(block), 2) for block in take.heard]
    assert sum(take.lost) == sum(take.flags) == 0
    assert device.paced == (options != ",speed=0")
    assert (device.name, device.host_api) == ("street, night=1.wav", "file")
    assert (device.samplerate, device.max_inputs, device.max_outputs) == (RATE, 3, 2)
    np.testing.assert_allclose(take.device_times, np.arange(157) * 64 / RATE, atol=1e-12)


def test_due_times_are_absolute(opened: Any, sound: Any) -> None:
    take = Take(opened(sound[0], ",speed=10"), 50).run()
    due = np.array(take.due_ns) - take.due_ns[0]
    assert np.abs(due - np.arange(50) * 64e9 / (10 * RATE)).max() <= 1.5
    assert take.reasons == ["finished"]


def test_a_loop_has_no_gap(opened: Any, sound: Any) -> None:
    path, data = sound
    take = Take(opened(path, ",loop=1,speed=0"), 1000).run()
    assert np.array_equal(take.axis(take.heard), np.tile(data, (7, 1))[:64000])


def test_a_file_shorter_than_a_block_is_looped_too(opened: Any, tmp_path: Path) -> None:
    data = np.arange(1, 6, dtype=np.float32)[:, np.newaxis] / 8
    soundfile.write(tmp_path / "short.wav", data, RATE, subtype="FLOAT")
    take = Take(opened(str(tmp_path / "short.wav"), ",loop=1,speed=0"), 20).run()
    assert np.array_equal(take.axis(take.heard), np.tile(data, (256, 1)))


def test_channels_in_use(opened: Any, sound: Any) -> None:
    path, data = sound
    for channels in ([3, 1], [2, 3], [2]):
        take = Take(opened(path, ",speed=0", inputs=channels, outputs=[1]), 10**9).run()
        assert np.array_equal(take.axis(take.heard), data[:, np.array(channels) - 1])
    take = Take(opened(path, ",speed=0,outputs=4", inputs=[], outputs=[4]), 10**9).run()
    assert sum(len(block) for block in take.played) == len(data)


def test_runs_again_from_the_start(opened: Any, sound: Any) -> None:
    path, data = sound
    device = opened(path, ",speed=0")
    for _ in range(3):
        take = Take(device, 20).run()
        assert np.array_equal(take.axis(take.heard), data[:1280])


def test_16_bit_files_become_float32_exactly(opened: Any, tmp_path: Path) -> None:
    values = np.array([-32768, -1, 0, 1, 32767] * 40, dtype=np.int16)
    soundfile.write(tmp_path / "pcm.wav", values, RATE, subtype="PCM_16")
    take = Take(opened(str(tmp_path / "pcm.wav"), ",speed=0"), 10**9).run()
    assert np.array_equal(take.axis(take.heard)[:, 0], values / np.float32(32768))


def test_it_waits_while_it_is_held(opened: Any, sound: Any) -> None:
    device = opened(sound[0], ",speed=0")
    asked: list[int] = []

    def hold(frames: int) -> bool:
        asked.append(frames)
        return len(asked) % 2 == 1

    device.hold = hold
    Take(device, 10**9).run()
    assert asked == [64] * 312 + [10007 - 64 * 156] * 2


def test_what_does_not_fit_is_refused(opened: Any, sound: Any, tmp_path: Path) -> None:
    path, _ = sound
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), RATE)
    (tmp_path / "text.wav").write_text("no sound")
    for code, said, attempt in (
        (
            "device_samplerate",
            "48000 Hz asked .* runs at 8000 Hz; use samplerate 8000",
            lambda: opened(path, samplerate=48000),
        ),
        ("device_channels", "input channel 4, 9 asked .* has input channels 1 to 3", lambda: opened(path, inputs=[1, 4, 9])),
        ("device_channels", "output channel 3 .*outputs=N", lambda: opened(path, outputs=[3])),
        ("device_channels", "more than once", lambda: opened(path, inputs=[1, 1])),
        ("device_channels", "no channel", lambda: opened(path, inputs=[], outputs=[])),
        ("device_unknown", "no sound file", lambda: opened(str(tmp_path / "none.wav"))),
        ("device_failed", "is empty", lambda: opened(str(tmp_path / "empty.wav"))),
        ("device_failed", "no sound file that can be read", lambda: opened(str(tmp_path / "text.wav"))),
    ):
        with pytest.raises(DeviceError, match=said) as caught:
            attempt()
        assert caught.value.code == code


def test_no_samplerate_asked_is_that_of_the_file(sound: Any) -> None:
    device = open_device(File(path=sound[0]))
    assert device.samplerate == RATE
    device.close()


def test_a_file_that_breaks_while_it_is_read_ends_the_stream(opened: Any, sound: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    read = ReadAhead._read_chunk

    def breaking(self: ReadAhead) -> bool:
        pieces.append(1)
        if len(pieces) == 3:
            raise OSError("the disk is gone")
        return read(self)

    monkeypatch.setattr(ReadAhead, "_read_chunk", breaking)
    take = Take(opened(sound[0], ",speed=0"), 10**9).run()
    assert take.reasons == [f"lost: {sound[0]} cannot be read on: OSError: the disk is gone"]
    assert np.array_equal(take.axis(take.heard), sound[1][:8192])
