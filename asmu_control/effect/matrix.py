"""Matrix of gains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asmu_control.processor import Effect
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.catalogue import ANY_PORTS, Parameter
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import MAX_CHANNELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from asmu_control.interface import Interface
    from asmu_control.io import Input, Output


class Matrix(Effect):
    """Every output is a weighted sum of all inputs: output o is the sum over i of gain[o, i] times input i.

    Input samples that are NaN or infinite count as 0.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    gain
        Factors, shape (outputs, inputs), stored as float32; the numbers of ports are those of the array for good.

    Raises
    ------
    PatchError
        ``bad_value``: not a real, finite array of that shape.
    """

    kind = "matrix"
    parameters = (Parameter("gain", type="array", default=None),)
    output_ports = ANY_PORTS
    paired = False

    def __init__(self, interface: Interface, gain: ArrayLike) -> None:
        array = _checked(gain)
        outputs, inputs = array.shape
        with interface.edit():
            super().__init__(interface, gain=array)
            interface._patch.edit({"op": "resize", "node": self._name, "inputs": inputs, "outputs": outputs})

    @property
    def gain(self) -> NDArray[np.float32]:
        """Factors as last set, shape (outputs, inputs)."""
        import numpy as np

        array: Array = self._get("gain")
        return np.frombuffer(array.data, dtype="<f4").reshape(array.shape).copy()

    def set_gain(self, gain: ArrayLike) -> None:
        """Change the factors from the next block on, in straight lines over 5 ms; an array of the same shape."""
        array = _checked(gain)
        shape = (len(self.outputs), len(self.inputs))
        if array.shape != shape:
            raise _bad(f"its shape is {array.shape}, that of the processor {shape}: (outputs, inputs)")
        self._set(gain=array)

    def input(self, idx: int = 0) -> Input:
        """Input `idx`, from 0: column `idx` of the gains."""
        return self.inputs[self._place(idx, len(self.inputs), "input")]

    def output(self, idx: int = 0) -> Output:
        """Output `idx`, from 0: row `idx` of the gains."""
        return self.outputs[self._place(idx, len(self.outputs), "output")]

    def _place(self, idx: int, count: int, side: str) -> int:
        if not 0 <= idx < count:
            raise PatchError(
                f"{self.name} has {count} {side}s, as its gains have; there is no {side} {idx}",
                code="unknown_port",
                where=self.name,
            )
        return idx


def _checked(gain: ArrayLike) -> Array:
    import numpy as np

    values: Any = np.asarray(gain)
    if values.dtype.kind not in "fiu":
        raise _bad(f"it is of type {values.dtype}; use real numbers")
    if values.ndim != 2 or not all(1 <= count <= MAX_CHANNELS for count in values.shape):
        raise _bad(f"its shape is {values.shape}; use (outputs, inputs), 1 to {MAX_CHANNELS} each")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, dtype="<f4")
    if not np.isfinite(values).all():
        raise _bad("it holds NaN, infinite values or such that pass the range of float32")
    return Array("f4", values.shape, values.tobytes())


def _bad(what: str) -> PatchError:
    return PatchError(f"gain: {what}", code="bad_value", where="gain")
