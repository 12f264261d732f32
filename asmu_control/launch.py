"""Engines as processes: started by a script for itself, or to stay."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import sysconfig
import tempfile
import threading
import weakref
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, cast

from asmu_engine.protocol.errors import AsmuError, EngineError, EngineTimeout, from_wire
from asmu_engine.protocol.pipe import MessagePipe

if TYPE_CHECKING:
    from asmu_engine.config import EngineConfig
    from asmu_engine.protocol.runtime import EngineInfo

START_TIMEOUT: Final = 30.0
"""Longest wait for an engine to be up, seconds."""

END_TIMEOUT: Final = 15.0
_FORCE_SECONDS: Final = 3.0  # for each of the signals that end a process which does not end
"""Longest wait for an engine to end in order, seconds: its recordings are written out in that time."""

_engines: weakref.WeakSet[PrivateEngine] = weakref.WeakSet()


class PrivateEngine:
    """An engine that belongs to this process and ends with it, however that ends: its stdin is a pipe from here.

    Parameters
    ----------
    config
        Its settings.

    Raises
    ------
    AsmuError
        What kept it from starting, in the engine's own words.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._pid = os.getpid()
        # Kept from the terminal: a script's output is its own. It is quoted when the engine fails.
        self._words = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - lives as long as the engine
        self._process = _spawn(config.plugins, self._words)
        self._pipe = _pipe_of(self._process)
        _engines.add(self)
        try:
            self.info: EngineInfo = _shake_hands(self._pipe, config, private=True, words=self._words)
        except BaseException as error:
            if _hangs(error):
                self._process.kill()
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the engine's host."""
        return self._process.pid

    def alive(self) -> bool:
        """True while the engine's host runs."""
        return os.getpid() == self._pid and self._process.poll() is None

    def last_words(self) -> str:
        """The end of what the engine wrote to its stderr."""
        return _tail(self._words)

    def forget(self) -> None:
        """In a fork of this process: let go of the pipe, which would otherwise keep the engine up after its owner's death."""
        self._pipe.close()
        self._words.close()
        self._process.returncode = 0  # not ours to wait for

    def close(self, timeout: float = END_TIMEOUT) -> None:
        """Have it end, wait for that, and after `timeout` seconds end it by force. In a fork of this process: nothing."""
        if os.getpid() != self._pid:
            return
        self._pipe.close()
        _wait(self._process, timeout)
        self._words.close()


def _forget_engines() -> None:
    for engine in list(_engines):
        engine.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_engines)


def start_detached(config: EngineConfig, *, resume: bool = False) -> EngineInfo:
    """Start an engine that stays when this process ends; stop it with a ``shutdown`` request or ``asmu engine stop``.

    `resume`: it goes on with what an engine of its name has left that died; of `config` counts what was set explicitly.
    """
    with tempfile.TemporaryFile("a+b") as words:
        process = _spawn(config.plugins, words)
        pipe = _pipe_of(process)
        try:
            info = _shake_hands(pipe, config, private=False, words=words, resume=resume)
        except BaseException as error:
            if _hangs(error):
                process.kill()
            _wait(process, END_TIMEOUT)
            raise
        finally:
            pipe.close()
    # It is nobody's child from here on; a Popen that is let go of would warn that it still runs.
    process.returncode = 0
    return info


def private_name() -> str:
    """A name for a private engine that no other has."""
    return f"private-{os.getpid()}-{secrets.token_hex(3)}"


def _spawn(plugins: tuple[str, ...], words: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P keeps the script's folder off the engine's path: a file random.py beside a script must not break its engine.
    # A session of its own: Ctrl-C in the terminal is for the script, which then ends its engine in order.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "asmu_engine", "--stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        env=environment(plugins),
        start_new_session=True,
    )


def _hangs(error: BaseException) -> bool:
    """Whether an engine that did not start must be ended by force, before its pipe, on which a thread waits, can be closed."""
    return not isinstance(error, AsmuError) or error.code == "timeout"


def _wait(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Wait for a process that is about to end, and make it end if it does not."""
    for force in (None, process.terminate, process.kill):
        if force is not None:
            force()
        try:
            process.wait(timeout)
            return
        except subprocess.TimeoutExpired:
            timeout = _FORCE_SECONDS


def _pipe_of(process: subprocess.Popen[bytes]) -> MessagePipe:
    return MessagePipe(cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin))


def _shake_hands(pipe: MessagePipe, config: EngineConfig, *, private: bool, words: IO[bytes], resume: bool = False) -> EngineInfo:
    """Give the engine its settings; how to reach it, once it is up."""
    from asmu_engine.protocol.runtime import EngineInfo

    answers: list[dict[str, Any] | None] = []
    settings = config.to_wire()
    if resume:
        settings = {key: value for key, value in settings.items() if key in config.model_fields_set}
    pipe.send({"config": settings, "private": private, "resume": resume})
    # A thread, because a pipe cannot be waited for with a time limit on every system.
    waiter = threading.Thread(target=lambda: answers.append(pipe.receive()), name="asmu-handshake", daemon=True)
    waiter.start()
    waiter.join(START_TIMEOUT)
    if not answers:
        raise EngineTimeout(f"the engine was not up within {START_TIMEOUT:g} s{_quoted(words)}", code="timeout", retry=True)
    answer = answers[0]
    if answer is None:
        raise EngineError(f"the engine ended while it started{_quoted(words)}", code="engine_failed", where=config.name)
    if "error" in answer:
        raise from_wire(answer["error"])
    return EngineInfo(**answer["info"])


def environment(plugins: tuple[str, ...]) -> dict[str, str]:
    """This process's environment for a child: with the folders on PYTHONPATH that the engine would not find by itself.

    Those are the folder of this package in a checkout, and those of plugins that the script finds on its own path.
    """
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}
    folders = [Path(__file__).resolve().parent.parent]
    for plugin in plugins:
        if not plugin.endswith(".py"):
            spec = PathFinder.find_spec(plugin.partition(".")[0])
            if spec is not None and spec.origin:
                origin = Path(spec.origin).resolve()
                folders.append(origin.parent.parent if spec.submodule_search_locations else origin.parent)
    wanted = [str(folder) for folder in dict.fromkeys(folders) if folder not in installed]
    environment = dict(os.environ)
    present = environment.get("PYTHONPATH", "")
    if wanted:
        environment["PYTHONPATH"] = os.pathsep.join([*wanted, *([present] if present else [])])
    return environment


def _quoted(words: IO[bytes]) -> str:
    text = _tail(words)
    return f"; it said:\n{text}" if text else ""


def _tail(words: IO[bytes], size: int = 4000) -> str:
    if words.closed:
        return ""
    end = words.seek(0, os.SEEK_END)
    words.seek(max(0, end - size))
    return words.read().decode("utf-8", "replace").strip()
