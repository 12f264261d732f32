"""What an interface channel carries beside its number: name, calibration, frequency response, and whatever else is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.protocol.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

_KEY: Final = "channel"
_OWN: Final = (_KEY, "idx")
"""What files say of a channel that it knows by itself."""
_MISSING: Final = object()


class ChannelAttributes:
    """Attributes of a channel of an interface; None where nothing is known. Any other attribute may be set as well.

    Attributes
    ----------
    name, reference
        What the channel is called, and what it is measured against.
    gain
        Gain of the amplifier before or behind the converter, as its scale says.
    latency
        Latency of the channel, frames.
    color
        Colour in plots, in matplotlib's words.
    cPa, cV, cA
        Calibration factors: pascal, volt, or m/s² a unit of the digital signal.
    fPa, fV, fA
        Frequency of each calibration, Hz.
    datePa, dateV, dateA
        When each calibration was done.
    cFR, fFR
        Frequency response: complex or real factors, and their frequencies in Hz; arrays of shape (n,).
    pos
        Position in the room, metres, as (x, y, z).
    """

    _channel: int

    name: str | None = None
    reference: Any = None
    gain: float | None = None
    latency: int | None = None
    color: Any = None
    cPa: float | None = None  # noqa: N815 - asmu's names
    fPa: float | None = None  # noqa: N815 - asmu's names
    datePa: datetime | str | None = None  # noqa: N815 - asmu's names
    cV: float | None = None  # noqa: N815 - asmu's names
    fV: float | None = None  # noqa: N815 - asmu's names
    dateV: datetime | str | None = None  # noqa: N815 - asmu's names
    cA: float | None = None  # noqa: N815 - asmu's names
    fA: float | None = None  # noqa: N815 - asmu's names
    dateA: datetime | str | None = None  # noqa: N815 - asmu's names
    cFR: NDArray[Any] | None = None  # noqa: N815 - asmu's names
    fFR: NDArray[Any] | None = None  # noqa: N815 - asmu's names
    pos: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and callable(getattr(type(self), name, None)):
            raise AttributeError(f"{self!r}: {name} is a method of every channel; choose another name for the attribute")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is nowhere else; says what there is instead.
        if name.startswith("_"):
            raise AttributeError(name)
        known = ", ".join(self.attributes) or "none"
        raise AttributeError(f"{self!r} has no attribute {name!r}; set so far: {known}")

    @property
    def attributes(self) -> dict[str, Any]:
        """Everything that was set and is not None, by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_") and value is not None}

    def serialize(self) -> dict[str, Any]:
        """The channel as a dictionary: ``channel``, its number, and its `attributes` (arrays as copies)."""
        return {_KEY: self._channel, **{name: _copy(value) for name, value in self.attributes.items()}}

    def deserialize(self, data: Mapping[str, Any]) -> None:
        """Set the attributes that `serialize` gave, or that a set-up file holds; others stay as they are.

        Raises
        ------
        ConfigError
            ``bad_config``: they are another channel's, or one has the name of something that every channel has.
        """
        number = data.get(_KEY, self._channel)
        if number != self._channel:
            raise ConfigError(f"{self!r} cannot take the attributes of channel {number!r}", code="bad_config", where=repr(self))
        check_names(type(self), data, repr(self))
        for name, value in data.items():
            if name not in _OWN:
                setattr(self, name, _copy(value))

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """True when each of `attributes` has the value given; arrays are equal in shape and in every entry."""
        return all(_equal(getattr(self, name, _MISSING), value) for name, value in attributes.items())


def check_names(cls: type[ChannelAttributes], data: Mapping[str, Any], where: str) -> None:
    """ConfigError ``bad_config`` unless every name in `data` may be that of an attribute of the channels of `cls`."""
    for name in data:
        own = getattr(cls, name, None)
        if name not in _OWN and (name.startswith("_") or callable(own) or isinstance(own, property)):
            raise ConfigError(
                f"{where}: {name!r} cannot be the name of an attribute, every channel has something of that name",
                code="bad_config",
                where=where,
            )


def _equal(mine: Any, wanted: Any) -> bool:
    if hasattr(mine, "shape") or hasattr(wanted, "shape"):
        import numpy as np

        return np.array_equal(mine, wanted)
    return bool(mine == wanted)


def _copy(value: Any) -> Any:
    return value.copy() if hasattr(value, "copy") else value
