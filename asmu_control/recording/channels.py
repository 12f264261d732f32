"""Which channels of a recording are meant, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from asmu_control.exceptions import CalibrationError
from asmu_engine.protocol.acquisition import ChannelFacts

Channels: TypeAlias = "int | str | slice | Iterable[int | str] | None"
"""Channels of a recording: columns, counted from 0 as in the arrays, or names; one or several, or None for all."""


def select(facts: Sequence[ChannelFacts], channels: Channels) -> list[int] | None:
    """The columns that are meant, None for all as they are.

    Raises
    ------
    ValueError
        There is no such channel, or the name is not of one alone; says which there are.
    """
    if channels is None:
        return None
    if isinstance(channels, slice):
        return list(range(len(facts)))[channels]
    wanted = [channels] if isinstance(channels, str) or not isinstance(channels, Iterable) else list(channels)
    return [_column(facts, channel) for channel in wanted]


def names(facts: Sequence[ChannelFacts], columns: Sequence[int] | None) -> list[str]:
    """What the channels are called, each by another name.

    One without a name is called by the device's input that it was, else by its place, both from 1, as everywhere outside
    arrays. Where two share a name the column's number, from 0, is part of it.
    """
    given = [channel.name or _unnamed(channel, column) for column, channel in enumerate(facts)]
    unique = [name if given.count(name) == 1 else f"{name} {column}" for column, name in enumerate(given)]
    return unique if columns is None else [unique[column] for column in columns]


def _unnamed(channel: ChannelFacts, column: int) -> str:
    return f"channel {column + 1}" if channel.device_channel is None else f"input {channel.device_channel}"


def factors(facts: Sequence[ChannelFacts], columns: Sequence[int] | None) -> npt.NDArray[np.float64]:
    """By what each is multiplied to be in its unit.

    Raises
    ------
    CalibrationError
        ``not_calibrated``: names the channels that have no unit.
    """
    chosen = range(len(facts)) if columns is None else columns
    if bare := [column for column in chosen if not facts[column].unit]:
        these = ", ".join(names(facts, bare))
        raise CalibrationError(
            f"{these}: recorded without a calibration, so there is nothing but full scale; read it with calibrated=False",
            code="not_calibrated",
            where=these,
        )
    return np.array([facts[column].factor for column in chosen])


def _column(facts: Sequence[ChannelFacts], channel: int | str) -> int:
    known = f"0 to {len(facts) - 1}" if len(facts) > 1 else "0 alone"
    if isinstance(channel, str):
        found = [column for column, name in enumerate(names(facts, None)) if channel in (name, facts[column].name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{len(found)} channels are called {channel!r}: columns {', '.join(map(str, found))}")
        raise ValueError(f"no channel is called {channel!r}; there are {', '.join(names(facts, None))}")
    if isinstance(channel, bool) or not isinstance(channel, int | np.integer):
        raise ValueError(f"{channel!r} is no channel; use columns from 0, or names")
    if not 0 <= channel < len(facts):
        raise ValueError(f"there is no channel {channel}; columns are {known}")
    return int(channel)
