"""A recording folder, to be read: any span of it by frame position or time, across its files, with what is missing marked."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import numpy as np

from asmu_control.recording import convert
from asmu_control.recording.channels import Channels, names, select
from asmu_control.recording.copying import Missing
from asmu_control.recording.describing import html_of, text_of
from asmu_control.recording.plotting import draw
from asmu_control.recording.positions import Place
from asmu_control.recording.reading import Reading
from asmu_control.typing import PathLike

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas
    import pyfar
    import xarray
    from matplotlib.axes import Axes
    from numpy.typing import DTypeLike

    from asmu_control.analyzer.mapping.blockmap import BlockMap
    from asmu_control.analyzer.mapping.result import MapProgress
    from asmu_control.analyzer.mapping.start import MapOptions
    from asmu_engine.shm.end import Frames

T = TypeVar("T")

_PLOT_FRAMES: Final = 1 << 17


class Recording(Reading):
    """What `open_recording` opens; any thread may read. It is as it was when it was opened, until `refresh`, or
    until a read finds that it is so no longer: asks for later frames, or for a file that has got its final name or was dropped.

    Frames are told by their position on the engine's frame axis, an `int`; by time, UTC where no offset is given (text such as
    ``"2026-01-31T23:59:59.25"``, `datetime`, `numpy.datetime64`); or by a `timedelta`, from the first frame for a start, from
    the start for a stop. For seconds from the first frame there is `at_seconds`.

    Raises
    ------
    DiskError
        ``file_unreadable``: it is no recording folder, or its manifest or ledger is damaged.
    """

    def refresh(self) -> Self:
        """See what is new in a recording that is being written, its growing segment included."""
        self._look()
        return self

    def plot(
        self,
        start: Place = None,
        stop: Place = None,
        channels: Channels = None,
        *,
        calibrated: bool = False,
        axes: Axes | None = None,
    ) -> Axes:
        """Draw a span of any length over its UTC: least and greatest sample where there are more than pixels, gaps shaded.

        Parameters
        ----------
        start, stop, channels, calibrated
            As those of `read`.
        axes
            Where to draw; None for a new figure.
        """
        view, first, last = self._span(start, stop)
        facts = view.manifest.channels
        columns = select(facts, channels)
        units = {facts[column].unit for column in (range(len(facts)) if columns is None else columns)}
        ylabel = (units.pop() if len(units) == 1 else "") if calibrated else "of full scale"
        blocks = self.blocks(_PLOT_FRAMES, 0, first, last, columns, calibrated=calibrated)
        return draw(self, axes, names(facts, columns), blocks, first, last, ylabel)

    def map(
        self,
        function: Callable[[Frames], T],
        workers: int | None = None,
        *,
        blocksize: int | None = None,
        hop: int | None = None,
        start: Place = None,
        stop: Place = None,
        channels: Channels = None,
        gaps: Missing = "nan",
        calibrated: bool = False,
        ahead: int | None = None,
        progress: bool | Callable[[MapProgress], object] = False,
    ) -> BlockMap[T]:
        """Run a function over block after block of a span, in processes of its own that read them; results come in order.

        As `asmu_control.analyzer.Tap.map` of a running engine, where `function`, `workers`, `blocksize`, `hop`, `ahead` and
        `progress` are explained; a block is the function's own and may be written to. What is shorter than a block at the end is
        left out. Other arguments and errors are those of `read`; the errors come from the loop.
        """
        from asmu_control.analyzer.mapping.start import map_recording

        _, first, last = self._span(start, stop)
        reading = {"channels": channels, "gaps": gaps, "calibrated": calibrated}
        options: MapOptions = {"blocksize": blocksize, "hop": hop, "ahead": ahead, "progress": progress, "copy": True}
        return map_recording(self, (first, last), function, workers, reading=reading, **options)

    def to_pyfar(
        self,
        start: Place = None,
        stop: Place = None,
        channels: Channels = None,
        *,
        gaps: Missing = "raise",
        calibrated: bool = False,
    ) -> pyfar.Signal:
        """A span as a ``pyfar.Signal`` of shape (channels, frames), in float64, at the nominal samplerate.

        Arguments and errors are those of `read`; missing frames raise, as one NaN would spoil the whole spectrum. ImportError
        without pyfar.
        """
        return convert.to_pyfar(self._excerpt(start, stop, channels, gaps, calibrated, np.float64))

    def to_xarray(
        self,
        start: Place = None,
        stop: Place = None,
        channels: Channels = None,
        *,
        gaps: Missing = "nan",
        calibrated: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> xarray.DataArray:
        """A span as a ``DataArray`` of dimensions ``time`` (UTC, each frame by the clock) and ``channel`` (names).

        The coordinates ``position`` and ``unit`` tell frame positions and units; attributes: ``samplerate`` (Hz),
        ``position`` of the first frame, ``time_uncertainty`` of that (s), ``lost_frames`` within. Arguments and errors are
        those of `read`. ImportError without xarray.
        """
        return convert.to_xarray(self._excerpt(start, stop, channels, gaps, calibrated, dtype))

    def to_pandas(
        self,
        start: Place = None,
        stop: Place = None,
        channels: Channels = None,
        *,
        gaps: Missing = "nan",
        calibrated: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> pandas.DataFrame:
        """A span as a ``DataFrame``: a column for each channel, times in UTC as index; ``attrs`` as those of `to_xarray`.

        Arguments and errors are those of `read`. ImportError without pandas.
        """
        return convert.to_pandas(self._excerpt(start, stop, channels, gaps, calibrated, dtype))

    def _excerpt(
        self, start: Place, stop: Place, channels: Channels, gaps: Missing, calibrated: bool, dtype: DTypeLike
    ) -> convert.Excerpt:
        if gaps == "mask":
            raise ValueError("gaps is 'mask', of which only numpy knows; use 'nan', 'zero' or 'raise'")
        view, first, last = self._span(start, stop)
        data, lost = self._read(view, first, last, channels, gaps, calibrated, dtype)
        facts = view.manifest.channels
        columns = select(facts, channels)
        units = [facts[column].unit if calibrated else "" for column in (range(len(facts)) if columns is None else columns)]
        times = self.times(first, last)
        sure = self.time_of(first)[1]
        return convert.Excerpt(self.path.name, first, self.samplerate, times, sure, data, lost, names(facts, columns), units)

    def close(self) -> None:
        """Close the files; reading opens them again."""
        self._readers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return open_recording, (str(self.path),)  # for worker processes

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


def open_recording(path: PathLike) -> Recording:
    """Open a recording folder, finished, interrupted or still being written, to read from it.

    >>> rec = open_recording("friday")                                          # doctest: +SKIP
    >>> data = rec.read("2026-01-30T22:00:00", "2026-01-30T22:00:10")           # doctest: +SKIP

    Raises
    ------
    DiskError
        ``file_unreadable``: it is no recording folder, or its manifest or ledger is damaged.
    """
    return Recording(path)
