"""The engine behind an interface: one of the script's own, or one that it is attached to."""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asmu_control.client import TIMEOUT, Client
from asmu_control.launch import END_TIMEOUT, PrivateEngine, private_name
from asmu_control.link import ZmqLink
from asmu_control.sending import send_patch
from asmu_engine.protocol.errors import AsmuError, ConfigError, DeviceError, EngineError

if TYPE_CHECKING:
    from asmu_control.link import LocalLink
    from asmu_control.typing import Edit, Stats

_START_TIMEOUT = 60.0  # a sound server may take its time to open a device
_FACTS = ("state", "samplerate", "blocksize", "device", "realtime", "revision", "uptime")


class Session:
    """From settings to a connected engine and back, any number of times.

    Attributes
    ----------
    samplerate, blocksize, device
        Hz, frames, and the device's text form: those of the engine attached to, or as the own one will be.
    opened
        True while the engine is up and holds the patch.
    prefix
        What names of this script's nodes begin with, so that the clients of one engine do not collide.
    first_position
        Frame position at which the newest stream began.
    local
        The engine inside this process, while the patch is stepped by hand.
    """

    def __init__(self, engine: str | Client | None, settings: Mapping[str, Any]) -> None:
        self.opened = False
        self.first_position = 0
        self.local: LocalLink | None = None
        self._client: Client | None = None
        self._engine: PrivateEngine | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._started = False
        self._last: Stats = {"state": "closed"}
        self._attached = engine is not None
        self._given = engine if isinstance(engine, Client) else None
        self._name = engine.engine if isinstance(engine, Client) else engine
        if self._attached:
            self.prefix = f"{secrets.token_hex(3)}."
            facts = self._attach()
            self._check_same(settings, facts)
            self.samplerate, self.blocksize = _whole(facts["samplerate"]), int(facts["blocksize"])
            self.device = (facts.get("device") or {}).get("name") or f"device of engine {self._name!r}"
        else:
            from asmu_engine.config import make_config
            from asmu_engine.protocol.device import parse_device

            self.prefix = ""
            values = dict(settings)
            values["plugins"] = tuple(_plugin(plugin) for plugin in settings["plugins"])
            if values["device"] is not None:
                values["device"] = parse_device(values["device"]).text()
            self._config = make_config(name=private_name(), **values)
            self.device = parse_device(self._config.device).text()
            self.samplerate, self.blocksize = _whole(self._config.samplerate), self._config.blocksize

    @property
    def client(self) -> Client:
        """The connection; EngineError ``engine_state`` while there is none."""
        if self._client is None or not self.opened:
            raise EngineError("the engine is not up; call interface.start() or interface.open() first", code="engine_state")
        return self._client

    def open(self, edits: Sequence[Edit]) -> bool:
        """Bring the engine up with the patch in it; False when it was so already."""
        if self.opened:
            if self.client.alive():
                return False
            self.close([])
        if self._attached:
            if self._client is None:
                self._attach()
        else:
            self._launch()
        assert self._client is not None
        try:
            send_patch(self._client, edits)
        except BaseException:
            self.close([])
            raise
        self.opened = True
        return True

    def open_local(self, edits: Sequence[Edit]) -> bool:
        """Bring up an engine inside this process with the patch in it; False when it was so already.

        Raises
        ------
        EngineError
            ``engine_state``: the patch is in an engine of its own process.
        """
        if self.local is not None:
            return False
        if self.opened or self._attached:
            raise EngineError(
                "the patch is in an engine of its own process, whose device steps it; call interface.close() before you step it "
                "by hand, and attach to no engine",
                code="engine_state",
            )
        from asmu_control.link import LocalLink

        local = LocalLink(self._config)
        self._finalizer = weakref.finalize(self, local.close)
        try:
            client = self._client = Client(local)
            send_patch(client, edits)
        except BaseException:
            self.close([])
            raise
        self.local, self.opened, self.first_position = local, True, 0
        return True

    def change_format(self, samplerate: float, blocksize: int) -> None:
        """Another samplerate, Hz, and blocksize, frames; EngineError ``engine_state`` where an engine has its own."""
        if (samplerate, blocksize) == (self.samplerate, self.blocksize):
            return
        if self.opened or self._attached:
            raise EngineError(
                f"the engine runs with {self.samplerate:g} Hz and blocks of {self.blocksize} frames, which cannot be changed to "
                f"{samplerate:g} Hz and {blocksize} now; close the interface first",
                code="engine_state",
            )
        from asmu_engine.config import EngineConfig

        self._config = EngineConfig(**{**self._config.to_wire(), "samplerate": samplerate, "blocksize": blocksize})
        self.samplerate, self.blocksize = _whole(samplerate), blocksize

    def check_stopped(self) -> None:
        """EngineError ``engine_state`` when the own engine's device runs already."""
        if not self._attached and self.stats()["state"] == "running":
            raise EngineError("the interface runs already; stop its stream first", code="engine_state", where=self.client.engine)

    def start(self, inputs: Sequence[int], outputs: Sequence[int], end_block: int | None, reset: bool, drop: int) -> None:
        """Run the device, unless the engine attached to runs it already."""
        if self._attached and end_block is None and self.stats()["state"] == "running":
            self.first_position = int(self._last.get("frame_position", 0))
            return
        # With no channel named at all, whatever the device has: there is no stream without channels. An engine that others
        # use too runs with all that it was given, since their patches need theirs.
        everything = self._attached or (not inputs and not outputs)
        message = {
            "type": "start",
            "inputs": None if everything else list(inputs),
            "outputs": None if everything else list(outputs),
            "end_block": end_block,
            "drop": drop,
            "reset": reset,
        }
        answer = self.request(message, _START_TIMEOUT)
        self.first_position = int(answer.get("position", 0))
        # A stream may be over before anybody asks for its state.
        self._last = {**self._last, "device": answer.get("device")}
        self._started = True

    def stop(self) -> None:
        """Stop the device."""
        if self.opened:
            self.request({"type": "stop"}, _START_TIMEOUT)
            self._started = False

    def stop_own(self) -> None:
        """Stop the device if this session started it.

        Raises
        ------
        DeviceError
            ``device_lost``: it went away before.
        EngineError
            ``engine_gone``, ``engine_failed``: its engine did.
        """
        if not self._started:
            return
        self._started = False
        state = self.stats()["state"]
        if state == "running":
            self.stop()
        elif state == "lost":
            raise DeviceError(
                f"the device {self.device} was lost while the stream ran; recordings are whole up to there",
                code="device_lost",
                where=self.device,
            )
        elif state == "failed":
            gone = not self.client.alive()
            raise EngineError(
                f"the engine {'ended' if gone else 'failed'} while the stream ran; recordings are whole up to there",
                code="engine_gone" if gone else "engine_failed",
                where=self.client.engine,
            )

    def close(self, nodes: Sequence[str]) -> None:
        """End the own engine, or take `nodes` out of the one attached to and leave it."""
        try:
            if self._client is not None and self.opened:
                self.stats()
                if self._attached:
                    self._take_out(self._client, nodes)
                else:
                    self._client.request({"type": "shutdown"}, END_TIMEOUT)
        except AsmuError:
            # The engine is gone already, or does not answer; `_end` sees to what is left of it.
            pass
        finally:
            self.opened = False
            self.local = None
            self._started = False
            self._last = {**self._last, "state": "closed"}
            if self._finalizer is not None:
                self._finalizer()
            self._client = self._engine = self._finalizer = None

    @staticmethod
    def _take_out(client: Client, nodes: Sequence[str]) -> None:
        """Remove those of the nodes that are still there: another client may have removed some."""
        present = client.request({"type": "patch"})["nodes"] if nodes else {}
        edits = [{"op": "remove", "node": node} for node in nodes if node in present]
        if edits:
            client.edit(edits)

    def request(self, message: Mapping[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
        """A request to the engine, whose last words are quoted if that ends it."""
        try:
            return self.client.request(message, timeout)
        except EngineError as error:
            words = self._engine.last_words() if self._engine is not None and error.code == "engine_gone" else ""
            if words:
                error.add_note(f"the engine said:\n{words}")
            raise

    def edit(self, edits: Sequence[Edit]) -> None:
        """A transaction, if the engine is up; else nothing, since it gets the whole patch when it comes up."""
        if self.opened:
            self.request({"type": "transaction", "edits": list(edits)})

    def stats(self) -> Stats:
        """State and counters, or the last known."""
        if self.opened:
            try:
                status = self.request({"type": "status"})
            except EngineError as error:
                if error.code != "engine_gone":
                    raise
                self._last = {**self._last, "state": "failed"}
            else:
                device = status.get("device") or self._last.get("device")
                self._last = {**(status.get("counters") or {}), **{key: status.get(key) for key in _FACTS}, "device": device}
        return dict(self._last)

    def describe(self) -> str:
        """Where it stands, in words."""
        owner = f"attached to engine {self._name!r}" if self._attached else "own engine"
        if not self.opened:
            return "closed" if not self._attached else f"{owner}, not opened"
        try:
            return f"{owner}, {self.stats()['state']}"
        except AsmuError as error:
            return f"{owner}, {error.code}"

    def _attach(self) -> dict[str, Any]:
        if self._given is not None and not self._given.closed:
            self._client = self._given
        else:
            assert self._name is not None
            self._client = Client.connect(self._name)
            self._finalizer = weakref.finalize(self, _end, self._client, None)
        return self._client.facts

    def _launch(self) -> None:
        self._engine = PrivateEngine(self._config)
        # Ends the engine when the interface is forgotten, as in a notebook cell that is run again, or the script ends.
        self._finalizer = weakref.finalize(self, _end, None, self._engine)
        try:
            self._client = Client(ZmqLink(self._engine.info, self._engine.alive))
        except BaseException:
            self._finalizer()
            raise
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _end, self._client, self._engine)

    @staticmethod
    def _check_same(settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        for key in ("samplerate", "blocksize"):
            if settings[key] is not None and settings[key] != facts[key]:
                raise ConfigError(
                    f"{key} {settings[key]!r} was asked for, but the engine runs with {facts[key]!r}; leave it out",
                    code="bad_config",
                    where=key,
                )
        for key in ("device", "plugins", "ring_seconds"):
            if settings[key]:
                raise ConfigError(
                    f"{key} is chosen where an engine is started; attached to one, leave it out", code="bad_config", where=key
                )


def _end(client: Client | None, engine: PrivateEngine | None) -> None:
    """Let go of an engine, ending the own one."""
    if client is not None:
        client.close()
    if engine is not None:
        engine.close()


def _plugin(plugin: str | os.PathLike[str]) -> str:
    """A file is named by its whole path, since the engine may run in another folder; a module by its name."""
    text = os.fspath(plugin)
    return str(Path(text).resolve()) if text.endswith(".py") else text


def _whole(samplerate: float) -> float:
    return int(samplerate) if samplerate == int(samplerate) else samplerate
