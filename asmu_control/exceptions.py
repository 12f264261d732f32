"""The errors that a script may meet; all derive from `AsmuError`, and the ones about bad values are ValueErrors too.

To the tree of `asmu_engine.protocol.errors`, which crosses the wire, the user layer adds two that never do:

    AsmuError
    ├── UnitError            unknown_unit
    │   (a ValueError)
    └── CalibrationError     signal_weak  signal_clipped  signal_unsteady  not_calibrated
"""

from asmu_engine.protocol.errors import (
    AccessError,
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
    "AccessError",
    "AsmuError",
    "CalibrationError",
    "ConfigError",
    "DeviceError",
    "DiskError",
    "EngineError",
    "EngineTimeout",
    "PatchError",
    "PluginError",
    "ProtocolError",
    "RingError",
    "UnitError",
]


class UnitError(AsmuError, ValueError):
    """A physical unit or quantity that a calibration does not know."""

    family = "unit"


class CalibrationError(AsmuError):
    """A calibration that was refused: the signal is not what it must be, or something it rests on is missing."""

    family = "calibration"
