from __future__ import annotations

import numpy as np
import pytest
from one_shots import check_finished, live_interface

import asmu_control as asmu
from asmu_control.exceptions import PatchError
from asmu_engine.protocol.arrays import Array


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=48000)


def test_an_output_a_column(interface: asmu.Interface) -> None:
    vector = asmu.generator.Vector(interface, np.zeros((100, 3)))
    assert [vector.output(idx).idx for idx in range(3)] == [0, 1, 2]
    assert vector.samples == 100
    for idx in (3, 7):
        with pytest.raises(PatchError, match="3 outputs, one for each channel") as caught:
            vector.output(idx)
        assert caught.value.code == "unknown_port"
    assert len(asmu.generator.Vector(interface, [0.0, 1.0]).outputs) == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.uint8])
def test_the_array_goes_as_float32(client, link, dtype) -> None:
    values = np.arange(12).reshape(6, 2).astype(dtype)[:, ::-1]
    asmu.generator.Vector(live_interface(client), values)
    array = link.edits()[0]["parameters"]["vector"]
    assert isinstance(array, Array)
    assert np.array_equal(np.frombuffer(array.data, "<f4").reshape(array.shape), values)
    assert link.edits()[0]["outputs"] == 2


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros((2, 2, 2)), r"shape is \(2, 2, 2\)"),
        (np.float64(1), r"shape is \(\)"),
        (np.zeros((10, 0)), r"shape is \(10, 0\)"),
        (np.zeros((10, 1025)), "1 to 1024 channels"),
        (np.zeros(4, complex), "complex128"),
        (["a"], "real numbers"),
        ([True], "real numbers"),
        ([0.0, np.nan], "NaN"),
        ([0.0, np.inf], "infinite"),
        ([1e39], "range of float32"),
    ],
)
def test_what_is_no_signal_is_refused(interface: asmu.Interface, vector, message) -> None:
    with pytest.raises(PatchError, match=message) as caught:
        asmu.generator.Vector(interface, vector)
    assert caught.value.code == "bad_value"
    assert interface.processors == ()


def test_what_is_too_long_is_refused_and_fits_to_the_last_sample(client, link) -> None:
    interface = live_interface(client)
    longest = (8 * 2**20 - 4096) // 4
    asmu.generator.Vector(interface, np.zeros(longest, np.float32))
    with pytest.raises(PatchError, match=r"8\.0 MiB.*asmu\.generator\.Player"):
        asmu.generator.Vector(interface, np.zeros(longest + 1, np.float32))
    with pytest.raises(PatchError, match=r"2000000 samples of 2 channels are 15\.3 MiB"):
        asmu.generator.Vector(interface, np.zeros((2_000_000, 2)))


def test_another_array(client, link) -> None:
    vector = asmu.generator.Vector(live_interface(client), np.zeros((10, 2)))
    vector.set_vector(np.ones((20, 2)))
    assert vector.samples == 20
    assert [edit["op"] for edit in link.edits()] == ["add", "set"]
    with pytest.raises(PatchError, match="1 channels, the processor 2 outputs"):
        vector.set_vector(np.ones(20))
    assert vector.samples == 20


def test_finished(client, link) -> None:
    vector = asmu.generator.Vector(live_interface(client), np.zeros(10))
    check_finished(vector, link, vector.restart)


def test_another_array_is_another_run(client, link) -> None:
    vector = asmu.generator.Vector(live_interface(client), np.zeros(10))
    check_finished(vector, link, lambda: vector.set_vector(np.zeros(20)))


def test_stepped_by_hand(interface: asmu.Interface) -> None:
    frames = interface.blocksize
    values = np.random.default_rng(1).standard_normal((frames + 10, 2)).astype(np.float32)
    vector = asmu.generator.Vector(interface, values)
    for idx in range(2):
        vector.output(idx).connect(interface.ioutput(ch=idx + 1))
    out = np.empty((2 * frames, 2), np.float32)
    for part in (out[:frames], out[frames:]):
        assert not vector.finished(block=False)
        interface.callback(None, part, frames)
    assert np.array_equal(out[: frames + 10], values)
    assert not out[frames + 10 :].any()
    assert vector.finished()
    vector.set_vector(values[::-1])
    interface.callback(None, out[:frames], frames)
    assert np.array_equal(out[:frames], values[::-1][:frames])
    assert not vector.finished(block=False)
    interface.close()
