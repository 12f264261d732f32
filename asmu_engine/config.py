"""Settings of an engine: one frozen, validated class, from a TOML file, the environment and arguments, in that order."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.messages import Channels
from asmu_engine.protocol.version import NAME_PATTERN

ENVIRONMENT_PREFIX = "ASMU_"
_FROM_ENVIRONMENT = ("device", "samplerate", "blocksize", "ring_seconds", "priority")
_LISTEN = re.compile(r"tcp://([^:/\s\[\]]+|\[[0-9a-fA-F:.]+\]):(\d{1,5}|\*)")


def _checked_listen(value: str) -> str:
    if value and _LISTEN.fullmatch(value) is None:
        raise PydanticCustomError("listen", "use tcp://ADDRESS:PORT, such as tcp://*:5555, or * as the port for a free one")
    return value


class EngineConfig(BaseModel):
    """Settings of one engine; unknown keys are refused.

    Attributes
    ----------
    name
        What clients attach to; one running engine a name.
    device
        Text form (``virtual:inputs=2``, ``file:PATH``, ``portaudio:NAME`` …) or the wire form of a device class.
    samplerate
        Hz, 1 to 1 536 000.
    blocksize
        Frames a block, 1 to 65 536.
    inputs, outputs
        Device channels in use (from 1); None for all that the device has.
    ring_seconds
        Length of every tap's ring, seconds, 1 to 3600.
    plugins
        Importable modules or paths of ``.py`` files with cores of the user's own.
    priority
        SCHED_FIFO priority of the audio thread, 1 to 98; 0 asks for none.
    lock_memory
        Keep the audio process out of swap where the system allows it.
    autostart
        Run the device as soon as the engine is up.
    reopen
        A device that was lost is opened again as soon as it is there, found by its host API and name; without it only while a
        recording into a folder waits for it.
    listen
        Let clients of other machines in at ``tcp://ADDRESS:PORT``, each with a key (``asmu keys new``); events use the port
        after it. ``*`` as a port takes free ones. Empty: nobody comes in over the network.
    recordings
        Folder of recordings and sound files for paths that are not absolute, and the only one that clients of other machines
        reach; empty: they reach none.
    journal
        File that every transaction is appended to, with its frame position, for ``asmu replay``; empty: none.
    announce
        Tell the local network of this engine (zeroconf); only together with `listen`.
    metrics
        ``PORT`` or ``ADDRESS:PORT`` of this machine's loopback where ``/metrics`` (OpenMetrics) and ``/healthz`` are served;
        port 0 takes a free one. Empty: nowhere.
    log
        File for the log as JSON lines; empty: plain lines in the engine's own folder, which goes with it.
    log_bytes, log_files
        How large that file grows before it is rotated, bytes, and how many older ones are kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=NAME_PATTERN)] = "default"
    device: str | dict[str, Any] = "portaudio"
    samplerate: Annotated[float, Field(ge=1, le=1_536_000)] = 44100
    blocksize: Annotated[int, Field(ge=1, le=65536)] = 1024
    inputs: Channels | None = None
    outputs: Channels | None = None
    ring_seconds: Annotated[float, Field(ge=1, le=3600)] = 10.0
    plugins: tuple[str, ...] = ()
    priority: Annotated[int, Field(ge=0, le=98)] = 70
    lock_memory: bool = True
    autostart: bool = False
    reopen: bool = False
    listen: Annotated[str, AfterValidator(_checked_listen)] = ""
    recordings: str = ""
    journal: str = ""
    announce: bool = False
    metrics: Annotated[str, Field(max_length=256)] = ""
    log: str = ""
    log_bytes: Annotated[int, Field(ge=4096)] = 10 * 2**20
    log_files: Annotated[int, Field(ge=1, le=1000)] = 5

    def to_wire(self) -> dict[str, Any]:
        """Plain data for a pipe; `from_wire` reads it."""
        # Field by field: model_dump would take the arrays of a device apart.
        return dict(self)


def make_config(path: str | Path | None = None, *, environment: bool = True, **arguments: Any) -> EngineConfig:
    """The settings from `path` (TOML), overridden by ``ASMU_…`` variables, overridden by `arguments` that are not None.

    `environment`: whether the variables count; ``model_fields_set`` names what was given at all.

    Raises
    ------
    ConfigError
        Names the key, its value, where it came from and what would be right.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    if path is not None:
        for key, value in _read_toml(Path(path)).items():
            values[key], origin[key] = value, str(path)
    for key in _FROM_ENVIRONMENT if environment else ():
        variable = ENVIRONMENT_PREFIX + key.upper()
        if os.environ.get(variable):
            values[key], origin[key] = os.environ[variable], variable
    for key, value in arguments.items():
        if value is not None:
            values[key], origin[key] = value, "argument"
    try:
        return EngineConfig(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0]) if first["loc"] else "settings"
        known = ", ".join(EngineConfig.model_fields)
        hint = f"; known settings: {known}" if first["type"] == "extra_forbidden" else ""
        raise ConfigError(
            f"{key} (from {origin.get(key, 'default')}): {first['msg']}, got {first.get('input')!r}{hint}",
            code="bad_config",
            where=key,
        ) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", code="bad_config", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}", code="bad_config", where=str(path)) from None
