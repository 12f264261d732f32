"""A whole patch to an engine, also where its arrays do not fit into one message together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import AsmuError
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from asmu_control.client import Client
    from asmu_control.typing import Edit

_LARGE: Final = 65_536
"""Bytes of an array that may be sent by itself."""


def send_patch(client: Client, edits: Sequence[Edit], *, keep: bool = False) -> None:
    """The edits as one transaction; arrays that together pass what a message holds follow one by one.

    Parameters
    ----------
    keep
        The nodes outlive the client.

    Raises
    ------
    AsmuError
        The engine refused one; then none of the nodes stays.
    """
    whole: list[Edit] = []
    later: list[Edit] = []
    for edit in edits:
        parameters = edit.get("parameters", {})
        large = {name: value for name, value in parameters.items() if isinstance(value, Array) and len(value.data) > _LARGE}
        if edit["op"] == "add" and large:
            small = {name: value for name, value in parameters.items() if name not in large}
            whole.append({**edit, "parameters": small})
            later += [{"op": "set", "node": edit["node"], "parameters": {name: value}} for name, value in large.items()]
        else:
            whole.append(edit)
    if sum(len(value.data) for edit in later for value in edit["parameters"].values()) <= MAX_MESSAGE_BYTES // 2:
        whole, later = list(edits), []
    if whole:
        client.edit(whole, keep=keep)
    try:
        for edit in later:
            client.edit([edit])
    except AsmuError:
        client.edit([{"op": "remove", "node": edit["node"]} for edit in whole if edit["op"] == "add"])
        raise
