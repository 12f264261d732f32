"""Too little or too much data at the device: counted, and told to the control thread."""

from __future__ import annotations

from typing import Final

from asmu_engine.rt.context import Context
from asmu_engine.shm.causes import DEVICE
from asmu_engine.shm.status import StatusPage

INPUT_UNDERFLOW, INPUT_OVERFLOW, OUTPUT_UNDERFLOW, OUTPUT_OVERFLOW = 1, 2, 4, 8
FLAG_NAMES: Final = {
    INPUT_UNDERFLOW: "input_underflow",
    INPUT_OVERFLOW: "input_overflow",
    OUTPUT_UNDERFLOW: "output_underflow",
    OUTPUT_OVERFLOW: "output_overflow",
}
_ON_INPUT: Final = INPUT_UNDERFLOW | INPUT_OVERFLOW


class Xruns:
    """Notes the xruns of one runner, for its `context`, and on a counters page where there is one."""

    def __init__(self, context: Context, status: StatusPage | None) -> None:
        self._context = context
        self._words = None if status is None else status.words
        self._lost = StatusPage.word("lost_frames")
        self._flags = {flag: StatusPage.word(name) for flag, name in FLAG_NAMES.items()}

    def note(self, flags: int, lost: int, position: int, shape: tuple[int, ...], uncertainty: int) -> None:
        """The device says something with a block.

        Parameters
        ----------
        flags
            What it says, of the four above.
        lost
            Frames that it counts as lost right before the block.
        position
            Of the block.
        shape
            Of its input.
        uncertainty
            Standard uncertainty of the device's counting, frames.
        """
        if lost:
            self._context.lost_cause, self._context.lost_uncertainty = DEVICE, uncertainty
        elif uncertainty:
            # The device may have lost what its clock does not show; with inputs, an output's trouble costs them nothing.
            uncertainty = shape[0] if flags & _ON_INPUT or not shape[1] else 0
        if self._words is not None:
            for flag, word in self._flags.items():
                if flags & flag:
                    self._words[word] += 1
            self._words[self._lost] += lost
        names = [name for flag, name in FLAG_NAMES.items() if flags & flag]
        xrun = {"event": "xrun", "flags": names, "lost": lost, "uncertainty": uncertainty, "position": position}
        self._context.notices.append(xrun)
