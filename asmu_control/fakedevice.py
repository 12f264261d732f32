"""What an engine in memory says of the device that it does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asmu_engine.protocol.errors import EngineError
from asmu_engine.protocol.version import MAX_CHANNELS


class FakeDevice:
    """Runs or not, with whatever channels are asked for; the test processes the blocks.

    Attributes
    ----------
    state
        ``"stopped"`` or ``"running"``.
    facts
        What status and events show of it; None before it ran.
    """

    def __init__(self, engine: str) -> None:
        self.state = "stopped"
        self.facts: dict[str, Any] | None = None
        self._engine = engine

    def start(self, inputs: Sequence[int] | None, outputs: Sequence[int] | None) -> dict[str, Any]:
        """Run; EngineError ``engine_state`` if it does so already."""
        if self.state == "running":
            raise EngineError("the device runs already; stop it first", code="engine_state", where=self._engine)
        self.state = "running"
        self.facts = {
            "name": "fake",
            "host_api": "fake",
            "kind": "offline",
            "inputs": [1, 2] if inputs is None else list(inputs),
            "outputs": [1, 2] if outputs is None else list(outputs),
            "max_inputs": MAX_CHANNELS,
            "max_outputs": MAX_CHANNELS,
            "input_latency": 0.0,
            "output_latency": 0.0,
            "paced": False,
            "speed": 1.0,
        }
        return self.facts

    def stop(self) -> bool:
        """Stand still; whether it ran."""
        ran, self.state = self.state == "running", "stopped"
        return ran
