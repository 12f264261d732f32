"""``asmu engine unit``: a systemd unit for an engine that is to run for weeks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from asmu_engine.protocol import exits

_TEMPLATE: Final = """\
# {where}
# Take it up:  {control} daemon-reload && {control} enable --now asmu-{name}
# Exit statuses of the engine: {statuses}.

[Unit]
Description=asmu audio engine {name}
After=sound.target network.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
{user}Restart=on-failure
RestartSec=2
RestartPreventExitStatus={usage}
# A host that hangs is replaced, and goes on with what it did.
WatchdogSec=30
# Recordings take what their rings hold, close their files and check them.
TimeoutStopSec=600
KillMode=mixed
# Audio in real time, kept out of swap.
LimitRTPRIO=95
LimitMEMLOCK=infinity
LimitNOFILE=65536

[Install]
WantedBy={wanted}
"""

_ENGINE: Final = (exits.OK, exits.ERROR, exits.USAGE, exits.AUDIO_FAILED)


def unit_text(name: str, arguments: list[str], user: str = "") -> str:
    """The unit.

    Parameters
    ----------
    name
        Of the engine.
    arguments
        Of the engine's program, beside its name and ``--resume``.
    user
        For a unit of the system that runs as this user; empty for a unit of the user's own.
    """
    command = [sys.executable, "-m", "asmu_engine", "--name", name, "--resume", *arguments]
    file = f"asmu-{name}.service"
    statuses = ", ".join(f"{number} {exits.MEANINGS[number]}" for number in _ENGINE)
    return _TEMPLATE.format(
        where=f"/etc/systemd/system/{file}" if user else f"{Path('~/.config/systemd/user') / file}",
        control="systemctl" if user else "systemctl --user",
        statuses=statuses,
        name=name,
        command=" ".join(_quoted(word) for word in command),
        user=f"User={user}\nRuntimeDirectory=asmu\nEnvironment=ASMU_RUNTIME_DIR=%t/asmu\n" if user else "",
        usage=exits.USAGE,
        wanted="multi-user.target" if user else "default.target",
    )


def _quoted(word: str) -> str:
    """A word of a command line as systemd reads it: specifiers and variables taken as they stand."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and not any(character in word for character in " \t\"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
