"""Multichannel audio playback, processing and recording for acoustic measurement, in scripts and notebooks.

>>> import asmu_control as asmu
>>> interface = asmu.Interface(device="virtual")
>>> sine = asmu.generator.Sine(interface, 250)
>>> sine.output().connect(interface.ioutput(ch=1))
>>> sine
<Sine sine1: frequency 250 Hz, phase 0 rad, 1 output>

``with interface.start(): …`` runs it, in processes of its own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from asmu_control import acore, analyzer, effect, exceptions, generator, io, processor, typing
from asmu_control.connecting import connect, connect_async
from asmu_control.devicelist import query_devices
from asmu_control.interface import Interface
from asmu_control.timeouts import Timeouts
from asmu_engine import __version__

if TYPE_CHECKING:
    from asmu_control import client, device, recording, testing
    from asmu_control.afile import AFile
    from asmu_control.asetup import ASetup
    from asmu_control.recording import open_recording
    from asmu_engine.recording.repair import repair_recording
    from asmu_engine.recording.verify import verify_recording

__all__ = [
    "AFile",
    "ASetup",
    "Interface",
    "Timeouts",
    "__version__",
    "acore",
    "analyzer",
    "client",
    "connect",
    "connect_async",
    "device",
    "effect",
    "exceptions",
    "generator",
    "io",
    "open_recording",
    "processor",
    "query_devices",
    "recording",
    "repair_recording",
    "testing",
    "typing",
    "verify_recording",
]

_LATE = {
    "AFile": "asmu_control.afile",
    "ASetup": "asmu_control.asetup",
    "open_recording": "asmu_control.recording",
    "repair_recording": "asmu_engine.recording.repair",
    "verify_recording": "asmu_engine.recording.verify",
}


def __getattr__(name: str) -> Any:
    # `device` loads pydantic, `testing` a whole engine, files load soundfile: only for those who ask for them.
    if name in ("client", "device", "recording", "testing"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
