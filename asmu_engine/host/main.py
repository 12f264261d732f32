"""Entry of the host: arguments or handshake, the claim on the name, signals, and the end."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import zmq

import asmu_engine
from asmu_engine.config import EngineConfig, make_config
from asmu_engine.host.announce import Announcement, announce
from asmu_engine.host.claim import claim_engine, release_engine
from asmu_engine.host.endpoint import LocalEndpoint
from asmu_engine.host.engine import Engine
from asmu_engine.host.footprint import settle
from asmu_engine.host.loop import Loop
from asmu_engine.host.remote import RemoteEndpoint
from asmu_engine.host.server import Server
from asmu_engine.protocol.errors import AsmuError, ConfigError, EngineError
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.protocol.runtime import EngineClaim, EngineInfo
from asmu_engine.shm.status import create_status

EXIT_OK: Final = 0
EXIT_ERROR: Final = 1
EXIT_AUDIO_FAILED: Final = 3
OWNER_CHECK_SECONDS: Final = 0.5
LINGER_SECONDS: Final = 0.3
SWITCH_SECONDS: Final = 0.0005
"""The threads that serve the children's pipes must not wait long for the loop's thread."""

PRIVATE_UMASK: Final = 0o077
"""What the engine's processes write, recordings above all, belongs to their user alone."""

_log = logging.getLogger(__name__)


