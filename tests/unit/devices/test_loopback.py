"""The simulated system, sample by sample."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from device_takes import delayed
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asmu_engine.devices.loopback import Loopback
from asmu_engine.protocol.device import Offline
from asmu_engine.protocol.errors import ConfigError

RATE = 48000.0


def through(loopback: Loopback, played: NDArray[np.float32], inputs: int, sizes: list[int]) -> NDArray[np.float32]:
    """What is heard while `played` is played in blocks of these sizes, over and over."""
    heard, done, turn = np.empty((len(played), inputs), dtype=np.float32), 0, 0
    while done < len(played):
        frames = min(sizes[turn % len(sizes)], len(played) - done)
        loopback.capture(heard[done : done + frames])
        loopback.play(played[done : done + frames])
        done, turn = done + frames, turn + 1
    return heard


def noise(frames: int, channels: int) -> NDArray[np.float32]:
    return np.random.default_rng(9).uniform(-1, 1, (frames, channels)).astype(np.float32)


def system(blocksize: int = 64, inputs: int = 2, outputs: int = 2, used: tuple[Any, Any] | None = None, **spec: Any) -> Loopback:
    used_in, used_out = used or (tuple(range(1, inputs + 1)), tuple(range(1, outputs + 1)))
    return Loopback(Offline(inputs=inputs, outputs=outputs, **spec), RATE, blocksize, used_in, used_out)


@pytest.mark.parametrize("channels", [1, 2, 64, 128])
@pytest.mark.parametrize("delay", [0, 1, 37, 64, 1000])
def test_identity_comes_back_bit_for_bit_after_one_block_and_the_delay(channels: int, delay: int) -> None:
    played = noise(2000, channels)
    played[100] = 1e-42  # subnormal values too
    loopback = system(inputs=channels, outputs=channels, delay_frames=delay)
    assert loopback.latency_frames == 64 + delay
    assert np.array_equal(through(loopback, played, channels, [64]), delayed(played, 64 + delay))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 50), st.integers(0, 120), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_the_delay_is_the_same_for_any_cut_into_blocks(blocksize: int, delay: int, sizes: list[int]) -> None:
    played = noise(500, 2)
    heard = through(system(blocksize, delay_frames=delay), played, 2, [min(size, blocksize) for size in sizes])
    assert np.array_equal(heard, delayed(played, blocksize + delay))


def test_more_inputs_than_outputs_and_the_reverse() -> None:
    played = noise(300, 1)
    heard = through(system(inputs=3, outputs=1), played, 3, [64])
    assert np.array_equal(heard[:, :1], delayed(played, 64))
    assert not heard[:, 1:].any()
    played = noise(300, 3)
    assert np.array_equal(through(system(inputs=1, outputs=3), played, 1, [64]), delayed(played, 64)[:, :1])


def test_only_the_channels_in_use_in_their_order() -> None:
    played = noise(300, 2)
    heard = through(system(inputs=8, outputs=8, used=((5, 2, 7), (2, 5))), played, 3, [64])
    assert np.array_equal(heard[:, :2], delayed(played, 64)[:, ::-1])
    assert not heard[:, 2].any()


def test_a_device_without_inputs_or_without_outputs() -> None:
    assert through(system(inputs=0), noise(200, 2), 0, [64]).shape == (200, 0)
    assert not through(system(outputs=0), noise(200, 0), 2, [64]).any()


def test_gains() -> None:
    played = noise(300, 2)
    halved = through(system(matrix=[[0, 0.5], [0, 0]]), played, 2, [64])
    assert np.array_equal(halved[:, 0], delayed(played, 64)[:, 1] * np.float32(0.5))
    assert not halved[:, 1].any()
    mixed = through(system(matrix=[[1, -1], [0.25, 0.5]]), played, 2, [64])
    np.testing.assert_allclose(mixed, delayed(played, 64) @ np.array([[1, 0.25], [-1, 0.5]]), atol=1e-6)
    quiet = through(system(gain_db=-20.0), played, 2, [64])
    assert np.array_equal(quiet, delayed(played, 64) * np.float32(0.1))
    assert not through(system(matrix=[[0, 0], [0, 0]]), played, 2, [64]).any()


@pytest.mark.parametrize("sizes", [[64], [1, 63, 40, 7], [5]])
@pytest.mark.parametrize("taps", [1, 64, 65, 700])
def test_an_impulse_response_is_exact(taps: int, sizes: list[int]) -> None:
    response = np.random.default_rng(2).standard_normal((taps, 2)) / np.sqrt(taps)
    played = noise(1500, 2)
    heard = through(system(ir=response, delay_frames=10), played, 2, sizes)
    expected = np.stack([np.convolve(played[:, c].astype(float), response[:, c])[:1500] for c in (0, 1)], axis=1)
    np.testing.assert_allclose(heard, delayed(expected.astype(np.float32), 74), atol=3e-7, rtol=2e-7)


def test_an_impulse_response_for_all_inputs_and_one_from_a_file(tmp_path: Path) -> None:
    response = np.zeros(20)
    response[3] = 0.5
    played = noise(300, 2)
    expected = delayed(played, 67) * np.float32(0.5)
    np.testing.assert_allclose(through(system(ir=response), played, 2, [64]), expected, atol=1e-7)
    path = tmp_path / "ir.wav"
    soundfile.write(path, response, int(RATE), subtype="DOUBLE")
    np.testing.assert_allclose(through(system(ir=str(path)), played, 2, [64]), expected, atol=1e-7)


def test_a_tone_has_its_frequency_level_and_phase() -> None:
    heard = through(system(outputs=0, tone_hz=1000.0, tone_dbfs=-6.0, inputs=3), noise(5000, 0), 3, [64])
    expected = 10 ** (-6 / 20) * np.sin(2 * np.pi * 1000 * np.arange(5000) / RATE)
    np.testing.assert_allclose(heard, np.repeat(expected[:, np.newaxis], 3, axis=1), atol=1e-7)


def test_noise_has_its_level_is_independent_and_the_same_on_every_run_and_cut() -> None:
    loopback = system(outputs=0, noise_dbfs=-20.0, seed=3)
    first = through(loopback, noise(48000, 0), 2, [64])
    rms = np.sqrt(np.mean(first.astype(float) ** 2, axis=0))
    np.testing.assert_allclose(20 * np.log10(rms * np.sqrt(2)), -20.0, atol=0.1)
    assert abs(np.corrcoef(first.T)[0, 1]) < 0.02
    loopback.reset()
    assert np.array_equal(through(loopback, noise(48000, 0), 2, [5, 64, 31]), first)
    assert not np.array_equal(through(system(outputs=0, noise_dbfs=-20.0, seed=4), noise(48000, 0), 2, [64]), first)


def test_a_sound_file_is_added_looped_channel_by_channel(tmp_path: Path) -> None:
    sound, path = noise(100, 2), tmp_path / "source.wav"
    soundfile.write(path, sound, int(RATE), subtype="FLOAT")
    heard = through(system(inputs=3, outputs=0, source=str(path)), noise(450, 0), 3, [64])
    assert np.array_equal(heard[:, :2], np.tile(sound, (5, 1))[:450])
    assert not heard[:, 2].any()
    soundfile.write(path, sound[:, 0], int(RATE), subtype="FLOAT")
    heard = through(system(inputs=2, outputs=0, source=str(path)), noise(450, 0), 2, [64])
    assert np.array_equal(heard, np.tile(sound[:, :1], (5, 2))[:450])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 90),
    st.sampled_from([None, [1.0, 0.0, -0.5, 0.25]]),
    st.lists(st.tuples(st.integers(1, 32), st.integers(0, 150)), min_size=1, max_size=12),
)
def test_lost_frames_keep_the_axis(delay: int, ir: Any, plan: list[tuple[int, int]]) -> None:
    """Blocks and losses in any order: what is heard is the system's answer to what was played, silence in the losses."""
    loopback = system(32, inputs=1, outputs=1, delay_frames=delay, ir=ir)
    length = sum(block + loss for block, loss in plan)
    played, heard, got, source, at = np.zeros(length), np.zeros(length), np.zeros(length, dtype=bool), noise(length, 1), 0
    for block, loss in plan:
        part = np.empty((block, 1), dtype=np.float32)
        loopback.capture(part)
        heard[at : at + block], got[at : at + block] = part[:, 0], True
        loopback.play(source[at : at + block])
        played[at : at + block] = source[at : at + block, 0]
        at += block
        loopback.skip(loss)
        at += loss
    expected = np.convolve(played, [*np.zeros(32 + delay), *(ir or [1.0])])[:length]
    np.testing.assert_allclose(heard[got], expected[got], atol=3e-7)


