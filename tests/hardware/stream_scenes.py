"""Streams on real PortAudio, each in a process of its own: ``python stream_scenes.py SCENE '{"setting": …}'`` prints JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

import numpy as np

from asmu_engine.devices.open import open_device
from asmu_engine.protocol.errors import AsmuError


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)  # noqa: T201


class Take:
    """A callback that plays `signal` and records; its memory is touched before the stream starts."""

    def __init__(self, signal: np.ndarray, inputs: int, blocksize: int, stall_at: int, stall_s: float) -> None:
        self.signal = signal
        self.recorded = np.full((len(signal), inputs), 7.0, dtype=np.float32)
        self.blocksize = blocksize
        self.stall_at, self.stall_s = stall_at, stall_s
        self.block = 0
        self.flags: list[int] = []
        self.lost: list[int] = []
        self.late_ns: list[int] = []
        self.longest_wait_ns = 0
        self.last_ns = 0
        self.sizes: list[int] = []
        self.reasons: list[str] = []
        self.ended = threading.Event()

    def __call__(self, indata: Any, outdata: Any, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        now = time.monotonic_ns()
        self.late_ns.append(now - due_ns)
        self.waited(now)
        self.flags.append(flags)
        self.lost.append(lost)
        self.sizes.append(len(indata))
        start = self.block * self.blocksize
        self.recorded[start : start + len(indata)] = indata
        outdata[:] = self.signal[start : start + len(outdata)]
        if self.block == self.stall_at:
            time.sleep(self.stall_s)
        self.block += 1
        return start + self.blocksize < len(self.signal)

    def waited(self, now: int) -> None:
        """For the next block, or for one that did not come."""
        if self.last_ns:
            self.longest_wait_ns = max(self.longest_wait_ns, now - self.last_ns)
        self.last_ns = now

    def end(self, reason: str) -> None:
        if reason != "finished":  # then what is in the buffers is played before
            self.waited(time.monotonic_ns())
        self.reasons.append(reason)
        self.ended.set()


def loopback(
    device: str,
    blocks: int,
    inputs: list[int],
    outputs: list[int],
    blocksize: int = 1024,
    samplerate: float = 48000,
    lead_in: int = 8,
    stall_at: int = -1,
    stall_s: float = 0.0,
    rounds: int = 1,
) -> None:
    """Play noise on each output after `lead_in` blocks, record the inputs, and compare sample by sample.

    Says for each input which delay in frames makes it equal, to the last bit, to the output of the same channel; -1
    where none does, None where the channel is silent.
    """
    opened = open_device(device, samplerate, blocksize, inputs, outputs)
    length = blocks * blocksize
    rng = np.random.default_rng(1)
    signal = rng.uniform(-1, 1, (length, len(outputs))).astype(np.float32)
    signal[: lead_in * blocksize] = 0.0
    for _ in range(rounds):
        take = Take(signal, len(inputs), blocksize, stall_at, stall_s)
        opened.start(take, take.end)
        assert take.ended.wait(30), "the stream did not end"
        opened.stop()
    delays = {}
    for column, channel in enumerate(inputs):
        delays[channel] = _delay(take.recorded[:, column], signal[:, outputs.index(channel)] if channel in outputs else None)
    say(
        delays=delays,
        flags=take.flags,
        lost=take.lost,
        late_ns=take.late_ns,
        longest_wait_s=take.longest_wait_ns * 1e-9,
        sizes=sorted(set(take.sizes)),
        reasons=take.reasons,
        input_latency=opened.input_latency,
        output_latency=opened.output_latency,
        host_api=opened.host_api,
        maximum=[opened.max_inputs, opened.max_outputs],
        name=opened.name,
    )
    opened.close()
    if getattr(opened, "abandoned", False):
        os._exit(0)


def _delay(heard: np.ndarray, signal: np.ndarray | None) -> int | None:
    sounding = np.flatnonzero(heard)
    if not len(sounding):
        return None
    if signal is None:
        return -1
    delay = int(sounding[0] - np.flatnonzero(signal)[0])
    return delay if delay >= 0 and np.array_equal(heard[delay:], signal[: len(signal) - delay]) else -1


def refused(
    device: str | int, inputs: list[int] | None = None, outputs: list[int] | None = None, samplerate: float = 48000
) -> None:
    """Say the error that opening gives."""
    try:
        opened = open_device(device, samplerate, 256, inputs, outputs)
    except AsmuError as error:
        say(**error.to_wire())
    else:
        opened.close()
        say(code="", message=f"{opened.name} opened")


def listed() -> None:
    """Say the devices."""
    from asmu_engine.devices.portaudio_library import list_devices

    say(devices=list_devices())


def states(device: str) -> None:
    """Say the errors of a device in the wrong state, and of a fault and a step."""
    opened = open_device(device, 48000, 1024, [1], [1])
    codes = []

    def attempt(call: Any) -> None:
        try:
            call()
        except AsmuError as error:
            codes.append(error.code)
        else:
            codes.append("")

    def silent(indata: Any, outdata: Any, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        outdata.fill(0.0)
        return True

    start = lambda: opened.start(silent, codes.append)  # noqa: E731
    for call in (start, start, opened.stop, opened.stop, start, lambda: opened.fault("stall"), lambda: opened.step(1)):
        attempt(call)
    opened.close()
    opened.close()
    attempt(start)
    say(codes=codes)


def raising(device: str) -> None:
    """A callback that fails: the stream ends, the error is told, nothing is printed."""
    opened = open_device(device, 48000, 1024, None if device.endswith("pulse") else [1, 2], [1, 2])
    ended = threading.Event()
    reasons: list[str] = []

    def failing(indata: Any, outdata: Any, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        raise ZeroDivisionError("in the callback")

    opened.start(failing, lambda reason: (reasons.append(reason), ended.set()))
    ended.wait(10)
    opened.close()
    say(reasons=reasons)


def until_lost(device: str) -> None:
    """Say when blocks run, then why and how soon the stream was lost; the process ends although PortAudio hangs."""
    opened = open_device(device, 48000, 1024, [1, 2], [1, 2])
    ended = threading.Event()
    reasons: list[str] = []
    last = [0]

    def silent(indata: Any, outdata: Any, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        outdata.fill(0.0)
        last[0] = time.monotonic_ns()
        return True

    opened.start(silent, lambda reason: (reasons.append(reason), ended.set()))
    while not last[0]:
        time.sleep(0.01)
    say(running=True)
    ended.wait(20)
    noticed_s = (time.monotonic_ns() - last[0]) * 1e-9
    abandoned = getattr(opened, "abandoned", False)
    begun = time.monotonic()
    opened.close()
    say(reasons=reasons, noticed_s=noticed_s, abandoned=abandoned, close_s=time.monotonic() - begun)
    if abandoned:
        os._exit(0)
    sys.stdin.readline()


def reopened(device: str) -> None:
    """Lose the stream, then try to open again whenever a line comes in; say the code of the error, or none."""
    until_lost_reasons: list[str] = []
    ended = threading.Event()

    def silent(indata: Any, outdata: Any, flags: int, lost: int, due_ns: int, device_time: float) -> bool:
        outdata.fill(0.0)
        return True

    opened = open_device(device, 48000, 1024, [1, 2], [1, 2])
    opened.start(silent, lambda reason: (until_lost_reasons.append(reason), ended.set()))
    say(running=True)
    ended.wait(20)
    opened.close()
    say(reasons=until_lost_reasons)
    for _ in sys.stdin:
        try:
            again = open_device(device, 48000, 1024, [1, 2], [1, 2])
        except AsmuError as error:
            say(code=error.code, message=error.message)
        else:
            again.close()
            say(code="")


if __name__ == "__main__":
    globals()[sys.argv[1]](**json.loads(sys.argv[2]))
