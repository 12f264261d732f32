"""Values as JSON and TOML know them."""

from __future__ import annotations

import json

import pytest

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.plain import from_plain, to_plain


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 2, 1, 2)])
def test_arrays_come_back_bit_for_bit(dtype: str, shape: tuple[int, ...]) -> None:
    size = int(dtype[1])
    for axis in shape:
        size *= axis
    array = Array(dtype, shape, bytes(range(size)))
    value = {"edits": [{"parameters": {"taps": array, "gain": [0.1, 2], "note": "ü", "on": True, "none": None}}]}
    assert from_plain(json.loads(json.dumps(to_plain(value)))) == value


def test_large_arrays_are_one_text() -> None:
    array = Array("f4", (40_000,), bytes(range(256)) * 625)
    plain = to_plain(array)
    assert len(plain["data"]) == 213_336
    assert "=" not in plain["data"][:-2]
    assert from_plain(plain) == array


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"array": "float16", "shape": [1], "data": "AAA="}, "float32, float64"),
        ({"array": "float32", "data": ""}, "'shape'"),
        ({"array": "float32", "shape": 3, "data": ""}, "shape is 3"),
        ({"array": "float32", "shape": [True], "data": ""}, "whole numbers"),
        ({"array": "float32", "shape": [-1], "data": ""}, "zero or more"),
        ({"array": "float32", "shape": [2], "data": "AAA="}, "8"),
        ({"array": "float32", "shape": [1], "data": "*AAAAAA=="}, "damaged"),
        ({"array": "float32", "shape": [1], "data": 3}, "damaged"),
        ({"array": "float32", "shape": [1], "data": "ü"}, "damaged"),
    ],
)
def test_what_is_no_array_is_refused_with_its_place(plain: dict, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_plain({"node": {"taps": [plain]}}, "file")
    assert caught.value.where == "file.node.taps"
    assert words in str(caught.value)
