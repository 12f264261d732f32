"""Vector generator: plays an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asmu_control.oneshot import OneShot
from asmu_control.processor import Generator
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import Parameter
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import MAX_CHANNELS, MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from asmu_control.interface import Interface
    from asmu_control.io import Output

_ROOM: Final = 4096  # bytes of a message beside the array


class Vector(OneShot, Generator):
    """Plays an array once, an output a column, from the first frame of the stream on; silence after its end.

    Parameters
    ----------
    interface
        The interface whose patch it joins; with a running one it begins at once.
    vector
        Shape (samples, channels), or (samples,) for one channel; stored as float32, full scale is 1. At most 8 MiB
        as float32: 2 096 128 samples over all channels.

    Raises
    ------
    PatchError
        ``bad_value``: not a real, finite array of that shape, or larger than a message to the engine may be.
    """

    kind = "vector"
    parameters = (Parameter("vector", type="array", default=None),)
    calls = ("restart",)

    def __init__(self, interface: Interface, vector: ArrayLike) -> None:
        array = _checked(vector)
        super().__init__(interface, channels=array.shape[1], vector=array)

    @property
    def samples(self) -> int:
        """Frames of the array."""
        array: Array = self._get("vector")
        return array.shape[0]

    def set_vector(self, vector: ArrayLike) -> None:
        """Play another array of as many channels, from its beginning, from the next block on."""
        array = _checked(vector)
        if array.shape[1] != len(self.outputs):
            raise _bad(f"it has {array.shape[1]} channels, the processor {len(self.outputs)} outputs")
        self._begin(lambda: self._set(vector=array))

    def restart(self) -> None:
        """Play it from its beginning, from the next block on, also while it plays. Without effect before the engine is up."""
        self._begin(lambda: self._call("restart"))

    def output(self, idx: int = 0) -> Output:
        """Output `idx`, from 0: column `idx` of the array."""
        if idx >= len(self.outputs):
            raise PatchError(
                f"{self.name} has {len(self.outputs)} outputs, one for each channel of its array; there is no output {idx}",
                code="unknown_port",
                where=self.name,
            )
        return super().output(idx)

    def finished(self, block: bool = True, timeout: float = 1.0) -> bool:
        """True once the last frame of the array has been played.

        Parameters
        ----------
        block
            Wait for it.
        timeout
            Longest wait, seconds; False then.
        """
        return self._wait_over(block, timeout)


def _checked(vector: ArrayLike) -> Array:
    import numpy as np

    values: Any = np.asarray(vector)
    if values.dtype.kind not in "fiu":
        raise _bad(f"it is of type {values.dtype}; use real numbers")
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not 1 <= values.shape[1] <= MAX_CHANNELS:
        raise _bad(f"its shape is {np.shape(vector)}; use (samples, channels), 1 to {MAX_CHANNELS} channels")
    if 4 * values.size > MAX_MESSAGE_BYTES - _ROOM:
        raise _bad(
            f"{values.shape[0]} samples of {values.shape[1]} channels are {4 * values.size / 2**20:.1f} MiB as float32, "
            f"a message to the engine has at most {MAX_MESSAGE_BYTES // 2**20} MiB; write longer signals to a sound file "
            "and play it with asmu.generator.Player"
        )
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, dtype="<f4")
    if not np.isfinite(values).all():
        raise _bad("it holds NaN, infinite values or such that pass the range of float32")
    return Array("f4", values.shape, values.tobytes())


def _bad(what: str) -> PatchError:
    return PatchError(f"vector: {what}", code="bad_value", where="vector")
