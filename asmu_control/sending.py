"""A whole patch to an engine, also where its arrays do not fit into one message together."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import AsmuError, PatchError
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
        try:
            client.edit(whole, keep=keep)
        except PatchError as error:
            # By an interface that this script has forgotten, perhaps, as in a notebook cell that is run again: that leaves now.
            if error.code != "port_in_use" or not gc.collect():
                raise
            client.edit(whole, keep=keep)
    try:
        for edit in later:
            client.edit([edit])
    except AsmuError:
        client.edit([{"op": "remove", "node": edit["node"]} for edit in whole if edit["op"] == "add"])
        raise


def without_kept(client: Client, edits: Sequence[Edit], kept: set[str]) -> list[Edit]:
    """The edits without what is in the engine since it was kept there, whose values become those given now.

    Parameters
    ----------
    kept
        Names of nodes that were kept; those that somebody has removed since are taken out of it.
    """
    if not kept:
        return list(edits)
    patch = client.patch()
    kept &= set(patch["nodes"])
    made = {(target, port): (source, output) for source, output, target, port in patch["connections"]}
    result: list[Edit] = []
    for edit in edits:
        if edit["op"] == "add" and edit["node"] in kept:
            if edit["parameters"]:
                result.append({"op": "set", "node": edit["node"], "parameters": edit["parameters"]})
        elif edit["op"] != "connect" or made.get((edit["target"], edit["input"])) != (edit["source"], edit["output"]):
            result.append(edit)
    return result
