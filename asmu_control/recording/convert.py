"""Spans of a recording as objects of other libraries, each of which comes with an extra of its own."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas
    import pyfar
    import xarray
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """A span and all that is to be told of it.

    Attributes
    ----------
    source
        Name of the recording.
    position
        Frame position of the first frame.
    samplerate
        Hz.
    times
        UTC of each frame.
    time_uncertainty
        Standard uncertainty of the first of them, s.
    data
        Shape (frames, channels).
    lost
        Frames of it that are missing.
    names, units
        Of the channels; a unit is empty where 1.0 is full scale.
    """

    source: str
    position: int
    samplerate: float
    times: NDArray[np.datetime64]
    time_uncertainty: float
    data: NDArray[Any]
    lost: int
    names: list[str]
    units: list[str]


def to_pyfar(span: Excerpt) -> pyfar.Signal:
    """A pyfar Signal of shape (channels, frames); its comment says when it began, what it is, and in which unit."""
    library = _library("pyfar")
    began = f"{np.datetime_as_string(span.times[0], 'us')}Z, " if len(span.times) else ""
    labels = ", ".join(f"{name} / {unit}" if unit else name for name, unit in zip(span.names, span.units, strict=True))
    comment = f"{span.source}: {labels}; from {began}frame {span.position}"
    return library.Signal(np.ascontiguousarray(span.data.T, np.float64), span.samplerate, comment=comment)


def to_xarray(span: Excerpt) -> xarray.DataArray:
    """A DataArray of dimensions time and channel, with frame positions beside the times."""
    library = _library("xarray")
    coords: dict[str, Any] = {
        "time": span.times,
        "channel": span.names,
        "position": ("time", np.arange(span.position, span.position + len(span.times), dtype=np.int64)),
        "unit": ("channel", span.units),
    }
    array: xarray.DataArray = library.DataArray(span.data, coords, ("time", "channel"), name=span.source, attrs=_facts(span))
    return array


def to_pandas(span: Excerpt) -> pandas.DataFrame:
    """A DataFrame with a column for each channel over times in UTC."""
    library = _library("pandas")
    index = library.DatetimeIndex(span.times, tz="UTC", name="time")
    frame = library.DataFrame(span.data, index, span.names, copy=False)
    frame.attrs.update(_facts(span), units=span.units)
    return frame


def _facts(span: Excerpt) -> dict[str, Any]:
    return {
        "samplerate": span.samplerate,
        "position": span.position,
        "time_uncertainty": span.time_uncertainty,
        "lost_frames": span.lost,
    }


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"this takes {name}, which is not installed: pip install 'asmu-control[{name}]'", name=name) from error
