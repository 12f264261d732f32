"""One recording or player, as the host keeps account of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from asmu_engine.host.child import Answer

JobKind = Literal["record", "acquire", "play"]
"""A recording of one file, one into a folder, a player."""


@dataclass
class Job:
    """One recording or player. `command` is what the disk process was told, `progress` the last that it told.

    `client` is the name of who began it, `client_id` its id; `keep`: it outlives that client.
    """

    job: int
    kind: JobKind
    node: str
    ring: str
    client: str
    command: dict[str, Any]
    client_id: str = ""
    keep: bool = False
    state: str = "starting"
    progress: dict[str, Any] = field(default_factory=dict)
    stopping: list[Answer] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """True until it is finished or failed."""
        return self.state in ("starting", "running")

    @property
    def path(self) -> str:
        """Its file, or its folder."""
        return str(self.command["folder" if self.kind == "acquire" else "path"])

    def note(self, told: dict[str, Any]) -> None:
        """The disk process told how far it is."""
        self.progress.update({key: value for key, value in told.items() if key not in ("event", "state", "job")})

    def facts(self) -> dict[str, Any]:
        """What clients see of it."""
        own = {"job": self.job, "kind": self.kind, "node": self.node, "path": self.path, "client": self.client}
        return {**self.progress, **own, "state": self.state}
