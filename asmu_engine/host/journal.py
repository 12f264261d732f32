"""The journal: every transaction with its frame position, and what the device did, as lines of JSON for ``asmu replay``.

Each line is an object whose ``what`` says what it is about. Positions are frame positions. Arrays stand as
``{"array": "float32", "shape": […], "data": base64}``.

=============== ======================================================================================================
what            fields
=============== ======================================================================================================
session         journal (version of this format), engine, version, protocol, utc, samplerate, blocksize, device, inputs,
                outputs, plugins: an engine began to write
transaction     revision, author, client, utc, at, late, edits; undoes: the revision that it took back
started         position, inputs, outputs (channels), drop, reset, end_block: the device runs from there
stopped         position, state (``stopped``, ``lost`` or ``failed``), reason
reset           position, drop: every core went back to its start
lost            position (behind the gap), lost (frames), flags: the device lost frames
audio_ended     position, status: the audio process ended; its successor builds the patch anew
audio_restarted position, gap: the device runs again from there
play            position, node, path, loop, start: a file is ready in a feed, from its frame `start` on
seek            position, node, start: it goes on elsewhere in its file
play_ended      position, node: by request
journal_lost    lines, reason: so many lines should stand here, and could not be written
ended           position: the engine ended
=============== ======================================================================================================
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asmu_engine
from asmu_engine.config import EngineConfig
from asmu_engine.host.child import Answer
from asmu_engine.host.history import Entry, unpack_edits
from asmu_engine.protocol import messages
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.device import device_from_wire, parse_device
from asmu_engine.protocol.errors import AsmuError, DiskError
from asmu_engine.protocol.plain import to_plain
from asmu_engine.protocol.request import Request
from asmu_engine.protocol.version import PROTOCOL_VERSION

JOURNAL_VERSION: Final = 1
WRITE_SECONDS: Final = 0.25
"""Longest time for which a line waits to be written."""

MAX_LINES: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""What may wait to be written, lines and bytes; what comes beyond that is lost, which the journal says."""

CLOSE_SECONDS: Final = 5.0
_PIECE: Final = 1024 * 1024

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Line:
    """One line that waits; `edits` are packed, with `arrays` that they refer to."""

    fields: Fields
    edits: bytes | None = None
    arrays: tuple[Array, ...] = ()
    size: int = 0

    def encode(self) -> bytes:
        if self.edits is None:
            return _json(self.fields) + b"\n"
        # Edit by edit: in one go a thousand edits would hold the interpreter for as long as that takes.
        edits = b", ".join(_json(to_plain(edit)) for edit in unpack_edits(self.edits, self.arrays))
        return _json(self.fields)[:-1] + b', "edits": [' + edits + b"]}\n"


