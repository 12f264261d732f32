"""Fields of the host's commands, checked."""

from __future__ import annotations

from typing import Any, Final

from asmu_engine.protocol.errors import ProtocolError

_REQUIRED: Final = object()


def identifier(message: dict[str, Any]) -> int:
    """The number of a command, 0 where it has none."""
    value = message.get("id")
    return value if isinstance(value, int) else 0


def take(message: dict[str, Any], name: str, kind: type[Any], default: Any = _REQUIRED) -> Any:
    """One field; ProtocolError ``bad_message`` where it is missing or of another kind."""
    value = message.get(name, default)
    if value is _REQUIRED:
        raise ProtocolError(f"{message.get('do')}: {name} is missing", code="bad_message", where=name)
    if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value < 0)):
        wanted = "a number of 0 or more" if kind is int else f"a {kind.__name__}"
        raise ProtocolError(f"{message.get('do')}: {name} is {value!r}, not {wanted}", code="bad_message", where=name)
    return value
