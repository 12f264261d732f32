"""Samples as bytes and back: exact where they must be, rounded, clipped and counted where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from asmu_control.relay.packing import FLAC_GROUP, FORMATS, check_format, pack_frames, unpack_frames
from asmu_engine.protocol.errors import ConfigError, ProtocolError

WIDTH = {"float32": 4, "int16": 2, "int24": 3}
STEP = {"int16": 2.0**-15, "int24": 2.0**-23, "flac": 2.0**-23}


def frames(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def there_and_back(data: np.ndarray, form: str) -> np.ndarray:
    packed = pack_frames(data, form)
    return unpack_frames(packed.payload, form, *data.shape, packed.parts)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (7, 3), (1000, 2), (1024, 8), (333, 9), (256, 17)])
def test_steps_of_16_bit_come_back_exactly(form: str, shape: tuple[int, int]) -> None:
    data = (np.random.default_rng(1).integers(-(2**15), 2**15, shape) / 2**15).astype(np.float32)
    packed = pack_frames(data, form)
    assert packed.clipped == 0
    back = unpack_frames(packed.payload, form, *shape, packed.parts)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, data)
    if form in WIDTH:
        assert len(packed.payload) == WIDTH[form] * data.size
        assert packed.parts == ()


@pytest.mark.parametrize("form", ["int24", "flac"])
def test_what_a_24_bit_converter_gives_comes_back_exactly(form: str) -> None:
    data = (np.random.default_rng(2).integers(-(2**23), 2**23, (500, 10)) / 2**23).astype(np.float32)
    np.testing.assert_array_equal(there_and_back(data, form), data)


def test_float32_keeps_every_bit() -> None:
    bits = np.random.default_rng(3).integers(0, 2**32, (64, 5), dtype=np.uint32)
    bits[0] = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32).view(np.uint32)
    packed = pack_frames(bits.view(np.float32), "float32")
    assert packed.payload == bits.astype("<u4").tobytes()
    np.testing.assert_array_equal(unpack_frames(packed.payload, "float32", 64, 5).view(np.uint32), bits)


@pytest.mark.parametrize("form", ["int16", "int24", "flac"])
def test_rounding_is_to_the_nearest_and_from_the_middle_to_the_even_step(form: str) -> None:
    step = STEP[form]
    data = frames([0.4 * step, 0.5 * step, 0.6 * step, 1.5 * step, -0.5 * step, -0.6 * step, -1.5 * step, 2.5 * step])
    expected = frames([0, 0, step, 2 * step, 0, -step, -2 * step, 2 * step])
    np.testing.assert_array_equal(there_and_back(data, form), expected)


@pytest.mark.parametrize("form", ["int16", "int24", "flac"])
def test_what_does_not_fit_is_clipped_and_counted(form: str) -> None:
    step = STEP[form]
    most = 1 - step
    data = frames([1.0, -1.0, most, 1.5, -1.5, np.inf, -np.inf, np.nan, 0.0])
    packed = pack_frames(data, form)
    assert packed.clipped == 6  # not -1.0, nor the highest step, nor 0.0
    back = unpack_frames(packed.payload, form, 1, 9, packed.parts)
    np.testing.assert_array_equal(back, frames([most, -1, most, most, -1, most, -1, 0, 0]))


def test_a_value_that_rounds_up_to_full_scale_is_clipped() -> None:
    packed = pack_frames(frames([1 - 0.4 * STEP["int16"]]), "int16")
    assert packed.clipped == 1
    assert packed.payload == b"\xff\x7f"


def test_the_bytes_are_little_endian_frame_after_frame() -> None:
    data = frames([1 / 32768, 2 / 32768], [-1.0, 0.5])
    assert pack_frames(data, "int16").payload == bytes([1, 0, 2, 0, 0, 0x80, 0, 0x40])
    assert pack_frames(data, "int24").payload == bytes([0, 1, 0, 0, 2, 0, 0, 0, 0x80, 0, 0, 0x40])


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (8, 1), (9, 2), (16, 2), (64, 8)])
def test_flac_goes_in_files_of_at_most_8_channels(channels: int, groups: int) -> None:
    import io

    import soundfile

    data = (np.random.default_rng(4).integers(-(2**23), 2**23, (100, channels)) / 2**23).astype(np.float32)
    packed = pack_frames(data, "flac")
    assert len(packed.parts) == groups
    assert sum(packed.parts) == len(packed.payload)
    begin = 0
    for group, size in enumerate(packed.parts):
        part, rate = soundfile.read(io.BytesIO(packed.payload[begin : begin + size]), dtype="float32", always_2d=True)
        assert part.shape[1] <= FLAC_GROUP
        np.testing.assert_array_equal(part, data[:, group * FLAC_GROUP :][:, : part.shape[1]])
        assert rate == 48000
        begin += size


def test_flac_makes_a_quiet_tone_smaller() -> None:
    data = np.repeat(0.01 * np.sin(np.arange(1024) / 20)[:, None], 8, axis=1).astype(np.float32)
    assert len(pack_frames(data, "flac").payload) < len(pack_frames(data, "int24").payload) / 2


def test_strided_and_memoryviews_are_taken() -> None:
    wide = (np.arange(64).reshape(8, 8) / 2**15).astype(np.float32)
    for form in FORMATS:
        data = wide[::2, ::3]
        packed = pack_frames(data, form)
        back = unpack_frames(memoryview(packed.payload), form, *data.shape, packed.parts)
        np.testing.assert_array_equal(back, data)


@pytest.mark.parametrize("form", ["float32", "int16", "int24"])
def test_bytes_of_another_size_are_refused(form: str) -> None:
    with pytest.raises(ProtocolError, match="are needed") as caught:
        unpack_frames(b"12345", form, 2, 2)
    assert caught.value.code == "bad_message"


def test_flac_that_is_none_is_refused() -> None:
    packed = pack_frames(np.zeros((10, 9), np.float32), "flac")
    first = packed.parts[0]
    for payload, parts, shape in (
        (packed.payload, (first,), (10, 9)),  # a part is missing
        (packed.payload, (first, packed.parts[1] + 1), (10, 9)),  # longer than what is there
        (packed.payload, (-1, len(packed.payload) + 1), (10, 9)),
        (packed.payload, packed.parts, (11, 9)),  # another number of frames
        (packed.payload, packed.parts, (10, 10)),  # or of channels
        (b"x" * len(packed.payload), packed.parts, (10, 9)),
        (packed.payload[: first // 2] + b"\0" * (len(packed.payload) - first // 2), packed.parts, (10, 9)),
    ):
        with pytest.raises(ProtocolError) as caught:
            unpack_frames(payload, "flac", *shape, parts)
        assert caught.value.code == "bad_message"


def test_a_format_that_is_none_lists_those_that_are() -> None:
    with pytest.raises(ConfigError, match="float32, int16, int24, flac") as caught:
        check_format("mp3")
    assert caught.value.code == "bad_config"
    assert check_format("flac") == "flac"
