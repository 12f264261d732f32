"""What a kind of core offers: its parameters with unit and range, its ports, its calls.

The audio process sends its catalogue to the host when it is ready; the host checks every edit against it, so
that the host loads neither numpy nor anybody's plugin. A Processor of the user layer declares the same names,
which a contract test compares.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import PatchError
from asmu_engine.protocol.version import MAX_CHANNELS

Value = float | int | bool | str | Sequence[float] | Array
ParameterType = Literal["float", "int", "bool", "choice", "text", "array"]
Role = Literal["generator", "effect", "analyzer"]
_WHOLE_LIMIT: Final = 2**63


@dataclass(frozen=True)
class Parameter:
    """One parameter of a core.

    Parameters
    ----------
    name, type, default
        ``float`` and ``int`` are numbers, ``choice`` one of `choices`, ``array`` an `Array` of any shape.
    unit, minimum, maximum
        Range, both ends included, in `unit`.
    per_channel
        The value may be one number for all channels or a list with one number a channel.
    live
        False when the value is fixed once the node exists.
    doc
        One line for people.
    """

    name: str
    type: ParameterType = "float"
    default: float | int | bool | str | None = 0.0
    unit: str = ""
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()
    per_channel: bool = False
    live: bool = True
    doc: str = ""

    def check(self, value: object, channels: int, where: str) -> Value | None:
        """The value in its canonical form; PatchError names what is wrong with it and what would be right."""
        where = f"{where}.{self.name}"
        if self.type in ("float", "int"):
            if self.per_channel and isinstance(value, (list, tuple)):
                if len(value) != channels:
                    raise _bad(where, f"{len(value)} values for {channels} channels; give one, or one a channel")
                return [self._number(v, where) for v in value]
            return self._number(value, where)
        if self.type == "bool":
            if not isinstance(value, bool):
                raise _bad(where, f"{value!r} is not true or false")
            return value
        if self.type == "choice":
            if value not in self.choices:
                raise _bad(where, f"{value!r} is not one of {', '.join(self.choices)}")
            return str(value)
        if self.type == "text":
            if not isinstance(value, str):
                raise _bad(where, f"{value!r} is not a text")
            return value
        if value is None and self.default is None:
            return None
        if not isinstance(value, Array):
            raise _bad(where, f"a {type(value).__name__} is not an array")
        if not value.finite():
            raise _bad(where, "the array holds NaN or infinite values")
        return value

    def _number(self, value: object, where: str) -> float | int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _bad(where, f"{value!r} is not a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise _bad(where, f"{value!r} is not finite")
        if (isinstance(value, int) or self.type == "int") and not -_WHOLE_LIMIT <= value < _WHOLE_LIMIT:
            raise _bad(where, "the whole number needs more than the 64 bits that a message has for it")
        if not self.minimum <= value <= self.maximum:
            raise _bad(where, f"{value:g}{_unit(self.unit)} is outside {self.minimum:g} to {self.maximum:g}{_unit(self.unit)}")
        if self.type == "int":
            if value != int(value):
                raise _bad(where, f"{value!r} is not a whole number")
            return int(value)
        return float(value)


@dataclass(frozen=True)
class Ports:
    """How many ports a node of a kind may have, both ends included."""

    minimum: int = 0
    maximum: int = 0

    def __contains__(self, count: object) -> bool:
        return isinstance(count, int) and self.minimum <= count <= self.maximum

    def __str__(self) -> str:
        return str(self.minimum) if self.minimum == self.maximum else f"{self.minimum} to {self.maximum}"


NO_PORTS = Ports(0, 0)
ONE_PORT = Ports(1, 1)
ANY_PORTS = Ports(1, MAX_CHANNELS)


@dataclass(frozen=True)
class Kind:
    """One kind of core as the catalogue knows it.

    `paired` kinds have as many outputs as inputs (output n is input n, processed). `ring` says that the node owns
    a ring: a ``tap`` (engine → processes) or a ``feed`` (process → engine). `breaks_cycle` is true for a kind whose
    output never depends on its input of the same block.
    """

    name: str
    role: Role
    inputs: Ports
    outputs: Ports
    parameters: tuple[Parameter, ...] = ()
    calls: tuple[str, ...] = ()
    paired: bool = False
    ring: Literal["", "tap", "feed"] = ""
    breaks_cycle: bool = False
    doc: str = ""

    def parameter(self, name: str, where: str) -> Parameter:
        """The parameter of that name; PatchError lists the names that exist."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = ", ".join(p.name for p in self.parameters) or "none"
        raise PatchError(
            f"{where}: {self.name} has no parameter {name!r}; it has: {known}", code="unknown_parameter", where=where
        )

    def check_ports(self, inputs: int, outputs: int, where: str) -> None:
        """PatchError unless a node of this kind may have so many ports."""
        if inputs not in self.inputs:
            raise PatchError(f"{where}: {self.name} has {self.inputs} inputs, not {inputs}", code="unknown_port", where=where)
        if outputs not in self.outputs:
            raise PatchError(f"{where}: {self.name} has {self.outputs} outputs, not {outputs}", code="unknown_port", where=where)
        if self.paired and inputs != outputs:
            raise PatchError(
                f"{where}: {self.name} has as many outputs as inputs, not {inputs} and {outputs}",
                code="unknown_port",
                where=where,
            )

    def to_wire(self) -> dict[str, Any]:
        """Plain data for a message."""
        return asdict(self)

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> Kind:
        """Inverse of `to_wire`."""
        fields = dict(data)
        fields["inputs"] = Ports(**data["inputs"])
        fields["outputs"] = Ports(**data["outputs"])
        fields["parameters"] = tuple(Parameter(**{**p, "choices": tuple(p["choices"])}) for p in data["parameters"])
        fields["calls"] = tuple(data["calls"])
        return cls(**fields)


def check_name(name: str, pattern: str, where: str) -> None:
    """PatchError unless `name` follows `pattern`."""
    if not re.fullmatch(pattern, name):
        raise PatchError(f"{where}: {name!r} is no name; use letters, digits, _ . -, at most 63", code="bad_name", where=where)


def _bad(where: str, what: str) -> PatchError:
    return PatchError(f"{where}: {what}", code="bad_value", where=where)


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
