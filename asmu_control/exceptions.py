"""The errors that a script may meet; all derive from `AsmuError`, and the ones about bad values are ValueErrors too."""

from asmu_engine.protocol.errors import (
    AsmuError,
    ConfigError,
    DeviceError,
    DiskError,
    EngineError,
    EngineTimeout,
    PatchError,
    PluginError,
    ProtocolError,
    RingError,
)

__all__ = [
    "AsmuError",
    "ConfigError",
    "DeviceError",
    "DiskError",
    "EngineError",
    "EngineTimeout",
    "PatchError",
    "PluginError",
    "ProtocolError",
    "RingError",
]