@pytest.mark.parametrize(
    ("options", "where", "said"),
    [
        ({"ir": "/nonexistent/ir.wav"}, "ir", "no sound file /nonexistent/ir.wav"),
        ({"source": "/nonexistent/s.wav"}, "source", "no sound file"),
        ({"ir": "RATE"}, "ir", "44100 Hz, the engine 48000 Hz"),
        ({"source": "RATE"}, "source", "44100 Hz, the engine 48000 Hz"),
        ({"ir": "WIDE"}, "ir", "3 channels; use 1, or one for each of the 2 inputs"),
        ({"ir": "EMPTY"}, "ir", "0 frames"),
        ({"source": "EMPTY"}, "source", "empty"),
        ({"ir": "NAN"}, "ir", "NaN"),
        ({"ir": "TEXT"}, "ir", "no sound file that can be read"),
    ],
)
def test_sound_files_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, str], where: str, said: str) -> None:
    for name, data, rate in (
        ("RATE", noise(10, 1), 44100),
        ("WIDE", noise(10, 3), 48000),
        ("EMPTY", noise(0, 1), 48000),
        ("NAN", np.full((5, 1), np.nan), 48000),
    ):
        soundfile.write(tmp_path / f"{name}.wav", data, rate, subtype="FLOAT")
    (tmp_path / "TEXT.wav").write_text("no sound")
    files = {key: value if value.startswith("/") else str(tmp_path / f"{value}.wav") for key, value in options.items()}
    with pytest.raises(ConfigError, match=said) as caught:
        system(**files)
    assert (caught.value.code, caught.value.where) == ("bad_config", where)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"matrix": 0.5 * np.eye(8)[::-1]},
        {"matrix": np.ones((8, 8))},
        {"noise_dbfs": -60.0, "tone_hz": 50.0},
        {"ir": np.ones(100)},
    ],
)
def test_nothing_is_allocated_in_steady_state(spec: dict[str, Any]) -> None:
    loopback = system(4096, inputs=8, outputs=8, delay_frames=100, **spec)
    indata, outdata = np.zeros((4096, 8), dtype=np.float32), noise(4096, 8)

    def run() -> None:
        for _ in range(5):
            loopback.capture(indata)
            loopback.play(outdata)

    run()
    most = []
    for _ in range(3):  # other threads of this process may allocate meanwhile; the loopback would each time
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            run()
            most.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    assert min(most) < 8192  # one array of one column alone would be 16 KiB
