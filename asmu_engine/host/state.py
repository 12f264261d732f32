"""What an engine leaves on the disk for a successor that goes on with it, should it die: ``asmu engine start NAME --resume``.

In the engine's folder below ``ASMU_STATE_DIR``, else the system's place for such files, mode 0700:

========== =============================================================================================================
file       what
========== =============================================================================================================
state.json the settings, the patch with all its values, how the device was started, the recordings into folders that are open
axis.json  where the frame axis stood, and when; written anew every few seconds
========== =============================================================================================================

Both are replaced as a whole, so that they are always whole. An engine that ends in order removes them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.plain import from_plain, to_plain
from asmu_engine.protocol.runtime import state_folder

VERSION: Final = 1
STATE: Final = "state.json"
AXIS: Final = "axis.json"


class SavedAxis(BaseModel):
    """Where the frame axis of an engine stood at one moment.

    Attributes
    ----------
    position
        Frames.
    monotonic_ns, utc_ns, boot
        When: on the clock of that run of the machine, and in UTC.
    rate
        Frames a second since then; 0 where the axis stands still.
    uncertainty, ppm
        Standard uncertainties of `position`, frames, and of `rate`, parts per million.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    position: int
    monotonic_ns: int
    utc_ns: int
    boot: str
    rate: float
    uncertainty: float
    ppm: float


@dataclass(frozen=True)
class State:
    """What an engine was doing.

    Attributes
    ----------
    config
        Wire form of its settings.
    path
        ``PYTHONPATH``, by which plugins were found.
    axis_name
        Of its frame axis, see `asmu_engine.host.source`.
    revision
        Of the patch.
    edits
        Wire form of the edits that rebuild the patch.
    run
        How the device was started, see `asmu_engine.host.lastrun`; None where it did not run.
    acquisitions
        Of each open recording into a folder ``node``, ``client``, ``command``.
    axis
        Where the frame axis stood; None where nothing is known of that.
    """

    config: dict[str, Any]
    path: str
    axis_name: str
    revision: int = 0
    edits: list[dict[str, Any]] = field(default_factory=list)
    run: dict[str, Any] | None = None
    acquisitions: list[dict[str, Any]] = field(default_factory=list)
    axis: SavedAxis | None = None


_KEYS: Final = ("config", "path", "axis_name", "revision", "edits", "run", "acquisitions")


def boot_name() -> str:
    """Which run of the machine this is: monotonic times compare within one. Empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def read_state(name: str) -> State | None:
    """What a dead engine of that name left; None for nothing.

    Raises
    ------
    ConfigError
        ``bad_config``: what is there cannot be read, or is of another version.
    """
    path = state_folder(name) / STATE
    try:
        data = json.loads(path.read_bytes())
        if data["version"] != VERSION:
            raise ValueError(f"it is of version {data['version']}, and this is version {VERSION}")
        fields = {key: from_plain(data[key]) for key in _KEYS}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, ConfigError) as error:
        raise ConfigError(
            f"{path} cannot be resumed from: {error}; remove it, or start the engine without --resume",
            code="bad_config",
            where=str(path),
        ) from None
    return State(**fields, axis=_read_axis(name))


def _read_axis(name: str) -> SavedAxis | None:
    try:
        return SavedAxis.model_validate_json((state_folder(name) / AXIS).read_bytes())
    except (OSError, ValidationError):
        return None


def write_state(name: str, state: State) -> None:
    """Replace ``state.json``; OSError from the system."""
    _replace(state_folder(name, make=True) / STATE, _pieces(state))


def write_axis(name: str, axis: SavedAxis) -> None:
    """Replace ``axis.json``; OSError from the system."""
    _replace(state_folder(name, make=True) / AXIS, iter([axis.model_dump_json()]))


def remove_state(name: str) -> None:
    """There is nothing to go on with."""
    shutil.rmtree(state_folder(name), ignore_errors=True)


def _pieces(state: State) -> Iterator[str]:
    """The text in pieces: whoever encodes in a thread must not hold up the others."""
    head = {"version": VERSION, **{key: to_plain(getattr(state, key)) for key in _KEYS if key != "edits"}}
    yield json.dumps(head)[:-1] + ', "edits": ['
    for index, edit in enumerate(state.edits):
        yield (",\n" if index else "\n") + json.dumps(to_plain(edit))
    yield "]}\n"


def _replace(path: Path, pieces: Iterator[str]) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
