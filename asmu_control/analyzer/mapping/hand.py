"""One worker process, seen from the process that maps."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from asmu_control.analyzer.mapping.report import Report, Task
from asmu_control.analyzer.mapping.wire import Piece, flatten, rebuild, receive, send
from asmu_control.launch import environment

_PIPE_BYTES: Final = 1 << 20
_END_SECONDS: Final = 1.0
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_hands: weakref.WeakSet[Hand] = weakref.WeakSet()


class Hand:
    """Starts a worker; a thread sends it its set-up and waits for its reports.

    Parameters
    ----------
    number
        From 0.
    setup
        The first message to it.
    reported
        Called in that thread, with this and each report and what follows it; with None when the process has ended.

    Attributes
    ----------
    tasks
        What it has before it; kept by the crew.
    ready
        It can be given tasks.
    """

    def __init__(
        self, number: int, setup: Sequence[Piece], reported: Callable[[Hand, Report | None, Sequence[Piece]], None]
    ) -> None:
        self.number = number
        self.tasks: dict[int, Task] = {}
        self.ready = False
        self._reported = reported
        self._process = _spawn()
        self._pid = os.getpid()
        _hands.add(self)
        self._thread = threading.Thread(target=self._follow, args=(setup,), name=f"map worker {number}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_current_thread(self) -> bool:
        """Whether this is the thread that waits for the worker."""
        return threading.current_thread() is self._thread

    def give(self, task: Task) -> None:
        """One more task; it never waits, for there are never more than a few."""
        self.tasks[task.number] = task
        with contextlib.suppress(OSError, ValueError):  # a process that is gone is heard of by the thread
            send(cast(io.RawIOBase, self._process.stdin), flatten(task))

    def fate(self) -> str:
        """How the process ended."""
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    def dismiss(self) -> None:
        """Have it end soon; `close` waits for that."""
        if os.getpid() != self._pid:
            return
        if self.ready and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        else:
            self._process.kill()

    def close(self) -> None:
        """Wait until it has ended, by force where it does not. In a fork of this process: nothing."""
        if os.getpid() != self._pid:
            return
        self.dismiss()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self.forget()

    def forget(self) -> None:
        """Close the pipes here. In a fork of this process they would keep the worker up after its owner's death."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if os.getpid() != self._pid:
            self._process.returncode = 0  # not ours to wait for

    def _follow(self, setup: Sequence[Piece]) -> None:
        pipe = cast(io.RawIOBase, self._process.stdout)
        with contextlib.suppress(OSError, ValueError):
            send(cast(io.RawIOBase, self._process.stdin), setup)
            while (pieces := receive(pipe)) is not None:
                self._reported(self, rebuild(pieces[:1]), pieces[1:])
        self._reported(self, None, ())


def _forget_hands() -> None:
    for hand in list(_hands):
        hand.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_hands)


def _spawn() -> subprocess.Popen[bytes]:
    # A process group of its own: Ctrl-C in the terminal is for the script. The workers are as many as were asked for, so none
    # of them shares its work out to threads of its own unless the user said so.
    settings: dict[str, Any] = {"env": dict.fromkeys(_ONE_THREAD, "1") | environment(())}
    if sys.platform == "win32":
        settings["creationflags"] = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        settings["process_group"] = 0
        settings["pipesize"] = _PIPE_BYTES
    command = [sys.executable, "-P", "-m", "asmu_control.analyzer.mapping.worker"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **settings)
