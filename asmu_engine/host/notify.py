"""Telling systemd how the host is: ready, alive, stopping. Does nothing where nobody asked for it (``NOTIFY_SOCKET``)."""

from __future__ import annotations

import logging
import os
import socket
from typing import Final

_log = logging.getLogger(__name__)

READY: Final = "READY=1"
ALIVE: Final = "WATCHDOG=1"
STOPPING: Final = "STOPPING=1"


def notify(*states: str) -> None:
    """Send the states, as sd_notify(3) does; nothing where there is nobody to hear them."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path or not hasattr(socket, "AF_UNIX"):
        return
    # A name in the abstract name space is written with an @ and sent with a zero byte.
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as line:
            line.setblocking(False)
            line.sendto("\n".join(states).encode(), address)
    except OSError as error:
        _log.warning("systemd could not be told %s: %s", ", ".join(states), error.strerror or error)


def watchdog_seconds() -> float | None:
    """How often `ALIVE` is to be said, half as long as systemd waits for it; None where it does not wait."""
    given, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not given.isdecimal() or int(given) == 0 or (process.isdecimal() and int(process) != os.getpid()):
        return None
    return int(given) / 2e6
