"""Every error of the project, in one tree; each class is a family, each code a single cause.

    AsmuError
    ├── ProtocolError        bad_message  protocol_version  message_too_large  unknown_request
    │                        hello_first  out_of_order  key_reused
    ├── AccessError          not_allowed  leased  path_forbidden  key_refused  token_unknown
    │                        key_exists  key_unknown  key_unreadable
    ├── PatchError           unknown_kind  unknown_node  duplicate_node  bad_name  unknown_port
    │   (a ValueError)       port_in_use  not_connected  unknown_parameter  bad_value  fixed_parameter
    │                        unknown_call  cycle  patch_too_large  core_failed  revision_changed
    │                        scheduled_unknown  scheduled_full  not_undoable
    ├── ConfigError          bad_config  bad_device_text
    │   (a ValueError)
    ├── DeviceError          portaudio_missing  device_unknown  device_channels  device_samplerate
    │                        device_failed  device_lost  device_state  no_fault
    ├── EngineError          engine_exists  engine_unknown  engine_gone  engine_failed  engine_state
    │   └── EngineTimeout    timeout
    ├── RingError            ring_unknown  ring_layout  ring_closed  ring_shape  ring_position  ring_name
    │                        ring_exists  ring_space  ring_access  ring_full  ring_timeout
    ├── DiskError            file_unreadable  file_unwritable  file_format  disk_job_unknown  disk_failed
    │                        feed_in_use
    └── PluginError          plugin_unreadable  plugin_conflict

An error crosses the wire as ``{"code", "family", "message", "where", "retry"}`` and comes back as the same class.
Errors of other libraries are translated at one boundary each and keep their text in the message.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar


class AsmuError(Exception):
    """Base of every error that this project raises on purpose.

    Parameters
    ----------
    message
        What was wrong, and what would be right.
    code
        The single cause, one of the codes in the tree above.
    where
        The node, channel, field or path concerned.
    retry
        True when the same call may succeed later, unchanged.
    """

    family: ClassVar[str] = "engine"

    def __init__(self, message: str, *, code: str, where: str = "", retry: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.where = where
        self.retry = retry

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way forgets keyword arguments; worker processes send errors back pickled.
        return partial(type(self), code=self.code, where=self.where, retry=self.retry), (self.message,), self.__dict__

    def to_wire(self) -> dict[str, Any]:
        """The error as plain data for a reply."""
        return {
            "code": self.code,
            "family": self.family,
            "message": self.message,
            "where": self.where,
            "retry": self.retry,
        }


class ProtocolError(AsmuError):
    """A message that the engine cannot read, or will not."""

    family = "protocol"


class AccessError(AsmuError):
    """Something that this client may not do, or that another client has leased; it had no effect."""

    family = "access"


class PatchError(AsmuError, ValueError):
    """An edit that the patch does not allow; the running patch is untouched."""

    family = "patch"


class ConfigError(AsmuError, ValueError):
    """A setting that is unknown, out of range, or contradicts another."""

    family = "config"


class DeviceError(AsmuError):
    """An audio device that is missing, lacks what was asked, failed or went away."""

    family = "device"


class EngineError(AsmuError):
    """An engine that is missing, already there, gone, or in the wrong state."""

    family = "engine"


class EngineTimeout(EngineError):
    """The engine did not answer in time."""

    family = "timeout"


class RingError(AsmuError):
    """A shared-memory ring that is missing, of another layout, or closed."""

    family = "ring"


class DiskError(AsmuError):
    """A sound file that cannot be read or written, or a disk process that failed."""

    family = "disk"


class PluginError(AsmuError):
    """A module of user cores that cannot be loaded."""

    family = "plugin"


_FAMILIES: dict[str, type[AsmuError]] = {
    cls.family: cls
    for cls in (
        ProtocolError,
        AccessError,
        PatchError,
        ConfigError,
        DeviceError,
        EngineError,
        EngineTimeout,
        RingError,
        DiskError,
        PluginError,
    )
}


def from_wire(data: dict[str, Any]) -> AsmuError:
    """Rebuild the error of a reply; an unknown family comes back as an EngineError with its text kept."""
    cls = _FAMILIES.get(str(data.get("family")), EngineError)
    return cls(
        str(data.get("message", "the engine gave no reason")),
        code=str(data.get("code", "engine_failed")),
        where=str(data.get("where", "")),
        retry=bool(data.get("retry", False)),
    )
