"""Spans of a recording as objects of other libraries, and as a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from handmade import RATE, HandMade, signal

from asmu_control.exceptions import FramesMissing
from asmu_control.recording import Recording, open_recording
from asmu_control.recording.plotting import envelope


@pytest.fixture
def rec(tmp_path: Path) -> Recording:
    made = HandMade(tmp_path / "friday")
    made.segment(0, 3000, holes=((100, 200),))
    made.segment(3000, 12000)
    made.clock(0)
    made.end(12000)
    return open_recording(made.path)


def test_pyfar(rec: Recording) -> None:
    pytest.importorskip("pyfar")
    found = rec.to_pyfar(200, 5000, calibrated=True)
    assert (found.cshape, found.n_samples, found.sampling_rate) == ((2,), 4800, RATE)
    assert np.array_equal(found.time, signal(200, 5000).T.astype(float) * [[20.0], [0.5]])
    assert found.comment == "friday: microphone 1 / Pa, accelerometer / m/s²; from 2026-01-01T00:00:00.004166Z, frame 200"
    with pytest.raises(FramesMissing):
        rec.to_pyfar()
    zeroed = rec.to_pyfar(0, 300, 0, gaps="zero")
    assert np.array_equal(zeroed.time[0, 90:210], np.r_[signal(90, 100)[:, 0], np.zeros(100), signal(200, 210)[:, 0]])
    assert zeroed.comment.startswith("friday: microphone 1; ")


def test_xarray(rec: Recording) -> None:
    pytest.importorskip("xarray")
    found = rec.to_xarray(90, 300, calibrated=True, dtype=float)
    assert found.dims == ("time", "channel")
    assert found.dtype == np.float64
    assert list(found.channel.values) == ["microphone 1", "accelerometer"]
    assert list(found.unit.values) == ["Pa", "m/s²"]
    assert np.array_equal(found.position.values, np.arange(90, 300))
    assert np.array_equal(found.time.values, rec.times(90, 300))
    assert found.attrs == {"samplerate": RATE, "position": 90, "time_uncertainty": 1e-7, "lost_frames": 100}
    assert np.array_equal(found.sel(channel="accelerometer").values[:10], signal(90, 100)[:, 1] * 0.5)
    assert np.isnan(found.values[10:110]).all()


def test_pandas(rec: Recording) -> None:
    pandas = pytest.importorskip("pandas")
    found = rec.to_pandas(90, 300, "accelerometer")
    assert list(found.columns) == ["accelerometer"]
    assert str(found.index.dtype) == "datetime64[ns, UTC]"
    assert found.index[0] == pandas.Timestamp(rec.time_of(90)[0], tz="UTC")
    assert np.array_equal(found["accelerometer"].to_numpy()[110:], signal(200, 300)[:, 1])
    assert found["accelerometer"].isna().sum() == 100
    assert found.attrs["lost_frames"] == 100
    assert found.attrs["units"] == [""]


@pytest.mark.parametrize("library", ["pyfar", "xarray", "pandas"])
def test_without_the_library_the_error_says_what_to_install(
    rec: Recording, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"pip install 'asmu-control\[{library}\]'"):
        getattr(rec, f"to_{library}")(200, 300)


def test_masks_are_of_numpy_alone(rec: Recording) -> None:
    with pytest.raises(ValueError, match="of which only numpy knows"):
        rec.to_xarray(gaps="mask")


@pytest.mark.parametrize(("points", "block"), [(7, 1000), (100, 333), (12000, 500), (3, 12000), (50, 1)])
def test_no_peak_hides_in_an_envelope(rec: Recording, points: int, block: int) -> None:
    first, last = (0, 12000) if block > 1 else (0, 500)
    edges, low, high = envelope(rec.blocks(block, 0, first, last), first, last, points)
    whole = rec.read(first, last)
    ends = [*edges[1:], last]
    for place, (begin, end) in enumerate(zip(edges, ends, strict=True)):
        part = whole[begin:end]
        if np.isnan(part).all():
            assert np.isnan(low[place]).all()
            assert np.isnan(high[place]).all()
        else:
            assert np.array_equal(low[place], np.nanmin(part, axis=0))
            assert np.array_equal(high[place], np.nanmax(part, axis=0))


def test_plots(rec: Recording) -> None:
    from matplotlib.figure import Figure

    long = Figure().subplots()
    assert rec.plot(axes=long, calibrated=True) is long
    assert [text.get_text() for text in long.get_legend().get_texts()] == ["microphone 1", "accelerometer", "missing"]
    assert (long.get_xlabel(), long.get_ylabel()) == ("UTC", "")
    short = rec.plot(90, 300, "microphone 1", axes=Figure().subplots(), calibrated=True)
    line = short.lines[0]
    assert np.array_equal(line.get_ydata(), rec.read(90, 300, 0, calibrated=True)[:, 0], equal_nan=True)
    assert np.array_equal(line.get_xdata(), rec.times(90, 300))
    assert short.get_ylabel() == "Pa"
    assert rec.plot(200, 200, axes=Figure().subplots()).get_ylabel() == "of full scale"
