"""The same engine inside the caller's process, stepped by hand: tests, teaching, offline rendering."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asmu_engine.audio.builder import Builder
from asmu_engine.audio.kinds import Kinds
from asmu_engine.audio.wiring import Wiring
from asmu_engine.protocol.catalogue import Kind
from asmu_engine.rt.acore import ACore, Block
from asmu_engine.rt.runner import Runner

if TYPE_CHECKING:
    from asmu_engine.config import EngineConfig
    from asmu_engine.local_device import LocalDevice
    from asmu_engine.local_host import LocalHost


def local_host(config: EngineConfig) -> LocalHost:
    """An engine in this process that answers the requests of one client; see `asmu_engine.local_host`."""
    from asmu_engine.local_host import LocalHost  # it loads the disk process's jobs, for which a test of a core has no use

    return LocalHost(config)


def local_device(
    spec: dict[str, Any], samplerate: float, blocksize: int, inputs: Sequence[int], outputs: Sequence[int]
) -> LocalDevice:
    """The device of a wire form, block by block, for an engine in this process; see `asmu_engine.local_device`."""
    from asmu_engine.local_device import LocalDevice
    from asmu_engine.protocol.device import device_from_wire

    return LocalDevice(device_from_wire(spec), samplerate, blocksize, inputs, outputs)


class LocalEngine:
    """Builder, schedule and runner of the real engine, with the caller as the device.

    Parameters
    ----------
    samplerate
        Hz.
    blocksize
        Frames of the longest block.
    inputs, outputs
        Number of interface channels; column n of the arrays is channel n + 1.
    plugins
        Modules or ``.py`` files with further cores.
    """

    def __init__(self, samplerate: float, blocksize: int, inputs: int = 2, outputs: int = 2, plugins: Iterable[str] = ()) -> None:
        self.samplerate = samplerate
        self.blocksize = blocksize
        self.inputs = inputs
        self.outputs = outputs
        self._kinds = Kinds(plugins)
        self.runner = Runner(samplerate, blocksize)
        self._builder = Builder(self._kinds, samplerate, blocksize, self.runner.context)
        self._builder.wiring = Wiring({n: n for n in range(inputs)}, {n: n for n in range(outputs)})
        self._nothing = np.zeros((blocksize, inputs), dtype=np.float32)

    def catalogue(self) -> list[Kind]:
        """The kinds that this engine knows."""
        return self._kinds.catalogue()

    def edit(self, edits: list[dict[str, Any]]) -> int:
        """Apply edits as they stand on the wire; returns the frame position from which they hold."""
        at = self.runner.mailbox.post(self._builder.build(edits))
        self.runner.run_edits()
        self._free()
        return at

    def block(self, indata: Block | None, outdata: Block) -> None:
        """Process one block in place: `outdata` (frames, outputs), `indata` (frames, inputs) or None for silence."""
        self.runner(self._nothing[: len(outdata)] if indata is None else indata, outdata, 0, 0, 0, 0.0)

    def render(self, frames: int, indata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """`frames` frames in blocks of `blocksize`; returns (frames, outputs). `indata` is (frames, inputs) or None."""
        outdata = np.full((frames, self.outputs), np.nan, dtype=np.float32)  # a device's buffer may hold anything
        for start in range(0, frames, self.blocksize):
            stop = min(start + self.blocksize, frames)
            self.block(None if indata is None else indata[start:stop], outdata[start:stop])
        return outdata

    def reset(self, drop: int = 0) -> None:
        """Every core goes back to its start; `drop`: so many blocks from there on are silent and process nothing."""
        self.runner.reset()
        self.runner.drop_until = self.runner.position + drop * self.blocksize

    @property
    def cores(self) -> dict[str, ACore]:
        """The cores by the name of their node."""
        return self._builder.graph.cores

    def notices(self) -> list[dict[str, Any]]:
        """What cores had to say since the last call: finished, failed."""
        said = list(self.runner.context.notices)
        self.runner.context.notices.clear()
        return said

    def close(self) -> None:
        """Let go of every core."""
        self._free()
        for core in self._builder.graph.cores.values():
            core.close()

    def _free(self) -> None:
        for edit in self.runner.mailbox.collect():
            for core in edit.retired:
                core.close()
