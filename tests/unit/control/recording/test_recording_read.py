"""Spans of a recording folder as arrays: exact samples across files and gaps, whatever the format."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from handmade import FIRST, RATE, START_NS, STOP, HandMade, expected, signal

from asmu_control.exceptions import CalibrationError, DiskError, FramesMissing
from asmu_control.recording import Gap, Recording, open_recording
from asmu_engine.recording import ledger


def test_what_it_is(rec: Recording, folder: Path) -> None:
    assert (rec.samplerate, rec.first, rec.position, rec.frames, len(rec)) == (RATE, FIRST, STOP, 9000, 9000)
    assert rec.seconds == 9000 / RATE
    assert (rec.state, rec.path, rec.manifest.id) == ("finished", folder, "0" * 32)
    assert [channel.unit for channel in rec.channels] == ["Pa", "m/s²"]
    assert rec.channel_names == ["microphone 1", "accelerometer"]
    assert rec.gaps == [
        Gap(FIRST + 100, 100, "device", 0, True),
        Gap(FIRST + 2900, 150, "device", 0, True),
        Gap(FIRST + 6000, 1000, "restart", 12, False),
    ]
    assert rec.missing == {"device": 250, "restart": 1000}
    assert rec.lost_frames == 1250
    assert [(one.index, one.first, one.frames, one.rows, one.state) for one in rec.segments] == [
        (1, FIRST, 3000, 3000, "whole"),
        (2, FIRST + 3000, 3000, 3000, "whole"),
        (3, FIRST + 7000, 2000, 2000, "whole"),
    ]
    assert isinstance(rec.entries[0], ledger.Begun)
    assert isinstance(rec.entries[-1], ledger.Ended)
    assert repr(rec) == (
        "<Recording friday: 2 channels, 48000 Hz, 0:00:00.188 from 2026-01-02T00:51:18.506Z, 3 segments, "
        "1250 frames lost in 3 gaps, finished>"
    )
    assert "restart" in rec._repr_html_()
    assert "± 12" in rec._repr_html_()


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 9000),
        (0, 0),
        (9000, 9000),
        (150, 160),
        (199, 201),
        (2899, 3051),
        (2999, 3001),
        (5999, 7001),
        (6500, 6600),
        (7000, 9000),
    ],
)
def test_any_span(rec: Recording, start: int, stop: int) -> None:
    start, stop = FIRST + start, FIRST + stop
    data = rec.read(start, stop)
    assert (data.dtype, data.shape) == (np.float32, (stop - start, 2))
    assert np.array_equal(data, expected(start, stop), equal_nan=True)
    assert np.array_equal(rec.read(start, stop, gaps="zero"), expected(start, stop, 0))
    masked = rec.read(start, stop, gaps="mask", dtype=np.float64)
    missing = np.isnan(expected(start, stop))
    assert isinstance(masked, np.ma.MaskedArray)
    assert masked.dtype == np.float64
    assert np.array_equal(np.ma.getmaskarray(masked), missing)
    assert np.array_equal(masked.data, expected(start, stop, 0))
    if missing.any():
        with pytest.raises(FramesMissing):
            rec.read(start, stop, gaps="raise")
    else:
        assert np.array_equal(rec.read(start, stop, gaps="raise"), signal(start, stop))


def test_the_error_names_what_is_missing(rec: Recording) -> None:
    with pytest.raises(FramesMissing) as caught:
        rec.read(gaps="raise")
    assert str(caught.value).startswith(
        f"1250 of these frames are missing: 100 from frame {FIRST + 100}, 2026-01-02T00:51:18.508Z (device); "
        f"150 from frame {FIRST + 2900}, 2026-01-02T00:51:18.566Z (device); 1000 from frame {FIRST + 6000}"
    )
    assert isinstance(caught.value, DiskError)
    assert caught.value.code == "frames_missing"


def test_spans_by_time_and_duration(rec: Recording) -> None:
    begin = np.datetime64(START_NS, "ns") + np.timedelta64(round((FIRST + 4800) * 1e9 / RATE), "ns")
    whole = signal(FIRST + 4800, FIRST + 4848)
    end = begin + np.timedelta64(1, "ms")
    assert np.array_equal(rec.read(begin, end), whole)
    assert np.array_equal(rec.read(str(begin), f"{end}Z"), whole)
    moment = datetime.fromtimestamp(begin.astype(np.int64) / 1e9, UTC)
    assert np.array_equal(rec.read(moment, moment + timedelta(milliseconds=1)), whole)
    assert np.array_equal(rec.read(timedelta(milliseconds=100), timedelta(milliseconds=1)), whole)
    assert np.array_equal(rec.read(FIRST + 4800, np.timedelta64(1, "ms")), whole)
    assert np.array_equal(rec.read(rec.at_seconds(0.1), rec.at_seconds(0.101)), whole)
    assert np.array_equal(rec.read(np.int64(FIRST + 4800), FIRST + 4848), whole)
    assert len(rec.read(rec.start_utc, rec.end_utc)) == 9000
    assert rec.position_of(rec.time_of(FIRST + 77)[0]) == FIRST + 77
    times = rec.times(FIRST + 4800, FIRST + 4803)
    assert times.dtype == np.dtype("datetime64[ns]")
    assert [rec.position_of(time) for time in times] == [FIRST + 4800, FIRST + 4801, FIRST + 4802]
    assert times[0] == rec.time_of(FIRST + 4800)[0] == rec.times_of([FIRST + 4800])[0][0]


@pytest.mark.parametrize(
    ("start", "stop", "words"),
    [
        (FIRST - 1, FIRST, "not all within the recording"),
        (FIRST, STOP + 1, f"which has {FIRST} to {STOP}"),
        (STOP, FIRST, "before it starts"),
        ("2026-01-01", "2026-01-02", "not all within"),
        (12.5, None, r"at_seconds\(12.5\)"),
        (True, None, "neither a frame position nor a time"),
        ([1], None, "neither a frame position nor a time"),
        ("soon", None, "is no time"),
    ],
)
def test_what_is_no_span(rec: Recording, start: object, stop: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rec.read(start, stop)  # type: ignore[arg-type]


def test_channels(rec: Recording) -> None:
    whole = expected(FIRST, FIRST + 300)
    for channels, columns in (
        (0, [0]),
        (np.int64(1), [1]),
        ("accelerometer", [1]),
        ([1, 0], [1, 0]),
        (["microphone 1"], [0]),
        (slice(1, None), [1]),
        (range(2), [0, 1]),
        ([], []),
    ):
        data = rec.read(FIRST, FIRST + 300, channels)  # type: ignore[arg-type]
        assert np.array_equal(data, whole[:, columns], equal_nan=True), channels
    for wrong, words in ((2, "columns are 0 to 1"), (-1, "columns are"), ("nose", "there are microphone 1"), (1.5, "no channel")):
        with pytest.raises(ValueError, match=words):
            rec.read(FIRST, FIRST + 1, wrong)  # type: ignore[arg-type]
    for name, words in (("gaps", "nothing"), ("dtype", "int16")):
        with pytest.raises(ValueError, match=words):
            rec.read(FIRST, FIRST, **{name: words})  # type: ignore[arg-type]


def test_channels_without_a_name_or_with_the_name_of_another(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "take", channels=4)
    channels = [channel.model_copy(update={"name": name}) for channel, name in zip(made.manifest.channels, "aab", strict=False)]
    made.save(channels=[*channels, made.manifest.channels[3].model_copy(update={"name": ""})])
    made.segment(0, 10)
    rec = open_recording(made.path)
    assert rec.channel_names == ["a 0", "a 1", "b", "channel 4"]
    assert np.array_equal(rec.read(0, 10, ["channel 4", "a 1"]), signal(0, 10, 4)[:, [3, 1]])
    with pytest.raises(ValueError, match="2 channels are called 'a': columns 0, 1"):
        rec.read(0, 1, "a")


def test_calibrated(rec: Recording, tmp_path: Path) -> None:
    data = rec.read(FIRST, FIRST + 300, calibrated=True)
    assert data.dtype == np.float32
    assert np.array_equal(data, expected(FIRST, FIRST + 300) * np.float32([20, 0.5]), equal_nan=True)
    one = rec.read(FIRST, FIRST + 50, "accelerometer", calibrated=True, dtype=float)
    assert np.array_equal(one, signal(FIRST, FIRST + 50)[:, [1]].astype(float) * 0.5)
    bare = HandMade(tmp_path / "bare", channels=3)
    bare.segment(0, 10)
    with pytest.raises(CalibrationError, match="channel 3: recorded without a calibration") as caught:
        open_recording(bare.path).read(calibrated=True)
    assert caught.value.code == "not_calibrated"
    assert open_recording(bare.path).read(0, 10, [0, 1], calibrated=True).shape == (10, 2)


@pytest.mark.parametrize(("frames", "overlap"), [(9000, 0), (1000, 0), (1000, 500), (4000, 3999 - 2000), (700, 13), (20000, 5)])
def test_blocks(rec: Recording, frames: int, overlap: int) -> None:
    whole = expected(FIRST, STOP)
    blocks = list(rec.blocks(frames, overlap))
    position = FIRST
    for block in blocks:
        assert block.position == position
        assert np.array_equal(block.data, whole[position - FIRST :][:frames], equal_nan=True)
        assert block.lost == np.isnan(block.data[:, 0]).sum()
        position += frames - overlap
    assert blocks[-1].position + len(blocks[-1]) == STOP
    assert all(len(block) == frames for block in blocks[:-1])
    assert len(blocks) == 1 or len(blocks[-1]) > overlap  # no block that has nothing new


def test_blocks_of_a_part_and_of_nothing(rec: Recording) -> None:
    some = list(rec.blocks(100, 50, FIRST + 10, FIRST + 210, 1, gaps="zero"))
    assert [block.position for block in some] == [FIRST + 10, FIRST + 60, FIRST + 110]
    assert some[0].data.shape == (100, 1)
    assert list(rec.blocks(100, 0, FIRST, FIRST)) == []
    with pytest.raises(ValueError, match="cannot overlap by 100"):
        rec.blocks(100, 100)
    with pytest.raises(ValueError, match="not all within"):
        rec.blocks(100, 0, 0)  # before the first is asked for


def test_runs_that_were_delivered(rec: Recording) -> None:
    runs = [(0, 100), (200, 2900), (3050, 6000), (7000, 9000)]
    assert rec.delivered() == [(FIRST + start, FIRST + stop) for start, stop in runs]
    assert rec.delivered(minimum=2700) == [(FIRST + 200, FIRST + 2900), (FIRST + 3050, FIRST + 6000)]
    assert rec.delivered(FIRST + 50, FIRST + 210) == [(FIRST + 50, FIRST + 100), (FIRST + 200, FIRST + 210)]
    for start, stop in rec.delivered():
        assert np.array_equal(rec.read(start, stop, gaps="raise"), signal(start, stop))


@pytest.mark.parametrize(
    "form",
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("RF64", "FLOAT"),
        ("W64", "FLOAT"),
        ("CAF", "FLOAT"),
        ("AU", "PCM_24"),
        ("AIFF", "PCM_24"),
        ("FLAC", "PCM_24"),
    ],
)
def test_formats(tmp_path: Path, form: tuple[str, str]) -> None:
    made = HandMade(tmp_path / "take", form=form)
    made.segment(0, 5000, holes=((10, 20),))
    made.segment(5000, 9000)
    rec = open_recording(made.path)
    for start, stop in ((0, 9000), (4990, 5010), (15, 8000)):
        want = signal(start, stop)
        want[max(0, 10 - start) : max(0, 20 - start)] = np.nan
        assert np.array_equal(rec.read(start, stop), want, equal_nan=True)
    rec.close()
    assert np.array_equal(rec.read(5000, 9000), signal(5000, 9000))
    rec.close()


def test_maps(rec: Recording, tmp_path: Path) -> None:
    mapped = rec.memmap(1)
    want = signal(FIRST, FIRST + 3000)
    want[100:200] = want[2900:] = 0
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, want)
    assert np.array_equal(rec.memmap(rec.segments[2]), signal(FIRST + 7000, STOP))
    with pytest.raises(ValueError, match="no segment 4; there are 1 to 3"):
        rec.memmap(4)
    packed = HandMade(tmp_path / "packed", form=("FLAC", "PCM_24"))
    packed.segment(0, 10)
    packed.form = ("WAV", "FLOAT")
    packed.segment(10, 20, state="growing")
    with pytest.raises(DiskError, match="cannot be mapped"):
        open_recording(packed.path).memmap(1)
    with pytest.raises(DiskError, match="not whole yet"):
        open_recording(packed.path).memmap(2)
