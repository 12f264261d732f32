"""Base classes for cores of your own, which run in the audio process: `AGenerator`, `AEffect`, `AAnalyzer`.

They are fetched when they are first asked for, since a script that only uses processors never needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asmu_engine.protocol.catalogue import ANY_PORTS, NO_PORTS, ONE_PORT, Parameter, Ports

if TYPE_CHECKING:
    from asmu_engine.rt.acore import AAnalyzer, ACore, AEffect, AGenerator, Block

__all__ = ["ANY_PORTS", "NO_PORTS", "ONE_PORT", "AAnalyzer", "ACore", "AEffect", "AGenerator", "Block", "Parameter", "Ports"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from asmu_engine.rt import acore

    return getattr(acore, name)
