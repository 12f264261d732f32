from __future__ import annotations

import numpy as np
import pytest
from one_shots import live_interface

import asmu_control as asmu
from asmu_control.exceptions import PatchError


@pytest.fixture
def interface() -> asmu.Interface:
    return asmu.Interface(device="virtual", samplerate=48000)


def test_ports_are_those_of_the_gains(interface: asmu.Interface) -> None:
    matrix = asmu.effect.Matrix(interface, [[1, 2, 3], [4, 5, 6]])
    assert (len(matrix.inputs), len(matrix.outputs)) == (3, 2)
    assert matrix.input(2).idx == 2
    assert matrix.output(1).idx == 1
    assert np.array_equal(matrix.gain, [[1, 2, 3], [4, 5, 6]])
    for port in (lambda: matrix.input(3), lambda: matrix.output(2), lambda: matrix.input(-1)):
        with pytest.raises(PatchError, match="as its gains have") as caught:
            port()
        assert caught.value.code == "unknown_port"


def test_it_is_one_node_from_the_start(client, link) -> None:
    asmu.effect.Matrix(live_interface(client), np.ones((2, 3)))
    (edit,) = link.edits()
    assert (edit["op"], edit["inputs"], edit["outputs"], edit["parameters"]["gain"].shape) == ("add", 3, 2, (2, 3))


def test_new_gains_have_the_same_shape(interface: asmu.Interface) -> None:
    matrix = asmu.effect.Matrix(interface, np.eye(2))
    matrix.set_gain(np.ones((2, 2)))
    assert (matrix.gain == 1).all()
    with pytest.raises(PatchError, match=r"shape is \(2, 3\), that of the processor \(2, 2\)"):
        matrix.set_gain(np.ones((2, 3)))
    assert (matrix.gain == 1).all()


@pytest.mark.parametrize("gain", [1.0, [1.0], [[np.nan]], [[1e39]], np.ones((0, 2)), [[1j]], [["a"]], np.ones((1, 1025))])
def test_what_is_no_matrix_is_refused(interface: asmu.Interface, gain) -> None:
    with pytest.raises(PatchError) as caught:
        asmu.effect.Matrix(interface, gain)
    assert caught.value.code == "bad_value"
    assert interface.processors == ()


def test_stepped_by_hand(interface: asmu.Interface) -> None:
    matrix = asmu.effect.Matrix(interface, [[0, 1], [1, 1], [2, 0]])
    for idx in range(2):
        interface.iinput(ch=idx + 1).connect(matrix.input(idx))
    for idx in range(3):
        matrix.output(idx).connect(interface.ioutput(ch=idx + 1))
    frames = interface.blocksize
    out = np.empty((frames, 3), np.float32)
    interface.callback(np.tile(np.array([[0.5, 0.25]], np.float32), (frames, 1)), out, frames)
    assert (out == [0.25, 0.75, 1.0]).all()
    interface.close()
