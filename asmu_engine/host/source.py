"""What the disk process is told to begin a recording into a folder with, above all where its frames come from."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import asmu_engine
from asmu_engine.config import EngineConfig
from asmu_engine.host.node import Node
from asmu_engine.protocol.acquisition import AcquisitionSettings
from asmu_engine.protocol.errors import DiskError, ProtocolError
from asmu_engine.protocol.messages import Acquire
from asmu_engine.protocol.plain import to_plain
from asmu_engine.protocol.version import PROTOCOL_VERSION
from asmu_engine.recording.manifest import Source, read_manifest

_LIBRARIES: Final = ("numpy", "pyzmq", "sounddevice")


def source_of(
    config: EngineConfig, *, axis: str, device: dict[str, Any] | None, patch: dict[str, Any], node: str
) -> dict[str, Any]:
    """The facts of a manifest's `Source`, as the disk process takes them.

    `axis` names the frame axis: engines that go on with it have the same, all others another. `patch` is the answer to the
    request of that name.
    """
    engine = {"name": config.name, "axis": axis, **_versions(), "plugins": list(config.plugins)}
    source = Source(engine=engine, device=to_plain(device), blocksize=config.blocksize, patch=to_plain(patch), node=node)
    return source.model_dump(mode="json")


def acquire_command(
    request: Acquire,
    folder: str,
    settings: AcquisitionSettings,
    node: Node,
    *,
    source: dict[str, Any],
    clock: dict[str, Any] | None,
    gap_uncertainty: int = 0,
) -> dict[str, Any]:
    """The disk process's command for a request, in which `folder` and `settings` name absolute paths.

    Parameters
    ----------
    source
        From `source_of`.
    clock
        Wire form of the newest fit.
    gap_uncertainty
        By how many frames the axis may be off against that on which a folder to go on with was begun, frames.

    Raises
    ------
    ProtocolError
        ``bad_message``: what the request says does not go together, or with the tap.
    DiskError
        ``file_unreadable``: a folder to go on with is none, or its frame positions are of another axis.
    """
    if request.channels and len(request.channels) != node.channels:
        raise ProtocolError(
            f"facts of {len(request.channels)} channels for {node.name}, which has {node.channels}; tell all or none",
            code="bad_message",
            where="acquire.channels",
        )
    if settings.on_full == "second_folder" and not settings.second_folder:
        raise ProtocolError(
            "on_full is second_folder, but there is no second_folder; name one on another disk",
            code="bad_message",
            where="acquire.settings.second_folder",
        )
    if request.resume and read_manifest(Path(folder)).source.engine.get("axis") != source["engine"]["axis"]:
        raise DiskError(
            f"the frame positions in {folder} are of another run of an engine, on whose axis this one does not go on; begin "
            "another folder, or start the engine with --resume",
            code="file_unreadable",
            where=folder,
        )
    return {
        "folder": folder,
        "settings": settings.model_dump(mode="json"),
        "source": source,
        "channels": [facts.model_dump(mode="json") for facts in request.channels],
        "resume": request.resume,
        "start": request.at,
        "clock": clock,
        "why": "host" if request.resume else "new",
        "gap_uncertainty": gap_uncertainty,
    }


@cache
def _versions() -> dict[str, Any]:
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue  # a system's own package may not say
    return {
        "version": asmu_engine.__version__,
        "protocol": PROTOCOL_VERSION,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "libraries": libraries,
    }
