"""Convolution with an impulse response."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asmu_control.coefficients import check_columns, columns_of, pack_response
from asmu_control.processor import Effect
from asmu_engine.protocol.catalogue import Parameter, Ports
from asmu_engine.protocol.errors import DiskError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike

_HINT: Final = "; write it to a sound file (WAV, subtype FLOAT) and give its path"


class Convolver(Effect):
    """Output n is input n convolved with its impulse response, or with the one for all: exact, and not one frame late.

    Computed in float32 by partitioned convolution, within 1e-6 of the exact result relative to its peak. Samples that are
    NaN, infinite or beyond ±1e30 count as silence. Takes the engine up to 8 MB a channel for 10 s at 48 kHz.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    ir
        Impulse response: an array of shape (taps,) for all channels or (taps, channels), up to 8 MiB as float32; or the path
        of a sound file of the interface's samplerate, whose one channel serves all, or each one its own. 1 to 1 920 000 taps
        (10 s at 192 kHz). The engine reads the file by itself, and again when the processor gets another channel.
    channels
        Inputs and outputs to begin with. Default: the channels of the response.

    Raises
    ------
    PatchError
        ``bad_value``: no impulse response, or one for another number of channels.
    DiskError
        ``file_unreadable``; ``file_format`` where the samplerate differs.
    """

    kind = "convolver"
    parameters = (Parameter("ir", type="array", default=None), Parameter("path", type="text", default=""))

    def __init__(self, interface: Interface, ir: ArrayLike | PathLike, *, channels: int | None = None) -> None:
        values, taps, columns = _read(ir, interface.samplerate)
        channels = channels or columns or 1
        check_columns(columns, channels, "ir")
        self._taps, self._columns = taps, columns
        super().__init__(interface, channels=channels, **values)

    @property
    def taps(self) -> int:
        """Length of the impulse response, frames."""
        return self._taps

    @property
    def latency_frames(self) -> int:
        """0: the first tap of the response meets the newest sample."""
        return 0

    def set_ir(self, ir: ArrayLike | PathLike) -> None:
        """Another impulse response from the next block on.

        One of as many taps goes on with what was heard so far, and has replaced the former wholly after 32 blocks (of 256
        frames at most); after another the output begins from silence.
        """
        values, taps, columns = _read(ir, self._interface.samplerate)
        check_columns(columns, len(self.inputs), f"{self.name}.ir")
        self._set(**values)
        self._taps, self._columns = taps, columns

    def _grow(self, idx: int, side: str, ports: Ports) -> None:
        if idx == len(self.inputs):
            check_columns(self._columns, idx + 1, self.name)
        super()._grow(idx, side, ports)


def _read(ir: ArrayLike | PathLike, samplerate: float) -> tuple[dict[str, Any], int, int]:
    """Parameters of the core, taps, and columns (0: one for all)."""
    if not isinstance(ir, (str, os.PathLike)):
        array = pack_response(ir, "ir", _HINT)
        return {"ir": array, "path": ""}, array.shape[0], columns_of(array)
    import soundfile

    path = Path(os.fspath(ir)).absolute()
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        reason = "there is no such file" if not path.exists() else str(error)
        raise DiskError(f"cannot read {path}: {reason}", code="file_unreadable", where=str(path)) from None
    if info.samplerate != samplerate:
        raise DiskError(
            f"{path} has {info.samplerate} Hz, the interface {samplerate:g} Hz; convert the impulse response",
            code="file_format",
            where=str(path),
        )
    return {"ir": None, "path": str(path)}, int(info.frames), info.channels if info.channels > 1 else 0
