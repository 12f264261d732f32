"""Settings of the engine behind an interface: those of its own, or what may be said of one that it is attached to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asmu_control.launch import private_name
from asmu_engine.protocol.errors import ConfigError

if TYPE_CHECKING:
    from asmu_control.typing import PathLike
    from asmu_engine.config import EngineConfig


def own_config(settings: Mapping[str, Any]) -> tuple[EngineConfig, str]:
    """The settings of an engine of the script's own, and the text form of its device; ConfigError for a bad one."""
    from asmu_engine.config import make_config
    from asmu_engine.protocol.device import parse_device

    values = dict(settings)
    values["plugins"] = tuple(_plugin(plugin) for plugin in settings["plugins"])
    if values["device"] is not None:
        values["device"] = parse_device(values["device"]).text()
    config = make_config(name=private_name(), **values)
    return config, parse_device(config.device).text()


def check_own(key: PathLike | None, keep: bool) -> None:
    """ConfigError for what only an engine that is attached to can have."""
    for name, given in (("key", key is not None), ("keep", keep)):
        if given:
            raise ConfigError(
                f"{name} is for an engine to attach to: give engine=… too, or leave it out", code="bad_config", where=name
            )


def check_same(settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """ConfigError for a setting that is not what the engine that is attached to has."""
    for key in ("samplerate", "blocksize"):
        if settings[key] is not None and settings[key] != facts[key]:
            raise ConfigError(
                f"{key} {settings[key]!r} was asked for, but the engine runs with {facts[key]!r}; leave it out",
                code="bad_config",
                where=key,
            )
    for key in ("device", "plugins", "ring_seconds"):
        if settings[key]:
            raise ConfigError(
                f"{key} is chosen where an engine is started; attached to one, leave it out", code="bad_config", where=key
            )


def whole(samplerate: float) -> float:
    """A whole samplerate as an int, as soundfile wants it."""
    return int(samplerate) if samplerate == int(samplerate) else samplerate


def _plugin(plugin: str | os.PathLike[str]) -> str:
    """A file is named by its whole path, since the engine may run in another folder; a module by its name."""
    text = os.fspath(plugin)
    return str(Path(text).resolve()) if text.endswith(".py") else text
