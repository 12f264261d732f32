"""Real sound devices through PortAudio.

A stream that dies says so in one of two ways. Most host APIs end it, which `finished` reports. JACK just falls
silent, and PortAudio's own calls on that stream then hang for minutes: a watch notices that blocks have ceased, and
the device is `abandoned`: its stream is left as it is, and its process should end, by `os._exit`.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from asmu_engine.clocks.silence import BEGIN_SECONDS, Silence, patience
from asmu_engine.devices.base import (
    FINISHED,
    BlockCallback,
    Device,
    Flags,
    OnEnd,
    checked_channels,
    checked_use,
)
from asmu_engine.devices.columns import InputColumns, OutputColumns, channel_settings
from asmu_engine.devices.portaudio_library import (
    DeviceInfo,
    find_both,
    find_known,
    known,
    list_devices,
    listing,
    load,
    translated,
)
from asmu_engine.devices.streamclock import StreamClock
from asmu_engine.protocol.device import PortAudio
from asmu_engine.protocol.errors import DeviceError

__all__ = ["PortAudioDevice", "list_devices"]

_HANG_S = 5.0
"""A call of PortAudio that takes so long, and two blocks a channel, hangs."""

_open_streams = 0


def open_streams() -> int:
    """How many streams this process has open."""
    return _open_streams


class PortAudioDevice(Device):
    """See `asmu_engine.protocol.device.PortAudio` for the settings.

    Raises
    ------
    DeviceError
        ``portaudio_missing``, ``device_unknown``, ``device_channels``, ``device_samplerate``, ``device_failed``.
    """

    def __init__(
        self,
        spec: PortAudio,
        samplerate: float | None,
        blocksize: int,
        inputs: Sequence[int] | None,
        outputs: Sequence[int] | None,
        device: dict[str, Any] | None = None,
    ) -> None:
        self._library = load()
        self.blocksize = blocksize
        if device:
            source, target = (find_known(self._library, device[side]) for side in ("input", "output"))
        else:
            source, target = find_both(self._library, spec.device, can_look=not _open_streams)
        self.max_inputs = source.max_inputs if source else 0
        self.max_outputs = target.max_outputs if target else 0
        names = [str(info) for info in (source, target) if info]
        self.name = " | ".join(dict.fromkeys(info.name for info in (source, target) if info))
        hint = f"devices: {listing(self._library)}"
        self.inputs = checked_channels(inputs, self.max_inputs, "input", names[0], hint=hint)
        self.outputs = checked_channels(outputs, self.max_outputs, "output", names[-1], hint=hint)
        checked_use(self.inputs, self.outputs, self.name)
        used_ends = {"input": source if self.inputs else None, "output": target if self.outputs else None}
        self.known = {side: known(self._library, info) for side, info in used_ends.items()}
        used = [info for info, channels in ((source, self.inputs), (target, self.outputs)) if info and channels]
        self.host_api = used[0].host_api
        if used[0].host_api != used[-1].host_api:
            raise DeviceError(
                f"input {used[0]} and output {used[-1]} are of two host APIs; choose both of one", code="device_unknown"
            )
        self.samplerate = float(samplerate or used[-1].default_samplerate)
        input_api, output_api = (source or used[0]).host_api, (target or used[0]).host_api
        self._read = InputColumns(self.inputs, input_api, blocksize)
        self._write = OutputColumns(self.outputs, output_api, blocksize)
        self._clock = StreamClock(
            self.samplerate,
            blocksize,
            Flags.INPUT_OVERFLOW if self.inputs else Flags.OUTPUT_UNDERFLOW,
            counts_losses=not self.host_api.startswith("JACK"),
        )
        self.abandoned = False
        """True when the stream is dead and PortAudio hangs on it: nothing of it can be freed in this process."""
        self._callback: BlockCallback | None = None
        self._on_end: OnEnd | None = None
        self._reason = ""
        self._running = self._started = self._in_callback = self._set_up = False
        self._last_ns = 0
        self._stop_watch = threading.Event()
        self._watcher: threading.Thread | None = None
        self._stream: Any = self._open(spec.latency, source, target)
        latency = self._stream.latency
        both = latency if isinstance(latency, tuple) else (latency, latency)
        self.input_latency = float(both[0]) if self.inputs else 0.0
        self.output_latency = float(both[1]) if self.outputs else 0.0

    @property
    def running(self) -> bool:
        """True from `start` until the stream was stopped or ended."""
        return self._running

    def start(self, callback: BlockCallback, on_end: OnEnd) -> None:
        """Begin to call back."""
        if self._stream is None:
            raise DeviceError(f"{self.name} is closed; open it again", code="device_state", where=self.name)
        if self._running:
            raise DeviceError(f"{self.name} is running already; stop it first", code="device_state", where=self.name)
        if self.abandoned:
            raise DeviceError(f"{self.name} was lost; it needs a new process", code="device_lost", where=self.name)
        self.stop()  # a stream that ended by itself must be stopped before it starts again
        self._callback, self._on_end, self._reason = callback, on_end, ""
        self._clock.restart()
        self._set_up = False
        self._last_ns = 0
        self._running = self._started = True
        try:
            self._stream.start()
        except self._library.PortAudioError as error:
            self._running = False
            text = f"{self.name} does not start: {error}; see that it is still there, then open it again"
            raise DeviceError(text, code="device_failed", where=self.name, retry=True) from None
        self._stop_watch.clear()
        self._watcher = threading.Thread(target=self._watch, name="asmu-watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End the stream; under JACK that takes about a period a channel."""
        self._running = False
        self._stop_watch.set()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()
            self._watcher = None
        if self._started and not self.abandoned:
            self._bounded(self._stream.stop)
        self._started = False

    def close(self) -> None:
        """Stop, and give the device back unless it is `abandoned`."""
        global _open_streams  # noqa: PLW0603 - PortAudio's own state is one a process
        if self._stream is None:
            return
        self.stop()
        if not self.abandoned and self._bounded(self._stream.close):
            _open_streams -= 1
        self._stream = None

    def _open(self, latency: float | str, source: DeviceInfo | None, target: DeviceInfo | None) -> Any:
        global _open_streams  # noqa: PLW0603
        library = self._library
        ins: dict[str, Any] = {}
        outs: dict[str, Any] = {}
        if self.inputs and source:
            settings = channel_settings(library, self.inputs, source.host_api)
            ins = {"device": source.index, "channels": self._read.opened, "extra_settings": settings}
        if self.outputs and target:
            settings = channel_settings(library, self.outputs, target.host_api, device_outputs=target.max_outputs)
            outs = {"device": target.index, "channels": self._write.opened, "extra_settings": settings}
        common = {"samplerate": self.samplerate, "blocksize": self.blocksize, "dtype": "float32", "latency": latency}
        common["finished_callback"] = self._finished
        make: Callable[[], Any]
        if ins and outs:
            both = {key: (ins[key], outs[key]) for key in ins}
            make = lambda: library.RawStream(**both, **common, callback=self._duplex)  # noqa: E731
        elif ins:
            make = lambda: library.RawInputStream(**ins, **common, callback=self._input_only)  # noqa: E731
        else:
            make = lambda: library.RawOutputStream(**outs, **common, callback=self._output_only)  # noqa: E731

        def check(rate: int) -> None:
            if ins:
                library.check_input_settings(**ins, dtype="float32", samplerate=rate)
            if outs:
                library.check_output_settings(**outs, dtype="float32", samplerate=rate)

        try:
            stream = make()
        except library.PortAudioError as error:
            failure = translated(library, error, self.name, self.samplerate, check)
            if failure.code != "device_failed":
                raise failure from None
            try:
                stream = make()  # ALSA's plug-ins refuse a duplex stream now and then, and grant it the next time
            except library.PortAudioError as again:
                raise translated(library, again, self.name, self.samplerate, check) from None
        _open_streams += 1
        return stream

    def _duplex(self, inbuffer: Any, outbuffer: Any, frames: int, times: Any, status: Any) -> None:
        self._block(inbuffer, outbuffer, frames, times.inputBufferAdcTime, status)

    def _input_only(self, inbuffer: Any, frames: int, times: Any, status: Any) -> None:
        self._block(inbuffer, None, frames, times.inputBufferAdcTime, status)

    def _output_only(self, outbuffer: Any, frames: int, times: Any, status: Any) -> None:
        self._block(None, outbuffer, frames, times.outputBufferDacTime, status)

    def _block(self, inbuffer: Any, outbuffer: Any, frames: int, device_time: float, status: Any) -> None:
        """One callback. What leaves it is CallbackStop or CallbackAbort at most, which sounddevice turns into a result."""
        now = time.monotonic_ns()
        self._in_callback = True
        try:
            if not self._running or self._callback is None:
                self._write.silence(outbuffer, frames)
                return
            if not self._set_up:
                self._set_up = True
                if self.thread_setup is not None:
                    self.thread_setup()
            flags = _bits(status) if status else 0
            lost = self._clock.lost(device_time, frames, flags, now)
            if flags:
                self.loss_uncertainty = self._clock.loss_uncertainty
            outdata = self._write.block(outbuffer, frames)
            more = self._callback(self._read.read(inbuffer, frames), outdata, flags, lost, self._clock.due(now), device_time)
            if not self._write.straight:
                self._write.write(outbuffer, frames)
        except Exception as error:  # noqa: BLE001 - nothing may pass through PortAudio
            self._write.silence(outbuffer, frames)
            self._reason = f"lost: {self.name} failed: {type(error).__name__}: {error}"
            raise self._library.CallbackAbort from None
        finally:
            self._last_ns = time.monotonic_ns()
            self._in_callback = False
        if not more:
            self._reason = FINISHED
            raise self._library.CallbackStop

    def _finished(self) -> None:
        self._end(self._reason or f"lost: {self.name} ended the stream by itself; it may be unplugged")

    def _end(self, reason: str) -> None:
        running, self._running = self._running, False
        if running and self._on_end is not None:
            # Not from PortAudio's own thread: who is told may stop the stream, which waits for that thread.
            threading.Thread(target=self._on_end, args=(reason,), name="asmu-end", daemon=True).start()

    def _watch(self) -> None:
        limit = patience(self.blocksize / self.samplerate, self.input_latency, self.output_latency)
        silence = Silence(0, BEGIN_SECONDS)  # as before the start: the first callbacks may have come and gone by now
        while not self._stop_watch.wait(0.1):
            silent = silence.seconds(self._last_ns)
            if self._running and not self._reason and not self._in_callback and silent > limit:
                self._abandon()
                self._end(f"lost: {self.name} has not called for {silent:.1f} s; its server may be gone")

    def _bounded(self, call: Callable[[], None]) -> bool:
        """Call PortAudio, but give up on it when it hangs; False when it did."""
        channels = self._read.opened + self._write.opened
        thread = threading.Thread(target=call, name="asmu-portaudio", daemon=True)
        thread.start()
        thread.join(_HANG_S + 2.0 * channels * self.blocksize / self.samplerate)
        if thread.is_alive():
            self._abandon()
        return not thread.is_alive()

    def _abandon(self) -> None:
        self.abandoned = True
        # Ending PortAudio hangs, or aborts the process, once the server of one of its streams is gone.
        atexit.unregister(self._library._exit_handler)


def _bits(status: Any) -> int:
    return (
        (Flags.INPUT_UNDERFLOW if status.input_underflow else 0)
        | (Flags.INPUT_OVERFLOW if status.input_overflow else 0)
        | (Flags.OUTPUT_UNDERFLOW if status.output_underflow else 0)
        | (Flags.OUTPUT_OVERFLOW if status.output_overflow else 0)
    )
