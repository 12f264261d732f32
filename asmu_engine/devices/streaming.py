"""What devices with a thread of their own share: states, the thread, its end, waiting for a time."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod

from asmu_engine.devices.base import BlockCallback, Device, OnEnd
from asmu_engine.protocol.errors import DeviceError

_SLICE_NS = 50_000_000
"""Longest single sleep: how soon a waiting thread notices that it shall stop."""


class ThreadedDevice(Device):
    """A device that calls back from one thread of its own, which `stream` is the body of."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._closed = False
        self._stopping = False
        self._running = False

    @property
    def running(self) -> bool:
        """True from `start` until the stream was stopped or ended."""
        return self._running

    def start(self, callback: BlockCallback, on_end: OnEnd) -> None:
        """Begin to call back."""
        self.check_startable()
        self.rewind()
        self._stopping = False
        self._running = True
        self._thread = threading.Thread(target=self._run, args=(callback, on_end), name="asmu-audio", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the block that it is at."""
        self._stopping = True
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self._thread = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._closed = True

    def check_startable(self) -> None:
        """DeviceError ``device_state`` if the device is closed or runs."""
        if self._closed:
            raise DeviceError(f"{self.name} is closed; open it again", code="device_state", where=self.name)
        if self.running:
            raise DeviceError(f"{self.name} is running already; stop it first", code="device_state", where=self.name)

    @abstractmethod
    def rewind(self) -> None:
        """Go to the state before the first block."""

    @abstractmethod
    def stream(self, callback: BlockCallback) -> str:
        """Call back until the stream ends, and say why; look at `stopping` before each block."""

    @property
    def stopping(self) -> bool:
        """True when the thread shall end."""
        return self._stopping

    def failure(self, error: Exception) -> str:
        """The reason of a stream that an exception ended."""
        return f"lost: {self.name} failed: {type(error).__name__}: {error}"

    def wait_until(self, due_ns: int) -> int:
        """Sleep to a monotonic time, or until the device shall stop; the time at which it woke, ns."""
        now = time.monotonic_ns()
        while now < due_ns and not self._stopping:
            # Slices, since nothing else wakes a sleeping thread. Each sleeps to an absolute time inside the system.
            time.sleep(min(due_ns - now, _SLICE_NS) * 1e-9)
            now = time.monotonic_ns()
        return now

    def wait_while_held(self, frames: int) -> None:
        """Wait while the engine holds an unpaced device back."""
        hold = self.hold
        while hold is not None and not self._stopping and hold(frames):
            time.sleep(0.0005)

    def _run(self, callback: BlockCallback, on_end: OnEnd) -> None:
        try:
            if self.thread_setup is not None:
                self.thread_setup()
            reason = self.stream(callback)
        except Exception as error:  # noqa: BLE001 - whatever it was, the engine must learn that the stream is over
            reason = self.failure(error)
        self._running = False
        if not self._stopping:
            on_end(reason)
