"""The errors that a script may meet; all derive from `AsmuError`, and the ones about bad values are ValueErrors too.

To the tree of `asmu_engine.protocol.errors`, which crosses the wire, the user layer adds four that never do:

    AsmuError
    ├── UnitError            unknown_unit
    │   (a ValueError)
    ├── FramesMissing        frames_missing
    │   (a DiskError)
    ├── MapError             function_unusable  function_failed  worker_ended
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
    "FramesMissing",
    "MapError",
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


class FramesMissing(DiskError):
    """Frames that were asked for without their gaps, but a recording has gaps there; it names them."""


class MapError(AsmuError):
    """A function that cannot be run in worker processes, or a worker that ended before it was done."""

    family = "map"