class Host:
    """One running host: sockets, engine, owner."""

    def __init__(self, config: EngineConfig, *, private: bool, pipe: MessagePipe | None) -> None:
        self._config = config
        self._private = private
        self._pipe = pipe
        self._loop = Loop()
        self._parent = os.getppid()
        self._error: AsmuError | None = None
        self._claim: EngineClaim = claim_engine(config.name)
        settle()
        self._context = zmq.Context(io_threads=1)
        self._local: LocalEndpoint | None = None
        self._remote: RemoteEndpoint | None = None
        self._announcement: Announcement | None = None
        try:
            create_status(config.name).close()
            self._engine = Engine(self._loop, config, private=private, on_ready=self._ready, on_ended=self._loop.stop)
            if config.listen:
                self._remote = RemoteEndpoint(config.listen, self._engine.keys)  # a port that is taken is said at once
            self._engine.launch()  # first of all: it takes longest, and the rest is done meanwhile
            self._server = Server(self._engine.clients, self._engine.handle)
            self._local = LocalEndpoint(self._context, self._claim.folder)
            self._engine.events.attach(self._local.events)
            self._loop.add_socket(self._local.requests, partial(self._server.read, self._local))
            if self._remote is not None:
                self._remote.serve(self._loop, self._server.read, self._engine.events)
            if config.announce:
                self._announcement = announce(config.name, self._remote)
        except BaseException:
            self._close_sockets(0)
            release_engine(self._claim)
            raise

    def run(self) -> int:
        """Serve until the end; the exit status."""
        self._handle_signals()
        try:
            self._loop.run()
        finally:
            failed = self._engine.audio.run.state == "failed"
            self._engine.close()
            self._close_sockets(LINGER_SECONDS)
            release_engine(self._claim)
            self._loop.close()
        if self._error is not None:
            raise self._error
        return EXIT_AUDIO_FAILED if failed else EXIT_OK

    def _close_sockets(self, linger: float) -> None:
        if self._announcement is not None:
            self._announcement.close()
        if self._remote is not None:
            self._remote.close(linger)
        if self._local is not None:
            self._local.close(linger)
        self._context.term()

    def _ready(self, error: AsmuError | None) -> None:
        if error is not None:
            self._error = error
            self._engine.end()
            return
        assert self._local is not None
        info = EngineInfo(
            name=self._config.name,
            pid=os.getpid(),
            version=asmu_engine.__version__,
            requests=self._local.requests_endpoint,
            events=self._local.events_endpoint,
            private=self._private,
            listen=self._remote.requests_endpoint if self._remote else "",
            listen_events=self._remote.events_endpoint if self._remote else "",
        )
        self._claim.publish(info)
        if self._config.autostart:
            self._engine.autostart()
        if self._pipe is not None:
            self._pipe.send({"ready": True, "info": asdict(info)})
            if self._private:
                self._belong(self._pipe)
            else:
                self._detach(self._pipe)

    def _belong(self, pipe: MessagePipe) -> None:
        """End with the owner: at the end of its pipe, or when it is no longer the parent.

        The pipe alone is not enough: a process that the owner forked may still hold its other end.
        """

        def wait_for_end() -> None:
            while pipe.receive() is not None:
                pass
            self._loop.post(self._engine.end)

        threading.Thread(target=wait_for_end, name="owner", daemon=True).start()
        if os.name == "posix":
            self._loop.every(OWNER_CHECK_SECONDS, self._check_parent)

    def _check_parent(self) -> None:
        if os.getppid() != self._parent:
            self._engine.end()

    def _detach(self, pipe: MessagePipe) -> None:
        """Live on without the process that started this one: own session, own log."""
        log = os.open(self._claim.folder / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sys.stderr.flush()
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        pipe.close()
        if os.name == "posix":
            with contextlib.suppress(PermissionError):  # leads a group already, as when started in a session of its own
                os.setsid()

    def _handle_signals(self) -> None:
        def end(number: int, frame: FrameType | None) -> None:
            self._loop.post(self._engine.end)

        signal.signal(signal.SIGTERM, end)
        # Ctrl-C in a terminal reaches a private engine as well as the script that owns it. The script decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN if self._private else end)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, end)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a host until its end; returns the exit status: 0 fine, 1 an error, 3 the audio process failed."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s: %(message)s")
    sys.setswitchinterval(SWITCH_SECONDS)
    os.umask(PRIVATE_UMASK)
    pipe = MessagePipe.of_this_process() if given.stdin else None
    try:
        config, private = _handshake(pipe) if pipe is not None else (_config(given), False)
        return Host(config, private=private, pipe=pipe).run()
    except OSError as error:
        return _refuse(
            pipe, EngineError(f"the engine cannot run: {error}", code="engine_failed", where=str(error.filename or ""))
        )
    except AsmuError as error:
        return _refuse(pipe, error)


def _refuse(pipe: MessagePipe | None, error: AsmuError) -> int:
    if pipe is None:
        sys.stderr.write(f"asmu_engine: {error}\n")
    else:
        pipe.send({"error": error.to_wire()})
    return EXIT_ERROR


def _handshake(pipe: MessagePipe) -> tuple[EngineConfig, bool]:
    message = pipe.receive()
    if message is None or not isinstance(message.get("config"), dict):
        raise ConfigError(
            'the first message on stdin must be {"config": {…}, "private": true or false}', code="bad_config", where="config"
        )
    return make_config(**message["config"]), bool(message.get("private", False))


_ARGUMENTS: Final = (
    "name",
    "device",
    "samplerate",
    "blocksize",
    "ring_seconds",
    "autostart",
    "listen",
    "recordings",
    "journal",
    "announce",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m asmu_engine", description="Run an audio engine until it is stopped.")
    parser.add_argument("--stdin", action="store_true", help="take the settings from a message on stdin and answer on stdout")
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="settings; the arguments below come before them")
    parser.add_argument("--name", help="what clients attach to")
    parser.add_argument("--device", help="text form, e.g. virtual:inputs=2,outputs=2")
    parser.add_argument("--samplerate", type=float, metavar="HZ")
    parser.add_argument("--blocksize", type=int, metavar="FRAMES")
    parser.add_argument("--ring-seconds", type=float, metavar="SECONDS", help="length of every tap's ring")
    parser.add_argument(
        "--plugin", action="append", metavar="MODULE", help="module or .py file with cores of your own; may be repeated"
    )
    parser.add_argument("--listen", metavar="tcp://ADDRESS:PORT", help="let clients of other machines in, each with a key")
    parser.add_argument("--recordings", metavar="FOLDER", help="the only folder that clients of other machines reach")
    parser.add_argument("--journal", metavar="FILE", help="append every transaction there, for asmu replay")
    parser.add_argument("--announce", action="store_true", default=None, help="tell the local network of this engine (zeroconf)")
    parser.add_argument("--autostart", action="store_true", default=None, help="run the device at once")
    return parser


def _config(given: argparse.Namespace) -> EngineConfig:
    values: dict[str, Any] = {key: getattr(given, key) for key in _ARGUMENTS}
    if given.plugin:
        values["plugins"] = tuple(given.plugin)
    return make_config(given.config, **values)
