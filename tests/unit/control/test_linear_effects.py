"""Weight, Filter, Convolver and Delay as a script sees them, stepped through `Interface.callback`."""

import numpy as np
import pytest
import soundfile
from scipy import signal

import asmu_control as asmu
from asmu_control.effect import Convolver, Delay, Filter, Weight
from asmu_control.exceptions import DiskError, PatchError
from asmu_engine.audio.kinds import Kinds
from asmu_engine.local import LocalEngine

BLOCK = 128


@pytest.fixture
def interface():
    with asmu.Interface(device="offline:inputs=2,outputs=2", samplerate=48000, blocksize=BLOCK) as made:
        yield made


def noise(frames: int = 4096, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(8).standard_normal((frames, channels)).astype(np.float32)


def connect(interface, effect, channels: int = 2) -> None:
    for idx in range(channels):
        interface.iinput(ch=idx + 1).connect(effect.input(idx))
        effect.output(idx).connect(interface.ioutput(ch=idx + 1))


def run(interface, inputs: np.ndarray) -> np.ndarray:
    out = np.empty_like(inputs)
    for start in range(0, len(inputs), BLOCK):
        interface.callback(inputs[start : start + BLOCK], out[start : start + BLOCK], BLOCK)
    return out


def lag(out: np.ndarray, inputs: np.ndarray) -> int:
    correlation = signal.correlate(out[:, 0], inputs[:, 0])
    return int(np.argmax(np.abs(correlation))) - len(inputs) + 1


@pytest.mark.parametrize("cls", [Weight, Filter, Convolver, Delay])
def test_it_describes_the_core(cls):
    core = Kinds()[cls.kind].describe()
    mine = cls.describe()
    assert (mine.role, mine.inputs, mine.outputs, mine.paired, mine.breaks_cycle) == (
        core.role,
        core.inputs,
        core.outputs,
        core.paired,
        core.breaks_cycle,
    )
    for parameter, other in zip(mine.parameters, core.parameters, strict=True):
        for field in ("name", "type", "default", "unit", "minimum", "maximum", "choices", "per_channel", "live"):
            assert getattr(parameter, field) == getattr(other, field)


def effects(interface) -> dict:
    return {
        "weight": Weight(interface, "Z"),
        "filter": Filter(interface, sos=[[1, 0, 0, 1, 0, 0]]),
        "fir": Filter(interface, fir=np.eye(1, 300)[0]),
        "convolver": Convolver(interface, np.eye(1, 9000)[0]),
        "delay": Delay(interface, 0),
        "fractional": Delay(interface, 0, fractional=True),
    }


@pytest.mark.parametrize("name", ["weight", "filter", "fir", "convolver", "delay", "fractional"])
def test_the_stated_latency_is_the_true_one(interface, name):
    effect = effects(interface)[name]
    connect(interface, effect, 1)
    inputs = noise(channels=1)
    out = run(interface, inputs)
    assert lag(out, inputs) == effect.latency_frames
    assert effect.latency_frames == (32 if name == "fractional" else 0)
    engine = LocalEngine(48000, BLOCK)
    engine.edit(interface._patch.graph.edits())
    assert engine._builder.graph.cores[effect.name].latency_frames == effect.latency_frames
    engine.close()


def test_weight(interface):
    weight = Weight(interface, "A")
    connect(interface, weight)
    run(interface, noise())
    assert weight.weight == "A"
    assert weight.frequencies.shape == (BLOCK // 2 + 1,)
    assert weight.frequencies[-1] == 24000
    assert weight.get_weight([1000.0]) == pytest.approx([1.0], abs=1e-12)
    assert weight.get_weight([100.0, 10000.0], decibels=True) == pytest.approx([-19.1, -2.5], abs=0.05)
    assert weight.get_weight().shape == weight.frequencies.shape
    assert weight.get_weight([0.0], decibels=True) == [-np.inf]
    weight.set_weight("C")
    assert weight.get_weight([31.623], decibels=True) == pytest.approx([-3.0], abs=0.05)
    weight.set_weight("Z")
    assert np.array_equal(run(interface, noise()), noise())
    assert (weight.get_weight([0.0, 5.0]) == 1).all()
    with pytest.raises(PatchError, match="not one of"):
        weight.set_weight("B")


def test_the_curve_is_that_which_the_engine_follows(interface):
    from asmu_engine.rt.weighting import analog

    frequencies = np.geomspace(1, 1e5, 40)
    for curve in ("A", "C"):
        assert np.allclose(Weight(interface, curve).get_weight(frequencies), analog(curve, frequencies), rtol=1e-12)


def test_butterworth_and_a_live_change(interface):
    filter_ = Filter.butter(interface, 4, 1000, "highpass", channels=2)
    connect(interface, filter_)
    sections = signal.butter(4, 1000, "highpass", fs=48000, output="sos")
    expected = signal.sosfilt(sections, noise().astype(float), axis=0)
    assert np.abs(run(interface, noise()) - expected).max() < 1e-6
    assert np.array_equal(filter_.sos, sections)
    assert filter_.fir is None
    assert abs(filter_.get_response([1000.0])[0]) == pytest.approx(np.sqrt(0.5))
    filter_.set_fir([0.0, 0.5])
    assert filter_.sos is None
    out = run(interface, noise())
    assert np.array_equal(out[1:], noise()[:-1] * np.float32(0.5))
    filter_.set_sos(sections)
    assert np.abs(run(interface, noise()) - expected).max() < 1e-6


def test_the_other_designs(interface):
    for filter_, frequency, level in (
        (Filter.bessel(interface, 3, 2000), 2000.0, np.sqrt(0.5)),
        (Filter.cheby1(interface, 4, 1.0, [500, 2000], "bandpass"), 2000.0, 10**-0.05),
        (Filter.notch(interface, 50.0), 50.0, 0.0),
        (Filter.firwin(interface, 201, 5000), 5000.0, 0.5),
        (Filter.firwin(interface, 201, 5000, "highpass"), 0.0, 0.0),
    ):
        assert abs(filter_.get_response([frequency])[0]) == pytest.approx(level, abs=2e-3)


def test_a_response_a_channel(interface):
    taps = np.random.default_rng(1).standard_normal((50, 2))
    filter_ = Filter(interface, fir=taps)
    assert len(filter_.inputs) == 2
    connect(interface, filter_)
    expected = signal.fftconvolve(noise().astype(float), taps.astype(np.float32).astype(float), axes=0)[:4096]
    assert np.abs(run(interface, noise()) - expected).max() < 1e-5
    assert filter_.get_response([10.0, 20.0, 30.0]).shape == (3, 2)
    with pytest.raises(PatchError, match="2 columns for 3 channels"):
        filter_.input(2)
    with pytest.raises(PatchError, match="3 columns for 2 channels"):
        filter_.set_fir(np.ones((5, 3)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either sos or fir"),
        ({"sos": [[1, 0, 0, 1, 0, 0]], "fir": [1.0]}, "either sos or fir"),
        ({"sos": [1, 0, 0, 1, 0, 0]}, "shape"),
        ({"sos": [[1, 0, 0, 1, -2, 1]]}, "unstable"),
        ({"sos": [[1, 0, 0, 0, 0, 0]]}, "a0"),
        ({"sos": [[1, 0, 0, 1, np.nan, 0]]}, "NaN"),
        ({"fir": []}, "shape"),
        ({"fir": 3.0}, "shape"),
        ({"fir": [1e39]}, "too large"),
        ({"fir": [1j]}, "complex"),
        ({"fir": ["x"]}, "real numbers"),
        ({"fir": np.ones(3_000_000)}, "bytes"),
        ({"fir": np.ones((4, 2)), "channels": 3}, "2 columns for 3 channels"),
    ],
)
def test_bad_filters_are_refused_and_leave_nothing(interface, arguments, words):
    with pytest.raises(PatchError, match=words) as error:
        Filter(interface, **arguments)
    assert error.value.code == "bad_value"
    assert interface.processors == ()


def test_bad_designs_name_what_scipy_says(interface):
    with pytest.raises(PatchError, match="0 < Wn < fs/2"):
        Filter.butter(interface, 2, 30000)


@pytest.mark.parametrize("form", ["array", "path", "text"])
def test_convolver(interface, tmp_path, form):
    taps = np.random.default_rng(1).standard_normal((6000, 1)).astype(np.float32)
    path = tmp_path / "room.wav"
    soundfile.write(path, taps, 48000, subtype="FLOAT")
    convolver = Convolver(interface, {"array": taps[:, 0], "path": path, "text": str(path)}[form], channels=2)
    assert convolver.taps == 6000
    connect(interface, convolver)
    expected = signal.fftconvolve(noise().astype(float), np.repeat(taps.astype(float), 2, 1), axes=0)[:4096]
    assert np.abs(run(interface, noise()) - expected).max() < 1e-6 * np.abs(expected).max()
    convolver.set_ir([0.0, 1.0])
    assert convolver.taps == 2
    interface.acore.reset()
    assert np.array_equal(run(interface, noise())[1:], noise()[:-1])


def test_convolver_refuses(interface, tmp_path):
    path = tmp_path / "ir.wav"
    with pytest.raises(DiskError, match="no such file"):
        Convolver(interface, path)
    path.write_bytes(b"no sound")
    with pytest.raises(DiskError, match="cannot read"):
        Convolver(interface, path)
    soundfile.write(path, np.ones((5, 1)), 44100)
    with pytest.raises(DiskError, match="44100 Hz"):
        Convolver(interface, path)
    with pytest.raises(PatchError, match="give its path"):
        Convolver(interface, np.ones(2_200_000))
    with pytest.raises(PatchError, match="shape"):
        Convolver(interface, np.ones((2, 2, 2)))
    soundfile.write(path, np.ones((5, 2)), 48000)
    convolver = Convolver(interface, path)
    assert len(convolver.outputs) == 2
    with pytest.raises(PatchError, match="2 columns for 3 channels"):
        convolver.input(2)
    with pytest.raises(PatchError, match="3 columns for 2 channels"):
        convolver.set_ir(np.ones((5, 3)))
    assert convolver.taps == 5


def test_a_running_convolver_gets_another_channel(interface):
    taps = np.random.default_rng(1).standard_normal(500).astype(np.float32)
    convolver = Convolver(interface, taps)
    connect(interface, convolver, 1)
    interface.iinput(ch=2)
    first = run(interface, noise()[:2048])
    interface.iinput(ch=2).connect(convolver.input(1))
    convolver.output(1).connect(interface.ioutput(ch=2))
    second = run(interface, noise()[2048:])
    expected = signal.fftconvolve(noise()[:, 0].astype(float), taps.astype(float))[:4096]
    assert np.abs(np.concatenate([first[:, 0], second[:, 0]]) - expected).max() < 1e-4


def test_delay(interface):
    delay = Delay(interface, [3, 200], maximum=300)
    connect(interface, delay)
    assert delay.frames == [3, 200]
    assert delay.latency_frames == 0
    out = run(interface, noise())
    assert np.array_equal(out[3:, 0], noise()[:-3, 0])
    assert np.array_equal(out[200:, 1], noise()[:-200, 1])
    delay.set_frames(np.int64(5))
    assert delay.frames == 5
    assert isinstance(delay.frames, int)
    with pytest.raises(PatchError, match="fractional=True"):
        delay.set_frames(5.5)
    with pytest.raises(PatchError, match="fractional=True"):
        Delay(interface, [1, 1.5])
    assert delay.frames == 5


def test_a_fractional_delay(interface):
    delay = Delay(interface, [0, 10.5], fractional=True)
    connect(interface, delay)
    n = np.arange(4096)
    tone = np.sin(2 * np.pi * 1000 * n / 48000).astype(np.float32)
    out = run(interface, np.stack([tone, tone], axis=1))
    for channel, frames in enumerate((0, 10.5)):
        expected = np.sin(2 * np.pi * 1000 * (n - frames - delay.latency_frames) / 48000)
        assert np.abs(out[100:, channel] - expected[100:]).max() < 1e-4
    assert delay.frames == [0.0, 10.5]