class Journal:
    """One file, to which a thread of its own appends; nothing here waits for the disk.

    Parameters
    ----------
    path
        Made where it is not there, mode 0600; else appended to.
    config
        What the first line says of the engine.
    on_failed
        Called, in the journal's thread or in that of the caller, when lines begin to be lost: with ``reason`` and how many
        were ``lost`` so far.

    Raises
    ------
    DiskError
        ``file_unwritable``: it cannot be opened, or another engine writes to it.
    """

    def __init__(self, path: str, config: EngineConfig, on_failed: Callable[[Fields], None]) -> None:
        self.path = path
        self._on_failed = on_failed
        self._file = _open(path)
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
        self._size = 0
        self._lost = 0
        self._reason = ""
        self._torn = os.fstat(self._file).st_size > 0  # whoever wrote before may have ended within a line
        self._closing = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="journal", daemon=True)
        self._put(_Line(_head(config)))
        self._thread.start()

    def transaction(self, entry: Entry) -> None:
        """A transaction holds."""
        if entry.done is None:
            self._lose(1, f"revision {entry.revision} has something that cannot be written")
            return
        fields = {key: getattr(entry, key) for key in ("revision", "author", "client", "utc", "at", "late")}
        if entry.undoes:
            fields["undoes"] = entry.undoes
        self._put(_Line({"what": "transaction", **fields}, entry.done, entry.arrays, entry.size))

    def note(self, topic: str, event: Mapping[str, Any]) -> None:
        """An event, of which those that say what the device did are written down."""
        take = _NOTED.get((topic, str(event.get("event"))))
        fields = take(event) if take is not None else None
        if fields is not None:
            self._put(_Line(fields))

    def watch(self, request: Request, position: Callable[[], int], answer: Answer) -> Answer:
        """What to answer a request on a sound file through, so that what plays is noted once that was done."""
        take = _FILES.get(type(request))
        if take is None:
            return answer

        def done(result: Fields | None, error: AsmuError | None) -> None:
            if result is not None and result.get("kind") == "play":
                self._put(_Line({**take(request), "position": position(), "node": result["node"], **_some(result, "path")}))
            answer(result, error)

        return done

    def close(self, position: int) -> None:
        """Write what waits, and that the engine ended; harmless when done before."""
        if self._closing:
            return
        self._put(_Line({"what": "ended", "position": position, "utc": time.time()}))
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)

    def _put(self, line: _Line) -> None:
        with self._lock:
            full = len(self._lines) >= MAX_LINES or (bool(self._lines) and self._size + line.size > MAX_BYTES)
            if not full:
                self._lines.append(line)
                self._size += line.size
        if full:
            self._lose(1, "the disk is too slow for what happens")
            self._wake.set()

    def _lose(self, lines: int, reason: str) -> None:
        with self._lock:
            first = not self._lost
            self._lost += lines
            self._reason = reason
            lost = self._lost
        if first:
            self._on_failed({"reason": reason, "lost": lost})

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _write_on(self) -> None:
        while True:
            closing = self._closing  # looked at first: what was put before it was set is in the list
            with self._lock:
                lines, self._lines, self._size = self._lines, [], 0
                lost, reason = self._lost, self._reason
            self._write(lines, lost, reason)
            if closing:
                os.close(self._file)
                return
            self._wake.wait(WRITE_SECONDS)
            self._wake.clear()

    def _write(self, lines: list[_Line], lost: int, reason: str) -> None:
        """The lines, and behind them how many were lost meanwhile: those came after these."""
        for index, line in enumerate(lines):
            try:
                self._append(line.encode())
            except OSError as error:
                self._lose(len(lines) - index, f"{error.strerror}")
                return
        if lost:
            try:
                self._append(_json({"what": "journal_lost", "lines": lost, "reason": reason}) + b"\n")
            except OSError:
                return  # they are told of when there is room again
            with self._lock:
                self._lost -= lost

    def _append(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        view = memoryview(data)
        while view:
            written = os.write(self._file, view[:_PIECE])
            self._torn = written < len(view)
            view = view[written:]


def _json(fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _head(config: EngineConfig) -> Fields:
    device = parse_device(config.device) if isinstance(config.device, str) else device_from_wire(config.device)
    return {
        "what": "session",
        "journal": JOURNAL_VERSION,
        "engine": config.name,
        "version": asmu_engine.__version__,
        "protocol": PROTOCOL_VERSION,
        "utc": time.time(),
        "samplerate": config.samplerate,
        "blocksize": config.blocksize,
        "device": to_plain(device.to_wire()),
        "inputs": config.inputs,
        "outputs": config.outputs,
        "plugins": list(config.plugins),
    }


def _open(path: str) -> int:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise DiskError(f"the journal {path} cannot be written: {error.strerror}", code="file_unwritable", where=path) from None
    if os.name == "posix":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise DiskError(
                f"the journal {path} is being written by another engine; give each its own", code="file_unwritable", where=path
            ) from None
    return file


def _started(event: Mapping[str, Any]) -> Fields:
    device = event["device"]
    rest = {key: event.get(key, default) for key, default in (("drop", 0), ("reset", True), ("end_block", None))}
    return {
        "what": "started",
        "position": event["position"],
        "inputs": list(device["inputs"]),
        "outputs": list(device["outputs"]),
        **rest,
    }


def _stopped(event: Mapping[str, Any]) -> Fields | None:
    return None if event["state"] == "running" else {"what": "stopped", **_some(event, "position", "state", "reason")}


def _lost(event: Mapping[str, Any]) -> Fields | None:
    return {"what": "lost", **_some(event, "position", "lost", "flags")} if event.get("lost") else None


def _some(event: Mapping[str, Any], *keys: str) -> Fields:
    return {key: event[key] for key in keys if key in event}


_FILES: Final[dict[type[Request], Callable[[Any], Fields]]] = {
    messages.Play: lambda request: {"what": "play", "loop": request.loop, "start": request.start},
    messages.Seek: lambda request: {"what": "seek", "start": request.position},
    messages.JobStop: lambda request: {"what": "play_ended"},
}
_NOTED: Final[dict[tuple[str, str], Callable[[Mapping[str, Any]], Fields | None]]] = {
    ("device", "started"): _started,
    ("device", "device_back"): lambda event: _started({**event, "reset": False}),
    ("device", "reset"): lambda event: {"what": "reset", **_some(event, "position", "drop")},
    ("engine", "state"): _stopped,
    ("engine", "audio_ended"): lambda event: {"what": "audio_ended", **_some(event, "position", "status")},
    ("engine", "audio_restarted"): lambda event: {"what": "audio_restarted", **_some(event, "position", "gap")},
    ("xrun", "xrun"): _lost,
}
