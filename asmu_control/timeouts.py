"""How long to wait for an engine, as values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from asmu_engine.protocol.errors import ConfigError

Timeout: TypeAlias = "float | Literal['default'] | None"
"""Longest wait of one call, seconds; None: as long as it takes; ``"default"``: what the client's `Timeouts` say."""


@dataclass(frozen=True)
class Timeouts:
    """Longest waits of a client, seconds; None: as long as it takes. Each call can have another.

    Attributes
    ----------
    connect
        For the engine's answer to hello, and for the first event's way to be open.
    request
        For an answer.
    start
        For the device to start or stop: a sound server may take its time.
    close
        For leave to be taken.

    Raises
    ------
    ConfigError
        One that is not above 0.

    Examples
    --------
    >>> Timeouts(request=2.5)
    Timeouts(connect=10.0, request=2.5, start=60.0, close=5.0)
    """

    connect: float | None = 10.0
    request: float | None = 10.0
    start: float | None = 60.0
    close: float | None = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
                raise ConfigError(
                    f"timeout {field.name}={value!r}: use seconds above 0, or None to wait as long as it takes",
                    code="bad_config",
                    where=field.name,
                )

    @classmethod
    def of(cls, value: Timeouts | float | None) -> Timeouts:
        """The value itself, or the same number of seconds for everything.

        >>> Timeouts.of(3)
        Timeouts(connect=3, request=3, start=3, close=3)
        """
        return value if isinstance(value, Timeouts) else cls(value, value, value, value)
