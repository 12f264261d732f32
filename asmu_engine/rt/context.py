"""What a core may know of the moment it runs in, and how it tells the control thread something."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


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
        Why the axis jumped right before this block, a number of `asmu_engine.shm.causes`; 0 where it did not.
    lost_uncertainty
        Standard uncertainty of how far, frames.
    notices
        What happened, for the control thread: dictionaries, appended in the callback, taken outside.
    """

    position: int = 0
    monotonic_ns: int = 0
    utc_ns: int = 0
    lost_cause: int = 0
    lost_uncertainty: int = 0
    notices: deque[dict[str, Any]] = field(default_factory=deque)
    _scratch: dict[tuple[str, str], NDArray[Any]] = field(default_factory=dict, repr=False)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array that all cores share which ask for that name and type: what stands in it is good until another of them runs.

        Cores run one after the other, so what one needs within a block only need not be its own. To be asked for in `prepare`.
        """
        size = math.prod(shape)
        key = (name, np.dtype(dtype).str)
        flat = self._scratch.get(key)
        if flat is None or flat.size < size:
            # Twice the size, for stacks grow by a channel at a time, and each keeps what it was given for as long as it lives.
            flat = self._scratch[key] = np.zeros(size if flat is None else max(size, 2 * flat.size), dtype=dtype)
        return flat[:size].reshape(shape)

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
