"""The engine behind an interface: one of the script's own, or one that it is attached to."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asmu_control.client import Client
from asmu_control.connecting import connect
from asmu_control.devicerun import DeviceRun
from asmu_control.enginesettings import check_own, check_same, own_config, whole
from asmu_control.launch import END_TIMEOUT, PrivateEngine
from asmu_control.link import ZmqLink
from asmu_control.sending import send_patch, without_kept
from asmu_engine.protocol.errors import AsmuError, EngineError

if TYPE_CHECKING:
    from asmu_control.link import LocalLink
    from asmu_control.timeouts import Timeout
    from asmu_control.typing import Edit, PathLike, Stats

_FACTS = ("state", "reason", "samplerate", "blocksize", "device", "realtime", "revision", "uptime")


class Session(DeviceRun):
    """From settings to a connected engine and back, any number of times.

    Parameters
    ----------
    engine
        Name or ``tcp://`` address of the engine to attach to, or a client of it; None: one of this script's own.
    settings
        What `EngineConfig` needs for the own engine.
    key
        Key file, for a ``tcp://`` address.
    keep
        What is put into the patch of the engine attached to stays there when this session ends.

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
    attached, keep
        Whether the engine is not the script's own; whether all that is put into it stays there.
    kept
        Nodes that stay in the engine attached to when the session ends, or have stayed there.
    kept_jobs
        Recordings that run and are to go on when the session ends.
    """

    def __init__(
        self, engine: str | Client | None, settings: Mapping[str, Any], *, key: PathLike | None = None, keep: bool = False
    ) -> None:
        self.opened = False
        self.first_position = 0
        self.local: LocalLink | None = None
        self._client: Client | None = None
        self._engine: PrivateEngine | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._started = False
        self._last: Stats = {"state": "closed"}
        self.attached = engine is not None
        self._key = key
        self.keep = keep
        self.kept: set[str] = set()
        self.kept_jobs: set[int] = set()
        self._lapses = 0
        self._given = engine if isinstance(engine, Client) else None
        self._name = engine.engine if isinstance(engine, Client) else engine
        if self.attached:
            self.prefix = f"{secrets.token_hex(3)}."
            facts = self._attach()
            check_same(settings, facts)
            self.samplerate, self.blocksize = whole(facts["samplerate"]), int(facts["blocksize"])
            self.device = (facts.get("device") or {}).get("name") or f"device of engine {self._name!r}"
        else:
            check_own(key, keep)
            self.prefix = ""
            self._config, self.device = own_config(settings)
            self.samplerate, self.blocksize = whole(self._config.samplerate), self._config.blocksize

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
        if self.attached:
            if self._client is None or self._client.closed:
                self._attach()
        else:
            self._launch()
        assert self._client is not None
        self._lapses = self._client.lapses
        try:
            send_patch(self._client, without_kept(self._client, edits, self.kept), keep=self.keep)
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
        if self.opened or self.attached:
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
        if self.opened or self.attached:
            raise EngineError(
                f"the engine runs with {self.samplerate:g} Hz and blocks of {self.blocksize} frames, which cannot be changed to "
                f"{samplerate:g} Hz and {blocksize} now; close the interface first",
                code="engine_state",
            )
        from asmu_engine.config import EngineConfig

        self._config = EngineConfig(**{**self._config.to_wire(), "samplerate": samplerate, "blocksize": blocksize})
        self.samplerate, self.blocksize = whole(samplerate), blocksize

    def close(self, nodes: Sequence[str]) -> None:
        """End the own engine, or take `nodes` out of the one attached to, unless they are to be kept, and leave it."""
        try:
            if self._client is not None and self.opened:
                self.stats()
                if not self.attached:
                    self._client.request({"type": "shutdown"}, END_TIMEOUT)
                elif self.keep:
                    self.kept.update(nodes)
                else:
                    self._take_out(self._client, [node for node in nodes if node not in self.kept])
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

    def request(self, message: Mapping[str, Any], timeout: Timeout = "default") -> dict[str, Any]:
        """A request to the engine, whose last words are quoted if that ends it.

        Raises
        ------
        EngineError
            ``engine_gone``: also when the connection was lost for so long that the engine has removed this client's part of the
            patch.
        """
        client = self.client
        try:
            result = client.request(message, timeout)
        except AsmuError as error:
            self._check_known(client, error)
            words = self._engine.last_words() if self._engine is not None and error.code == "engine_gone" else ""
            if words:
                error.add_note(f"the engine said:\n{words}")
            raise
        self._check_known(client, None)
        return result

    def edit(
        self, edits: Sequence[Edit], *, at: int | None = None, if_revision: int | None = None, keep: bool = False
    ) -> dict[str, Any]:
        """A transaction, if the engine is up; else nothing, since it gets the whole patch when it comes up.

        Returns
        -------
        dict
            What the engine answers, see `Client.edit`; empty where it is not up.
        """
        if not self.opened:
            return {}
        given = {"at": at, "if_revision": if_revision, "keep": keep or self.keep or None}
        fields = {name: value for name, value in given.items() if value is not None}
        return self.request({"type": "transaction", "edits": list(edits), **fields})

    def stats(self) -> Stats:
        """State and counters, or the last known."""
        if self.opened:
            try:
                status = self.request({"type": "status"})
            except EngineError as error:
                if error.code != "engine_gone":
                    raise
                self._last = {**self._last, "state": "failed", "reason": error.message}
            else:
                device = status.get("device") or self._last.get("device")
                self._last = {**(status.get("counters") or {}), **{key: status.get(key) for key in _FACTS}, "device": device}
        return dict(self._last)

    def describe(self) -> str:
        """Where it stands, in words."""
        owner = f"attached to engine {self._name!r}" if self.attached else "own engine"
        if not self.opened:
            return "closed" if not self.attached else f"{owner}, not opened"
        try:
            return f"{owner}, {self.stats()['state']}"
        except AsmuError as error:
            return f"{owner}, {error.code}"

    def _attach(self) -> dict[str, Any]:
        if self._given is not None and (self._given.remote or not self._given.closed):
            self._given.check_open()
            self._client = self._given
        else:
            assert self._name is not None
            # Under the address, not under the name that was learnt there: a name is looked for on this machine.
            self._client = connect(self._name, self._key)
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

    def _check_known(self, client: Client, cause: AsmuError | None) -> None:
        if self.attached and not self.keep and client.lapses != self._lapses:
            raise EngineError(
                f"the connection to engine {client.engine!r} was lost for so long that what this interface had in its patch was "
                "removed; close the interface and open it again",
                code="engine_gone",
                where=client.engine,
            ) from cause


def _end(client: Client | None, engine: PrivateEngine | None) -> None:
    """Let go of an engine, ending the own one."""
    if client is not None:
        client.close()
    if engine is not None:
        engine.close()
