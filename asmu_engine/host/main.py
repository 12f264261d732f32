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
from typing import TYPE_CHECKING, Any, Final

import zmq

import asmu_engine
from asmu_engine.config import EngineConfig, make_config
from asmu_engine.host.announce import Announcement, announce
from asmu_engine.host.claim import claim_engine, release_engine
from asmu_engine.host.endpoint import LocalEndpoint
from asmu_engine.host.engine import Engine
from asmu_engine.host.footprint import settle
from asmu_engine.host.logs import EventLog, begin_log
from asmu_engine.host.loop import Loop
from asmu_engine.host.notify import ALIVE, READY, STOPPING, notify, watchdog_seconds
from asmu_engine.host.remote import RemoteEndpoint
from asmu_engine.host.resume import dead_position, resumed
from asmu_engine.host.server import Server
from asmu_engine.host.state import State
from asmu_engine.protocol import exits
from asmu_engine.protocol.errors import AsmuError, ConfigError, EngineError
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.protocol.runtime import EngineClaim, EngineInfo
from asmu_engine.shm.status import create_status

if TYPE_CHECKING:
    from asmu_engine.host.web import MetricsServer

OWNER_CHECK_SECONDS: Final = 0.5
LINGER_SECONDS: Final = 0.3
SWITCH_SECONDS: Final = 0.0005
"""The threads that serve the children's pipes must not wait long for the loop's thread."""

PRIVATE_UMASK: Final = 0o077
"""What the engine's processes write, recordings above all, belongs to their user alone."""

_log = logging.getLogger(__name__)


class Host:
    """One running host: sockets, engine, owner."""

    def __init__(self, config: EngineConfig, *, private: bool, pipe: MessagePipe | None, state: State | None = None) -> None:
        self._config = config
        self._private = private
        self._pipe = pipe
        self._loop = Loop()
        self._parent = os.getppid()
        self._error: AsmuError | None = None
        position = dead_position(config.name) if state is not None else 0  # before what the dead have left is removed
        self._claim: EngineClaim = claim_engine(config.name)
        settle()
        self._context = zmq.Context(io_threads=1)
        self._local: LocalEndpoint | None = None
        self._remote: RemoteEndpoint | None = None
        self._announcement: Announcement | None = None
        self._web: MetricsServer | None = None
        try:
            create_status(config.name).close()
            if config.log:
                begin_log(Path(config.log), config.log_bytes, config.log_files)
            self._engine = Engine(
                self._loop,
                config,
                private=private,
                on_ready=self._ready,
                on_ended=self._loop.stop,
                state=state,
                position=position,
            )
            if config.log:
                self._engine.events.observe(EventLog())
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
            if config.metrics:
                from asmu_engine.host.web import MetricsServer  # it loads http and ssl, 1.5 MB that most engines do without

                self._web = MetricsServer(config.metrics, self._loop, self._engine.status, config.ring_seconds)
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
            notify(STOPPING)
            failed = self._engine.audio.run.state == "failed"
            in_order = self._engine.ending and self._error is None and not failed
            self._engine.close(in_order=in_order)
            self._close_sockets(LINGER_SECONDS)
            release_engine(self._claim)
            self._loop.close()
        if self._error is not None:
            raise self._error
        return exits.AUDIO_FAILED if failed else exits.OK

    def _close_sockets(self, linger: float) -> None:
        if self._web is not None:
            self._web.close()
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
            metrics=self._web.url if self._web else "",
        )
        self._claim.publish(info)
        notify(READY)
        if (seconds := watchdog_seconds()) is not None:
            self._loop.every(seconds, lambda: notify(ALIVE))
        if self._config.autostart and not self._engine.heritage.runs:
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
    """Run a host until its end; returns the exit status, see `asmu_engine.protocol.exits`."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s: %(message)s")
    sys.setswitchinterval(SWITCH_SECONDS)
    os.umask(PRIVATE_UMASK)
    pipe = MessagePipe.of_this_process() if given.stdin else None
    try:
        config, private, resume = _handshake(pipe) if pipe is not None else (_config(given), False, given.resume)
        state = None
        if resume:
            config, state = resumed(config)
        return Host(config, private=private, pipe=pipe, state=state).run()
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
    return exits.USAGE if isinstance(error, ConfigError) else exits.ERROR


def _handshake(pipe: MessagePipe) -> tuple[EngineConfig, bool, bool]:
    message = pipe.receive()
    if message is None or not isinstance(message.get("config"), dict):
        raise ConfigError(
            'the first message on stdin must be {"config": {…}, "private": true or false}, with "resume": true to go on with '
            "what an engine has left that died",
            code="bad_config",
            where="config",
        )
    resume = bool(message.get("resume", False))
    return make_config(environment=not resume, **message["config"]), bool(message.get("private", False)), resume


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
    "metrics",
    "log",
    "reopen",
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
    parser.add_argument("--metrics", metavar="PORT", help="serve /metrics and /healthz on this port of the loopback")
    parser.add_argument("--log", metavar="FILE", help="log as JSON lines there, in files that are rotated")
    parser.add_argument("--resume", action="store_true", help="go on with what an engine of this name has left that died")
    parser.add_argument("--reopen", action="store_true", default=None, help="look for a device that was lost until it is back")
    parser.add_argument("--autostart", action="store_true", default=None, help="run the device at once")
    return parser


def _config(given: argparse.Namespace) -> EngineConfig:
    values: dict[str, Any] = {key: getattr(given, key) for key in _ARGUMENTS}
    if given.plugin:
        values["plugins"] = tuple(given.plugin)
    return make_config(given.config, environment=not given.resume, **values)
