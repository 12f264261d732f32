"""Convolution of a stream against scipy.signal.fftconvolve."""

import tracemalloc

import numpy as np
import pytest
import soundfile
from scipy import signal

from asmu_engine.cores.convolver import AConvolver
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import DiskError
from asmu_engine.rt.context import Context, Setup
from asmu_engine.rt.convolution import Convolution, part_of
from asmu_engine.rt.tail import SLOTS, slots_of


def random(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(core: AConvolver | Convolution, inputs: np.ndarray, cuts: list[int]) -> np.ndarray:
    outputs = np.full_like(inputs, np.nan)
    for start, stop in zip([0, *cuts], [*cuts, len(inputs)], strict=True):
        core.process(inputs[start:stop], outputs[start:stop])
    return outputs


def reference(taps: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    wide = np.broadcast_to(taps, (len(taps), inputs.shape[1])).astype(np.float64)
    return signal.fftconvolve(inputs.astype(np.float64), wide, axes=0)[: len(inputs)]


def every(frames: int, blocksize: int) -> list[int]:
    return list(range(blocksize, frames, blocksize))


def make(blocksize: int = 256, channels: int = 2, **values: object) -> AConvolver:
    values = {
        name: Array("f4", value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }
    return AConvolver(Setup(48000.0, blocksize, channels, channels, Context()), values)


# With parts of 64 frames the second size begins at tap 2048, in responses of more than 3072 taps.
@pytest.mark.parametrize("taps", [1, 63, 64, 65, 128, 129, 2047, 2048, 2049, 3071, 3072, 3073, 4096, 20000])
@pytest.mark.parametrize("columns", [1, 3])
def test_it_is_exact_and_not_a_frame_late(taps, columns):
    inputs, response = random(9000, 3), random(taps, columns, seed=2)
    out = run(Convolution(response, 3, 64), inputs, every(9000, 64))
    expected = reference(response, inputs)
    assert (np.abs(out - expected).max(axis=0) < 1e-6 * np.abs(expected).max(axis=0)).all()


@pytest.mark.parametrize("blocksize", [1, 7, 32, 100, 147, 256, 441, 480, 1000, 1024, 509])
def test_any_blocksize(blocksize):
    inputs, response = random(9000, 2), random(6000, 2, seed=2)
    out = run(Convolution(response, 2, blocksize), inputs, every(9000, blocksize))
    expected = reference(response, inputs)
    assert np.abs(out - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("seconds", [1, 10])
def test_long_responses(seconds):
    frames = 48000 * seconds
    response = random(frames, 1, seed=2) * np.exp(-3 * np.arange(frames)[:, None] / frames).astype(np.float32)
    inputs = random(frames + 30000, 1)
    out = run(Convolution(response, 1, 256), inputs, every(len(inputs), 256))
    expected = reference(response, inputs)
    assert np.abs(out - expected).max() < 1e-6 * np.abs(expected).max()


def test_each_tap_stands_at_its_place():
    # A single tap anywhere is a delay: the error of the transforms alone, and nothing at all before.
    impulse = random(20000, 1)
    for at in (0, 63, 64, 2047, 2048, 3072, 5000, 12345):
        response = np.zeros((at + 1, 1), dtype=np.float32)
        response[at] = 1
        out = run(Convolution(response, 1, 64), impulse, every(20000, 64))
        assert np.abs(out[at:] - impulse[: 20000 - at]).max() < 3e-6
        assert np.abs(out[:at]).max(initial=0) < 1e-6


@pytest.mark.parametrize("channels", [1, 2, 17])
@pytest.mark.parametrize("taps", [40, 1500, 7000])
def test_any_cut_gives_the_same_bits_and_reset_repeats_them(taps, channels):
    inputs = random(8000, channels)
    core = Convolution(random(taps, channels, seed=2), channels, 250)
    whole = run(core, inputs, every(8000, 250))
    rng = np.random.default_rng(3)
    for _ in range(3):
        core.reset()
        cuts = sorted({*every(8000, 250), *rng.integers(1, 8000, 300).tolist()})
        assert np.array_equal(run(core, inputs, cuts), whole)


def test_reset_forgets_also_in_the_midst_of_a_large_part():
    core = Convolution(random(20000, 1, seed=2), 3, 64)
    inputs = random(9000, 3)
    whole = run(core, inputs, every(9000, 64))
    core.reset()
    run(core, inputs[:5000], every(5000, 64))
    core.reset()
    assert np.array_equal(run(core, inputs, every(9000, 64)), whole)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.float32(3e38)])
def test_what_is_no_number_is_silence_and_stays_in_its_channel(bad):
    inputs = random(9000, 2)
    inputs[700, 1] = 0
    broken = inputs.copy()
    broken[700, 1] = bad
    response = random(4000, 1, seed=2)
    clean = run(Convolution(response, 2, 64), inputs, every(9000, 64))
    assert np.array_equal(run(Convolution(response, 2, 64), broken, every(9000, 64)), clean)
    assert np.isnan(np.float32(bad)) or broken[700, 1] == np.float32(bad)  # the producer's block is not touched


def test_in_place():
    inputs, response = random(3000, 2), random(700, 2, seed=2)
    expected = run(Convolution(response, 2, 256), inputs, every(3000, 256))
    core = Convolution(response, 2, 256)
    for start in range(0, 3000, 256):
        core.process(inputs[start : start + 256], inputs[start : start + 256])
    assert np.array_equal(inputs, expected)


@pytest.mark.parametrize("taps", [100, 1500, 9000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_channels_that_stay_go_on(taps, channels):
    inputs, response = random(9000, 5), random(taps, 1, seed=2)
    expected = reference(response, inputs)
    first = Convolution(response, 3, 64)
    run(first, np.ascontiguousarray(inputs[:5011, :3]), every(5011, 64))
    second = Convolution(response, channels, 64)
    second.adopt(first)
    out = run(second, np.ascontiguousarray(inputs[5011:, :channels]), every(3989, 64))
    shared = min(3, channels)
    assert np.abs(out[:, :shared] - expected[5011:, :shared]).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("taps", [200, 5000, 48000])
def test_process_keeps_no_memory(taps):
    core = Convolution(random(taps, 1), 8, 1024)
    block, out = random(1024, 8), np.empty((1024, 8), dtype=np.float32)
    for _ in range(40):
        core.process(block, out)
    tracemalloc.start()
    core.process(block, out)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        core.process(block, out)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 500
    assert peak - before < 8192


@pytest.mark.parametrize("parts", [1, 2, 5, 10, 40, 115, 500])
def test_the_work_is_complete_in_order_and_even(parts):
    slots = slots_of(parts)
    assert len(slots) == SLOTS
    multiplied = [place for slot in slots for place in range(slot.first, slot.last)]
    assert multiplied == list(range(parts))
    assert [slot.begins for slot in slots] == [True] + [False] * (SLOTS - 1)
    last = next(number for number, slot in enumerate(slots) if slot.ends)
    assert all(slot.first == slot.last for slot in slots[last + 1 :])
    costs = [6 * slot.begins + slot.last - slot.first + 6 * slot.ends for slot in slots[: last + 1]]
    assert max(costs) <= max(1.15 * sum(costs) / len(costs) + 1, 13)


def test_the_parts_divide_the_block():
    for blocksize in (32, 64, 100, 128, 240, 256, 441, 480, 512, 882, 960, 1000, 1024, 1920, 4096, 16384):
        assert blocksize % part_of(blocksize) == 0
        assert 32 <= part_of(blocksize) <= 256
    assert part_of(1) == 32
    assert part_of(2**16) == 256


def test_a_core_without_a_response_passes_on():
    assert np.array_equal(run(make(), random(600, 2), [256, 512]), random(600, 2))
    assert make().latency_frames == 0


@pytest.mark.parametrize("columns", [1, 2])
def test_a_response_from_a_file(tmp_path, columns):
    response = random(3000, columns, seed=2)
    path = tmp_path / "ir.wav"
    soundfile.write(path, response, 48000, subtype="FLOAT")
    inputs = random(5000, 2)
    assert np.array_equal(run(make(path=str(path)), inputs, every(5000, 256)), run(make(ir=response), inputs, every(5000, 256)))


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(DiskError, match="cannot read") as error:
        make(path=str(tmp_path / "none.wav"))
    assert error.value.code == "file_unreadable"
    other, empty, three, broken = (tmp_path / f"{name}.wav" for name in ("other", "empty", "three", "broken"))
    soundfile.write(other, random(10, 1), 44100)
    soundfile.write(empty, random(0, 1), 48000)
    soundfile.write(three, random(10, 3), 48000)
    soundfile.write(broken, np.array([0, np.nan]), 48000, subtype="FLOAT")
    for path, words in ((other, "44100 Hz"), (empty, "0 frames"), (broken, "NaN")):
        with pytest.raises(DiskError, match=words) as error:
            make(path=str(path))
        assert error.value.code == "file_format"
    with pytest.raises(ValueError, match="for 2 channels"):
        make(path=str(three))


def test_a_new_response_goes_on_with_what_was_heard():
    first, second = random(300, 1, seed=2), random(300, 1, seed=3)
    inputs = random(4000, 2)
    core = make(ir=first)
    run(core, inputs[:1000], every(1000, 256))
    core.ir = core.convert("ir", Array("f4", second.shape, second.tobytes()))
    core.changed("ir")
    out = run(core, inputs[1000:], every(3000, 256))
    expected = reference(second, inputs)[1000:]
    assert np.abs(out[256:] - expected[256:]).max() < 1e-5 * np.abs(expected).max()


def test_from_array_to_file_and_to_nothing(tmp_path):
    path = tmp_path / "ir.wav"
    soundfile.write(path, random(50, 1, seed=3), 48000, subtype="FLOAT")
    core = make(ir=random(50, 1, seed=2))
    for name, value in (("ir", None), ("path", str(path))):
        setattr(core, name, core.convert(name, value))
        core.changed(name)
    core.reset()
    inputs = random(600, 2)
    assert np.array_equal(run(core, inputs, [256, 512]), run(make(path=str(path)), inputs, [256, 512]))
    core.path = core.convert("path", "")
    core.changed("path")
    assert np.array_equal(run(core, inputs, [256, 512]), inputs)


def test_taking_over_frees_nothing_large_in_the_callback():
    former, new = Convolution(random(9000, 1), 2, 64), Convolution(random(9000, 1, seed=2), 2, 64)
    before = [[channel.history for channel in core._tail.channels] + [core._history] for core in (former, new)]
    new.adopt(former)
    after = [[channel.history for channel in core._tail.channels] + [core._history] for core in (new, former)]
    assert all(a is b for mine, theirs in zip(before, after, strict=True) for a, b in zip(mine, theirs, strict=True))
