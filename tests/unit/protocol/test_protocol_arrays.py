"""Arrays on the wire: numpy's own bytes, every damage refused."""

import math
import struct

import numpy as np
import pytest

from asmu_engine.protocol.arrays import Array

DTYPES = ["f4", "f8", "i4", "i8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 1, 3, 2)])
def test_numpy_arrays_come_back_equal(dtype, shape):
    numbers = np.arange(math.prod(shape), dtype="<" + dtype).reshape(shape) - 2
    array = Array.decode(Array(dtype, shape, numbers.tobytes()).encode())
    assert (array.dtype, array.shape) == (dtype, shape)
    assert np.array_equal(np.frombuffer(array.data, "<" + dtype).reshape(array.shape), numbers)
    assert array.numbers() == [float(v) for v in numbers.ravel()]


def test_the_bytes_are_as_documented():
    assert Array("f4", (2,), struct.pack("<2f", 1, 2)).encode() == b"f4\x01" + struct.pack("<Q2f", 2, 1, 2)


@pytest.mark.parametrize(
    ("dtype", "shape", "size", "what"),
    [
        ("f2", (1,), 2, "array of type 'f2'; use one of f4, f8, i4, i8"),
        ("f4", (1,) * 5, 4, "use at most 4 axes"),
        ("f4", (-1,), 4, "use at most 4 axes of zero or more"),
        ("f4", (2,), 4, "has 4 bytes, not 8"),
        ("f8", (2**40, 2**40), 8, "not 9671406556917033397649408"),
    ],
)
def test_an_array_that_contradicts_itself_is_refused(dtype, shape, size, what):
    with pytest.raises(ValueError, match=what):
        Array(dtype, shape, bytes(size))


GOOD = Array("f4", (2, 3), bytes(24)).encode()


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_payload_cut_anywhere_is_refused(length):
    with pytest.raises(ValueError, match="array"):
        Array.decode(GOOD[:length])


@pytest.mark.parametrize("payload", [GOOD + b"\0", b"f4\x05" + bytes(40), b"\xff\xfe\x00" + bytes(4), b"f4\x01" + b"\xff" * 8])
def test_a_damaged_payload_is_refused(payload):
    with pytest.raises(ValueError, match="array"):
        Array.decode(payload)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_value_among_many_is_found(dtype, bad):
    numbers = np.ones(1000, dtype="<" + dtype)
    assert Array(dtype, (1000,), numbers.tobytes()).finite()
    numbers[617] = bad
    assert not Array(dtype, (1000,), numbers.tobytes()).finite()


def test_a_sum_that_overflows_is_no_bad_value():
    numbers = np.array([1.7e308, 1.7e308, -1.0])
    assert Array("f8", (3,), numbers.tobytes()).finite()
    both = np.array([math.inf, -math.inf])
    assert not Array("f8", (2,), both.tobytes()).finite()
