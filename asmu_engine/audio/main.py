"""The audio process: one control thread that serves the host's pipe, and the device's callback."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asmu_engine.protocol.errors import AsmuError, EngineError
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.rt.calm import calm_moment

if TYPE_CHECKING:
    from asmu_engine.audio.engine import AudioEngine
    from asmu_engine.shm.status import StatusPage

_TIDY_SECONDS = 0.02
_UTC_SECONDS = 0.1
"""How often UTC is compared with the monotonic clock: somebody may set it."""
_ORPHAN_SECONDS = 3.0
_CONTROL_PRIORITY = 5
"""SCHED_FIFO priority of the control thread and all that it starts: far below the audio, above users' programs. None of
them may lose its processor while it holds the interpreter that the callback waits for."""


class AudioProcess:
    """Serves commands in their order; a second thread frees what edits replaced and passes on the callback's notices."""

    def __init__(self, pipe: MessagePipe) -> None:
        self._pipe = pipe
        self._engine: AudioEngine | None = None
        self._status: StatusPage | None = None
        self._lock = threading.Lock()
        self._audio_grant = "normal: no stream in real time has run"
        self._priority = 0
        self._realtime: dict[str, Any] = {}
        self._tidier = threading.Thread(target=self._keep_tidy, name="tidy", daemon=True)

    def serve(self) -> int:
        """Until the host says quit or is gone; returns the exit status."""
        while (message := self._pipe.receive()) is not None:
            if message["do"] == "quit":
                self._close(answer={"id": message["id"], "result": {}})
                return 0
            self._answer(message)
        # The host is gone: nobody is left to clean up after this process, so end at once and silently.
        self._close()
        return 0

    def _answer(self, message: dict[str, Any]) -> None:
        command: Callable[..., dict[str, Any]] | None = getattr(self, "_do_" + str(message.get("do")), None)
        arguments = {key: value for key, value in message.items() if key not in ("id", "do")}
        try:
            if command is None:
                raise EngineError(f"the audio process has no command {message.get('do')!r}", code="engine_failed")
            result = command(**arguments)
            with self._lock:
                # What was taken before the answer is told before it.
                self._tidy()
        except AsmuError as error:
            self._pipe.send({"id": message["id"], "error": error.to_wire()})
        except Exception as error:  # noqa: BLE001 - a command that fails in any way is answered, and the next one served
            failure = EngineError(f"{type(error).__name__}: {error}", code="engine_failed", where=str(message.get("do")))
            self._pipe.send({"id": message["id"], "error": failure.to_wire()})
        else:
            self._pipe.send({"id": message["id"], "result": result})

    # ---- commands

    def _do_configure(self, engine: str, config: dict[str, Any], position: int) -> dict[str, Any]:
        from asmu_engine.audio.engine import AudioEngine
        from asmu_engine.rt import scheduling, transform
        from asmu_engine.shm.status import StatusPage

        transform.process_is_ours = True
        self._priority = int(config["priority"])
        control = scheduling.make_thread_realtime(min(_CONTROL_PRIORITY, max(self._priority - 1, 0)), inherited=True)
        if not self._tidier.is_alive():
            # Only now, so that it has the control thread's priority; and before what may hang, a user's plugin.
            self._tidier.start()
        self._status = StatusPage.attach(engine)
        self._engine = AudioEngine(
            config["device"],
            config["samplerate"],
            config["blocksize"],
            plugins=config["plugins"],
            status=self._status,
            position=position,
            on_end=self._tell_end,
            thread_setup=self._set_up_audio_thread,
        )
        memory = scheduling.lock_memory() if config["lock_memory"] else "not asked for"
        self._realtime = {
            "memory": memory,
            "control_thread": control,
            "garbage_collector": scheduling.quiet_interpreter(),
            "switch_interval_us": round(scheduling.SWITCH_INTERVAL * 1e6),
        }
        return {
            "pid": os.getpid(),
            "catalogue": [kind.to_wire() for kind in self._engine.kinds.catalogue()],
            "realtime": self._grants(),
        }

    def _do_edit(self, edits: list[dict[str, Any]]) -> dict[str, Any]:
        return {"at": self._ready().edit(edits)}

    def _do_arm(self, armed: list[dict[str, Any]], release: bool) -> dict[str, Any]:
        return self._ready().arm(armed, release=release)

    def _do_withdraw(self) -> dict[str, Any]:
        self._ready().withdraw()
        return {}

    def _do_start(self, **arguments: Any) -> dict[str, Any]:
        return self._ready().start(**arguments)

    def _do_stop(self) -> dict[str, Any]:
        self._ready().stop()
        return {"position": self._ready().runner.position}

    def _do_step(self, blocks: int) -> dict[str, Any]:
        return {"blocks": self._ready().step(blocks), "position": self._ready().runner.position}

    def _do_reset(self, drop: int) -> dict[str, Any]:
        return {"at": self._ready().reset(drop)}

    def _do_profile(self, enabled: bool | None) -> dict[str, Any]:
        return {"nodes": self._ready().profile(enabled)}

    def _do_fault(self, fault: str, blocks: int, frames: int, seconds: float = 0.0) -> dict[str, Any]:
        self._ready().fault(fault, blocks, frames, seconds)
        return {}

    def _do_grants(self) -> dict[str, Any]:
        return self._grants()

    # ---- threads

    def _set_up_audio_thread(self, paced: bool) -> None:
        from asmu_engine.rt.scheduling import make_thread_normal, make_thread_realtime

        self._audio_grant = make_thread_realtime(self._priority) if paced else make_thread_normal()
        self._pipe.send({"event": "realtime", "realtime": self._grants()})

    def _tell_end(self, reason: str) -> None:
        # Behind what was taken before: the thread that tidies, or the next answer, tells both in this order.
        if self._engine is not None:
            self._engine.runner.context.notices.append({"event": "ended", "reason": reason})

    def _keep_tidy(self) -> None:
        host = os.getppid()
        orphan_since = compared = 0.0
        while True:
            time.sleep(self._until_calm())
            engine = self._engine
            if engine is not None and time.monotonic() - compared >= _UTC_SECONDS:
                engine.runner.utc.refresh()
                compared = time.monotonic()
            if os.getppid() != host:
                # The host is gone. The control thread learns that from the pipe, unless it hangs in a dead device.
                orphan_since = orphan_since or time.monotonic()
                if time.monotonic() - orphan_since > _ORPHAN_SECONDS:
                    os._exit(1)
            if self._lock.acquire(blocking=False):
                try:
                    self._tidy()
                finally:
                    self._lock.release()

    def _until_calm(self) -> float:
        """Seconds to the next look, which shall not meet the callback; where blocks are long, or none comes, it may."""
        page, engine = self._status, self._engine
        if page is None or engine is None or not engine.running:
            return _TIDY_SECONDS
        period_ns = round(1e9 * engine.blocksize / engine.samplerate)
        if period_ns > 1e9 * _TIDY_SECONDS:
            return _TIDY_SECONDS
        now = time.monotonic_ns()
        began, took = page.counter("last_block_ns"), page.counter("callback_last_ns")
        return 1e-9 * (calm_moment(began, took, period_ns, now + round(1e9 * _TIDY_SECONDS)) - now)

    def _tidy(self) -> None:
        if self._engine is not None:
            for notice in self._engine.tidy():
                self._pipe.send(notice)

    def _grants(self) -> dict[str, Any]:
        return {"audio_thread": self._audio_grant, **self._realtime}

    def _ready(self) -> AudioEngine:
        if self._engine is None:
            raise EngineError("the audio process is not configured yet", code="engine_state", where="configure")
        return self._engine

    def _close(self, answer: dict[str, Any] | None = None) -> None:
        with self._lock:
            self._tidy()
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.close()
            if answer is not None:
                self._pipe.send(answer)
            if engine is not None and engine.abandoned:
                # The interpreter's own end would close PortAudio, which hangs once a sound server died under it.
                os._exit(0)


def main() -> int:
    """Entry of ``python -m asmu_engine.audio``."""
    # One process is one voice: numerical libraries must not start threads of their own beside the audio thread.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    process = AudioProcess(MessagePipe.of_this_process())
    return process.serve()
