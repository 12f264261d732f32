"""Small JSON files that belong to one user alone: written with mode 0600, and not believed where others could read or write."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from asmu_engine.protocol.errors import AccessError

_MAX_BYTES: Final = 16 * 1024
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # a pipe in place of the file must not make us wait
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def read_private(path: Path, *, of_anyone: bool = False) -> dict[str, Any]:
    """The map in a file of this user; AccessError key_unreadable says what is wrong with it.

    With `of_anyone` the administrator may read a file of another user, which is still to be closed to the rest.
    """
    try:
        handle = os.open(path, _READ)
        with open(handle, "rb") as file:  # noqa: PTH123 - the very file that is looked at next
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise unreadable(path, "is not a file")
            if os.name == "posix":
                if stat.S_IMODE(state.st_mode) & 0o077:
                    raise unreadable(path, f"is open to other users; make it yours alone: chmod 600 {path}")
                if state.st_uid != os.getuid() and not (of_anyone and os.getuid() == 0):
                    raise unreadable(path, "belongs to another user")
            data = json.loads(file.read(_MAX_BYTES))
    except OSError as error:
        raise unreadable(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise unreadable(path, "is no JSON") from None
    if not isinstance(data, dict):
        raise unreadable(path, "holds no key")
    return data


def write_private(path: Path, data: dict[str, Any]) -> None:
    """A new file of mode 0600; AccessError key_exists when there is one, key_unreadable where none can be made."""
    try:
        handle = os.open(path, _WRITE, 0o600)
    except FileExistsError:
        raise AccessError(f"{path} is there already; a key is never overwritten", code="key_exists", where=str(path)) from None
    except OSError as error:
        raise unreadable(path, f"cannot be written: {error.strerror}") from None
    with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - made with its mode above
        file.write(json.dumps(data, indent=1) + "\n")


def replace_private(path: Path, data: dict[str, Any]) -> None:
    """The whole new file in place of the old one, or the old one; only one process may write in its folder at a time."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # of a process that died over it
    write_private(part, data)
    part.replace(path)


def unreadable(path: Path, why: str) -> AccessError:
    """What is raised for a file that cannot serve."""
    return AccessError(f"{path} {why}", code="key_unreadable", where=str(path))
