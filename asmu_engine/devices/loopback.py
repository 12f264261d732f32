"""The system between a simulated device's outputs and its inputs: delay, gains, impulse response, what is added.

What is played in one block can be heard in the next at the earliest, as with any block-wise device, so a frame
played at position p is heard at exactly ``p + blocksize + delay_frames``, also where blocks are shorter and where
frames are lost. Without gains, impulse response and additions the samples come back bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from asmu_engine.devices.additions import Addition, Noise, Sound, Tone
from asmu_engine.devices.base import Block
from asmu_engine.devices.convolution import Convolver
from asmu_engine.devices.soundfile_io import impulse_response
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.device import Offline, Virtual

Mix = Callable[[Block, Block], None]


class Loopback:
    """A settable system; `capture` and `play` are called in turn for each block, by one thread.

    Parameters
    ----------
    spec
        The system; of it only the channels in use are computed.
    samplerate, blocksize
        Hz, and the most frames of a block.
    inputs, outputs
        Channels in use, from 1, in the order of the columns.
    """

    def __init__(
        self, spec: Virtual | Offline, samplerate: float, blocksize: int, inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> None:
        self.latency_frames = blocksize + spec.delay_frames
        rows = np.array(inputs, dtype=np.intp) - 1
        # As long as the delay, so a block is read from the very slots that it is then written to.
        self._line = np.zeros((self.latency_frames, len(outputs)), dtype=np.float32)
        self._index = 0
        self._scratch = np.zeros((blocksize, len(inputs)), dtype=np.float32)
        self._silence = np.zeros((blocksize, len(outputs)), dtype=np.float32)
        gains = _gains(spec)[np.ix_(rows, np.array(outputs, dtype=np.intp) - 1)]
        self._mix = _mixer(gains, blocksize)
        self._convolver: Convolver | None = None
        if spec.ir is not None:
            taps = numpy_array(spec.ir) if isinstance(spec.ir, Array) else impulse_response(spec.ir, spec.inputs, samplerate)
            chosen = taps[:, rows] if taps.ndim == 2 else taps[:, np.newaxis]
            self._convolver = Convolver(chosen, len(inputs), blocksize)
        self._additions: list[Addition] = []
        if spec.tone_hz is not None:
            self._additions.append(Tone(spec.tone_hz, spec.tone_dbfs, samplerate, blocksize, len(inputs)))
        if spec.noise_dbfs is not None:
            self._additions.append(Noise(spec.noise_dbfs, spec.seed, blocksize, len(inputs)))
        if spec.source is not None:
            self._additions.append(Sound(spec.source, samplerate, rows, blocksize))
        self._position = 0

    def reset(self) -> None:
        """Silence in the system, position 0, noise from its seed."""
        self._position = self._index = 0
        self._silence_system()
        for addition in self._additions:
            addition.reset()

    def capture(self, indata: Block) -> None:
        """Write what the inputs hear now, shape (frames, inputs); frames at most the block size."""
        self._hear(indata)
        for addition in self._additions:
            addition.add(indata, self._position)

    def play(self, outdata: Block) -> None:
        """Take what was played, shape (frames, outputs) of the last `capture`, and go on by as many frames."""
        frames, start, length = len(outdata), self._index, self.latency_frames
        end = start + frames
        if end <= length:
            self._line[start:end] = outdata
        else:
            self._line[start:] = outdata[: length - start]
            self._line[: end - length] = outdata[length - start :]
        self._index = end % length
        self._position += frames

    def skip(self, frames: int) -> None:
        """Go on by frames that nobody heard, playing silence meanwhile: what was on its way arrives at its time."""
        memory = self.latency_frames + (self._convolver.taps if self._convolver else 0)
        if frames >= memory:
            self._silence_system()
            self._index = (self._index + frames) % self.latency_frames
            self._position += frames
            return
        while frames > 0:
            count = min(frames, len(self._scratch))
            self._hear(self._scratch[:count])
            self.play(self._silence[:count])
            frames -= count

    def _hear(self, indata: Block) -> None:
        frames, start, length = len(indata), self._index, self.latency_frames
        end = start + frames
        if end <= length:
            self._mix(self._line[start:end], indata)
        else:
            self._mix(self._line[start:], indata[: length - start])
            self._mix(self._line[: end - length], indata[length - start :])
        if self._convolver is not None:
            self._convolver.process(indata)

    def _silence_system(self) -> None:
        self._line.fill(0.0)
        if self._convolver is not None:
            self._convolver.reset()


def numpy_array(value: Array) -> NDArray[np.float64]:
    """An array of the protocol as numpy array."""
    return np.frombuffer(value.data, dtype=f"<{value.dtype}").reshape(value.shape).astype(np.float64)


def _gains(spec: Virtual | Offline) -> NDArray[np.float64]:
    matrix = np.eye(spec.inputs, spec.outputs) if spec.matrix is None else numpy_array(spec.matrix)
    return matrix if spec.gain_db == 0.0 else matrix * 10.0 ** (spec.gain_db / 20.0)


def _mixer(gains: NDArray[np.float64], blocksize: int) -> Mix:
    """The cheapest way from outputs to inputs that is exact: silence, copy, pick columns, or a matrix product."""
    inputs, outputs = gains.shape
    if not gains.any():
        return lambda played, heard: heard.fill(0.0)
    if inputs == outputs and np.array_equal(gains, np.eye(inputs)):
        return lambda played, heard: np.copyto(heard, played)
    if np.count_nonzero(gains, axis=1).max() == 1:
        return _picker(gains, blocksize)
    weights = np.ascontiguousarray(gains.T, dtype=np.float32)

    def product(played: Block, heard: Block) -> None:
        np.matmul(played, weights, out=heard)

    return product


def _picker(gains: NDArray[np.float64], blocksize: int) -> Mix:
    """Each input hears one output at most, with a gain."""
    source = np.abs(gains).argmax(axis=1)
    gain = gains[np.arange(len(gains)), source].astype(np.float32)
    deaf = [int(column) for column in np.flatnonzero(gain == 0.0)]
    # As large as a block: numpy multiplies arrays of one shape without a buffer, and others with one.
    gains_of_block = np.repeat(gain[np.newaxis], blocksize, axis=0)
    scaled = not np.all((gain == 1.0) | (gain == 0.0))

    def pick(played: Block, heard: Block) -> None:
        # mode="clip" writes straight into `heard`; the default would go through a buffer.
        np.take(played, source, axis=1, out=heard, mode="clip")
        if scaled:
            np.multiply(heard, gains_of_block[: len(heard)], out=heard)
        for column in deaf:
            heard[:, column] = 0.0

    return pick
