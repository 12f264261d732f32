"""What a whole callback of a real PortAudio stream costs, from where sounddevice calls Python to where it returns.

    python -m benchmarks._callback engine|nothing FRAMES SAMPLERATE SECONDS

In a process of its own: ``engine`` runs an empty patch, ``nothing`` a stream whose callback returns at once, which is what
sounddevice itself takes. Prints one line of JSON: `microseconds` of each block. Needs the server of `benchmarks._jack`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import sounddevice

from asmu_engine.audio.engine import AudioEngine
from asmu_engine.rt.scheduling import make_thread_realtime, quiet_interpreter
from asmu_engine.shm.status import StatusPage, create_status
from benchmarks._jack import DEVICE

CHANNELS = (1, 2)
WARM_UP_SECONDS = 1.0


def timed(taken: list[int]) -> None:
    """Have the time of every callback noted from now on; there is no public place from which the whole of it can be seen."""
    wrapped: Callable[..., Any] = sounddevice._wrap_callback
    now = time.perf_counter_ns

    def wrap(*arguments: Any) -> Any:
        began = now()
        result = wrapped(*arguments)
        taken.append(now() - began)
        return result

    sounddevice._wrap_callback = wrap


def run_engine(frames: int, samplerate: int, seconds: float, taken: list[int]) -> None:
    """An empty patch, as the audio process runs it, with its counters."""
    name = "callback"
    segment = create_status(name)
    page = StatusPage.attach(name)
    try:
        engine = AudioEngine(DEVICE, samplerate, frames, status=page, thread_setup=lambda: make_thread_realtime(70))
        quiet_interpreter()
        engine.start(inputs=list(CHANNELS), outputs=list(CHANNELS))
        wait(seconds, taken)
        engine.close()
    finally:
        page.close()
        segment.unlink()
        segment.close()


def run_nothing(frames: int, samplerate: int, seconds: float, taken: list[int]) -> None:
    """The same stream, and nobody at work."""
    first = [True]

    def callback(indata: Any, outdata: Any, count: int, times: Any, status: Any) -> None:
        if first:
            first.clear()
            make_thread_realtime(70)

    quiet_interpreter()
    device = DEVICE.partition(":")[2]
    stream = sounddevice.RawStream(
        device=(device, device),
        channels=len(CHANNELS),
        samplerate=samplerate,
        blocksize=frames,
        dtype="float32",
        callback=callback,
    )
    stream.start()
    wait(seconds, taken)
    stream.close()


def wait(seconds: float, taken: list[int]) -> None:
    time.sleep(WARM_UP_SECONDS)
    taken.clear()
    time.sleep(seconds)


def main() -> None:
    way, frames, samplerate, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    taken: list[int] = []
    timed(taken)
    (run_engine if way == "engine" else run_nothing)(frames, samplerate, seconds, taken)
    print(json.dumps({"microseconds": [nanoseconds / 1e3 for nanoseconds in taken]}))


if __name__ == "__main__":
    main()
