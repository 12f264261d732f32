"""Patches as files: saved from an engine, loaded into one, compared."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asmu_control.patchdocument import PatchDocument
from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.errors import AsmuError, ConfigError, DiskError, PatchError
from asmu_engine.protocol.version import MAX_EDITS, MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from asmu_control.client import Client
    from asmu_control.typing import Edit, PathLike

SUFFIXES: Final = (".toml", ".json")

_LARGEST_FILE: Final = 1024 * 1024 * 1024
_ROOM: Final = 65_536
"""Bytes of a message for what is not edits."""
_TRIES: Final = 10


def capture(client: Client, *, arrays: bool = True) -> PatchDocument:
    """The patch of an engine as it is at one moment; without `arrays`, of large ones type and shape only."""
    for _ in range(_TRIES):
        patch = client.request({"type": "patch"})
        if not arrays or not _fetch_arrays(client, patch) or client.request({"type": "patch"})["revision"] == patch["revision"]:
            return PatchDocument.from_wire(patch, client.facts["samplerate"])
    raise PatchError(
        "the patch changes faster than its arrays can be fetched; try again when it rests", code="revision_changed", retry=True
    )


def save(client: Client, path: PathLike) -> PatchDocument:
    """Write the patch of an engine to a file: TOML, or JSON where its name ends with ``.json``.

    Raises
    ------
    ConfigError
        ``bad_config``: another ending.
    DiskError
        ``file_unwritable``.
    """
    file = Path(path)
    as_json = _is_json(file)
    document = capture(client)
    write_text(file, document.to_json() if as_json else document.to_toml())
    return document


def read(path: PathLike) -> PatchDocument:
    """The patch in a file.

    Raises
    ------
    DiskError
        ``file_unreadable``.
    ConfigError
        ``bad_config``: it is no patch; names what is wrong with it.
    """
    file = Path(path)
    as_json = _is_json(file)
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{file} cannot be loaded as a patch: it is larger than any", code="bad_config", where=str(file))
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DiskError(f"cannot read {file}: {error.strerror}", code="file_unreadable", where=str(file)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} cannot be loaded as a patch: {error}", code="bad_config", where=str(file)) from None
    return PatchDocument.from_text(text, as_json=as_json, name=str(file))


def load(client: Client, patch: PathLike | PatchDocument, *, add: bool = False, any_samplerate: bool = False) -> dict[str, Any]:
    """Replace the patch of an engine, in one transaction; its nodes stay when this client leaves.

    A patch whose arrays do not fit into one message is sent in several, connections last; where one is refused, the patch is
    put back as it was.

    Parameters
    ----------
    add
        Beside what is there, instead of in its place.
    any_samplerate
        Also where it was made at another samplerate: values in frames then mean another time.

    Returns
    -------
    dict
        ``revision``, ``at`` and ``rings`` as of `Client.edit`.

    Raises
    ------
    ConfigError
        ``bad_config``: no patch, or of another samplerate.
    AsmuError
        What the engine refuses it for; the patch is as before.
    """
    document = patch if isinstance(patch, PatchDocument) else read(patch)
    samplerate = float(client.facts["samplerate"])
    if document.samplerate not in (0.0, samplerate) and not any_samplerate:
        raise ConfigError(
            f"the patch was made at {document.samplerate:g} Hz, engine {client.engine!r} runs at {samplerate:g} Hz: values in "
            "frames mean another time there; load it for any samplerate if that is meant",
            code="bad_config",
            where="samplerate",
        )
    for attempt in range(_TRIES):
        present = client.request({"type": "patch"})
        adds, connects = document.edits()
        removes: list[Edit] = [] if add else [{"op": "remove", "node": name} for name in present["nodes"]]
        edits = [*removes, *adds, *([] if add else _direct(present)), *connects]
        if not edits:
            return {"revision": present["revision"], "at": client.facts.get("frame_position", 0)}
        try:
            return _send(client, edits, present["revision"], add=add)
        except PatchError as error:
            if error.code != "revision_changed" or attempt == _TRIES - 1:
                raise
    raise AssertionError("not reached")


def diff(before: Client | PathLike | PatchDocument, after: Client | PathLike | PatchDocument) -> list[str]:
    """What makes the second of the first, each of them an engine's patch or one in a file; no line where they are the same."""
    return _document(before).differences(_document(after))


