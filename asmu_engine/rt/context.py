"""What a core may know of the moment it runs in, and how it tells the control thread something."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Context:
    """Shared by the runner and all its cores; written by the runner alone, before each run of the schedule.

    Attributes
    ----------
    position
        Frame position of the first frame of this call of `process`.
    monotonic_ns, utc_ns
        When that frame was due, nanoseconds.
    lost_cause
        Ring cause code of a jump of the axis right before this block, 0 for none.
    notices
        What happened, for the control thread: dictionaries, appended in the callback, taken outside.
    """

    position: int = 0
    monotonic_ns: int = 0
    utc_ns: int = 0
    lost_cause: int = 0
    notices: deque[dict[str, Any]] = field(default_factory=deque)

    def notify(self, node: str, what: str, frame: int = 0) -> None:
        """Tell the clients what happened at a node, e.g. ``finished``, and at which `frame` of this call of `process`.

        What is over at the end of a run is told with the first frame after it, be that one beyond this call.
        """
        self.notices.append({"event": "node", "node": node, "what": what, "position": self.position + frame})


@dataclass(frozen=True)
class Setup:
    """What a core is prepared for.

    Attributes
    ----------
    samplerate
        Hz.
    blocksize
        Most frames that one call of `process` gets.
    inputs, outputs
        Number of its ports.
    node
        Name of its node.
    ring
        Segment name of its ring, for taps and feeds.
    """

    samplerate: float
    blocksize: int
    inputs: int
    outputs: int
    context: Context
    node: str = ""
    ring: str = ""