def _document(patch: Client | PathLike | PatchDocument) -> PatchDocument:
    if isinstance(patch, PatchDocument):
        return patch
    return read(patch) if isinstance(patch, (str, os.PathLike)) else capture(patch)


def _fetch_arrays(client: Client, patch: Mapping[str, Any]) -> bool:
    """Put large arrays, of which the patch has type and shape, in their places; whether there were any."""
    found = False
    for name, node in patch["nodes"].items():
        for key, value in node["parameters"].items():
            if isinstance(value, dict):
                found = True
                with contextlib.suppress(PatchError):  # gone meanwhile: the revision tells
                    node["parameters"][key] = client.request({"type": "value", "node": name, "parameter": key})["value"]
    return found


def _direct(present: Mapping[str, Any]) -> list[Edit]:
    """Device inputs that are connected straight to outputs: they belong to no node, so nothing removes them otherwise."""
    return [
        {"op": "disconnect", "target": target, "input": port}
        for source, _, target, port in present["connections"]
        if source not in present["nodes"] and target not in present["nodes"]
    ]


def _send(client: Client, edits: Sequence[Edit], revision: int, *, add: bool) -> dict[str, Any]:
    parts = list(in_parts(client, edits))
    before = capture(client) if len(parts) > 1 and not add else None
    sent: list[Edit] = []
    result: dict[str, Any] = {}
    rings: dict[str, str] = {}
    for number, part in enumerate(parts):
        # The first one decides whether the patch is still the one that was looked at.
        guard = {"if_revision": revision} if not number else {}
        try:
            result = client.request({"type": "transaction", "edits": part, "keep": True, **guard})
        except AsmuError as error:
            if number:
                _put_back(client, sent, before, error)
            raise
        sent += part
        rings |= result.get("rings") or {}
    return {**result, "rings": rings} if rings else result


def _put_back(client: Client, sent: Sequence[Edit], before: PatchDocument | None, error: AsmuError) -> None:
    try:
        if before is not None:
            load(client, before, any_samplerate=True)
        elif added := [edit["node"] for edit in sent if edit["op"] == "add"]:
            client.request({"type": "transaction", "edits": [{"op": "remove", "node": node} for node in added]})
    except AsmuError as second:
        error.add_note(f"the patch could not be put back as it was: {second}")


def in_parts(client: Client, edits: Sequence[Edit]) -> Iterator[list[Edit]]:
    """The edits in as few messages as hold them; an array that is too large beside the others of its node follows that."""
    limit = MAX_MESSAGE_BYTES - _ROOM
    sizes = [len(pack(edit)) for edit in edits]
    if any(size > limit for size in sizes):
        edits = list(_taken_apart(client, edits, limit))
        sizes = [len(pack(edit)) for edit in edits]
    part: list[Edit] = []
    room = limit
    for edit, size in zip(edits, sizes, strict=True):
        if part and (size > room or len(part) == MAX_EDITS):
            yield part
            part, room = [], limit
        part.append(edit)
        room -= size
    yield part


def _taken_apart(client: Client, edits: Sequence[Edit], limit: int) -> Iterator[Edit]:
    kinds = client.request({"type": "catalogue"})["kinds"]
    live = {kind["name"]: {p["name"] for p in kind["parameters"] if p["live"] and p["type"] == "array"} for kind in kinds}
    for edit in edits:
        if edit["op"] != "add" or len(pack(edit)) <= limit:
            yield edit
            continue
        later = {name: value for name, value in edit["parameters"].items() if name in live.get(edit["kind"], ())}
        yield {**edit, "parameters": {name: value for name, value in edit["parameters"].items() if name not in later}}
        for name, value in later.items():
            yield {"op": "set", "node": edit["node"], "parameters": {name: value}}


def _is_json(file: Path) -> bool:
    if file.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{file}: the name of a patch's file ends with {' or '.join(SUFFIXES)}", code="bad_config", where=str(file)
        )
    return file.suffix.lower() == ".json"


def write_text(file: Path, text: str) -> None:
    """Write a file in one step: whoever reads it meanwhile sees the old or the new one, whole. DiskError ``file_unwritable``."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        Path(temporary).chmod(mode)
        Path(temporary).replace(file)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise DiskError(f"cannot write {file}: {error.strerror}", code="file_unwritable", where=str(file)) from None
