"""Owners and leases: what an edit touches, who is refused, and what becomes of both when nodes and clients go."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from asmu_engine.host.clients import ENGINE, Client
from asmu_engine.host.leases import Leases
from asmu_engine.host.owners import Owners
from asmu_engine.host.patch import Patch
from asmu_engine.protocol.catalogue import ANY_PORTS, Kind
from asmu_engine.protocol.edits import Edit
from asmu_engine.protocol.errors import AccessError, PatchError

_EDITS = TypeAdapter(list[Edit])
KINDS = (Kind("gain", "effect", ANY_PORTS, ANY_PORTS, calls=("reset",), paired=True),)


def parse(*edits: dict[str, Any]) -> list[Edit]:
    return _EDITS.validate_python(edits)


def add(node: str, ports: int = 2) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": "gain", "inputs": ports, "outputs": ports}


def remove(node: str) -> dict[str, Any]:
    return {"op": "remove", "node": node}


def connect(source: str, output: int, target: str, port: int) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def disconnect(target: str, port: int) -> dict[str, Any]:
    return {"op": "disconnect", "target": target, "input": port}


class Room:
    """A patch ``before → mine → after → out``, and clients."""

    def __init__(self) -> None:
        self.patch = Patch(KINDS, 256)
        self.people = {name: Client(name, name=f"{name}-name", role="operator") for name in ("anna", "bert")}
        self.people["root"] = Client("root", name="root-name", role="admin")
        self.leases = Leases(self.patch)
        self.owners = Owners(self.patch, self.leases, self.people.get)
        self.edit(
            "anna",
            *map(add, ("before", "mine", "after")),
            connect("before", 1, "mine", 0),
            connect("mine", 0, "after", 0),
            connect("after", 0, "out", 1),
        )

    def edit(self, who: str, *edits: dict[str, Any], keep: bool = False) -> None:
        client, parsed = self.people[who], parse(*edits)
        self.owners.check(client, parsed)
        self.patch.apply(parsed)
        self.owners.kept(client, parsed, keep)


@pytest.fixture
def room() -> Room:
    return Room()


TOUCHING = {
    "set": {"op": "set", "node": "mine", "parameters": {}},
    "call": {"op": "call", "node": "mine", "call": "reset"},
    "remove": remove("mine"),
    "resize": {"op": "resize", "node": "mine", "inputs": 3, "outputs": 3},
    "connect into": connect("in", 0, "mine", 1),
    "disconnect of an input": disconnect("mine", 0),
    "remove of a source": remove("before"),
    "resize that cuts a source": {"op": "resize", "node": "before", "inputs": 1, "outputs": 1},
}
FREE = {
    "connect from": connect("mine", 1, "after", 1),
    "disconnect of who reads it": disconnect("after", 0),
    "remove of who reads it": remove("after"),
    "resize that leaves the source": {"op": "resize", "node": "before", "inputs": 4, "outputs": 4},
    "add": add("other"),
}


@pytest.mark.parametrize("case", TOUCHING)
def test_edit_of_another_that_touches_a_leased_node_is_refused(room: Room, case: str) -> None:
    room.owners.lease(room.people["anna"], ["mine"], [])
    with pytest.raises(AccessError) as caught:
        room.edit("bert", add("new"), TOUCHING[case])
    assert (caught.value.code, caught.value.where, caught.value.retry) == ("leased", "mine", True)
    assert "anna-name (anna)" in caught.value.message
    assert "'mine'" in caught.value.message
    with pytest.raises(AccessError):
        room.owners.check(room.people["root"], parse(TOUCHING[case]))  # a lease holds against admins too
    room.edit("anna", TOUCHING[case])


@pytest.mark.parametrize("case", FREE)
def test_what_does_not_touch_a_leased_node_stays_free(room: Room, case: str) -> None:
    room.owners.lease(room.people["anna"], ["mine"], [])
    room.edit("bert", FREE[case])


@pytest.mark.parametrize("edit", [connect("in", 0, "out", 0), disconnect("out", 1), remove("after")])
def test_leased_output_channel_takes_and_loses_no_source(room: Room, edit: dict[str, Any]) -> None:
    room.owners.lease(room.people["anna"], [], [1, 2])
    with pytest.raises(AccessError) as caught:
        room.edit("bert", edit)
    channel = 1 if edit.get("input") == 0 else 2
    assert (caught.value.code, caught.value.where) == ("leased", f"out:{channel - 1}")
    assert f"output channel {channel} is leased by anna-name (anna)" in caught.value.message
    room.edit("bert", connect("in", 0, "out", 2))
    room.edit("anna", edit)


def test_lease_takes_all_or_none_and_names_the_holder(room: Room) -> None:
    anna, root = room.people["anna"], room.people["root"]
    room.owners.lease(anna, ["mine"], [2])
    for nodes, outputs, what in ((["before", "mine"], [1], "node 'mine'"), (["before"], [1, 2], "output channel 2")):
        with pytest.raises(AccessError, match=f"{what} is leased by anna-name"):
            room.owners.lease(root, nodes, outputs)
        assert room.leases.of(root) == {"nodes": [], "outputs": []}
    room.owners.lease(anna, ["mine", "after"], [2, 1])  # what it has it may take again
    assert room.leases.of(anna) == {"nodes": ["after", "mine"], "outputs": [1, 2]}


def test_node_of_a_client_that_is_there_is_leased_by_it_or_an_admin_only(room: Room) -> None:
    with pytest.raises(AccessError) as caught:
        room.owners.lease(room.people["bert"], ["before"], [5])
    assert (caught.value.code, caught.value.where) == ("not_allowed", "before")
    assert "belongs to anna-name (anna)" in caught.value.message
    assert room.leases.of(room.people["bert"]) == {"nodes": [], "outputs": []}
    room.owners.lease(room.people["root"], ["before"], [])
    del room.people["anna"]
    room.owners.lease(room.people["bert"], ["mine"], [])  # its owner has left


@pytest.mark.parametrize(("node", "code"), [("nobody", "unknown_node"), ("out", "bad_name"), ("in", "bad_name")])
def test_only_nodes_of_the_patch_are_leased(room: Room, node: str, code: str) -> None:
    with pytest.raises(PatchError) as caught:
        room.owners.lease(room.people["anna"], ["mine", node], [])
    assert (caught.value.code, caught.value.where) == (code, node)
    assert room.leases.of(room.people["anna"])["nodes"] == []


def test_release_ends_what_is_named_or_everything_and_nothing_of_others(room: Room) -> None:
    anna, root = room.people["anna"], room.people["root"]
    room.owners.lease(anna, ["mine", "after"], [1, 2])
    room.owners.lease(root, ["before"], [3])
    room.leases.release(anna, ["mine", "before"], [2, 3])
    assert room.leases.of(anna) == {"nodes": ["after"], "outputs": [1]}
    assert room.leases.of(root) == {"nodes": ["before"], "outputs": [3]}
    room.leases.release(anna, [], [])
    assert room.leases.of(anna) == {"nodes": [], "outputs": []}
    assert room.leases.of(root) == {"nodes": ["before"], "outputs": [3]}


def test_lease_ends_with_its_node_unless_that_is_put_back_at_once(room: Room) -> None:
    room.owners.lease(room.people["anna"], ["mine"], [])
    room.edit("anna", remove("mine"), add("mine"))
    assert room.leases.of(room.people["anna"])["nodes"] == ["mine"]
    room.edit("anna", remove("mine"))
    assert room.leases.of(room.people["anna"])["nodes"] == []
    room.edit("bert", add("mine"))


def test_owner_is_who_added_a_node_last_unless_it_is_kept(room: Room) -> None:
    room.edit("bert", add("kept"), keep=True)
    room.edit("bert", add("own"))
    assert room.owners.all() == {"before": "anna", "mine": "anna", "after": "anna", "own": "bert"}
    assert (room.owners.owner("own"), room.owners.owner("kept"), room.owners.owner("nobody")) == ("bert", "", "")
    room.edit("bert", remove("before"), add("before"))
    assert room.owners.of("anna") == ["mine", "after"]
    assert room.owners.of("bert") == ["own", "before"]
    room.edit("anna", remove("own"), remove("before"))
    assert room.owners.of("bert") == []


def test_nodes_of_those_who_left_are_found_and_a_leased_one_is_passed_on(room: Room) -> None:
    assert room.owners.gone() == []
    room.owners.lease(room.people["root"], ["mine"], [])
    del room.people["anna"]
    assert room.owners.gone() == ["anna"]
    room.owners.pass_on("mine")
    room.owners.pass_on("after")  # nobody's lease
    assert room.owners.all() == {"before": "anna", "mine": "root", "after": "anna"}


def test_engine_itself_is_bound_by_no_lease_and_owns_nothing(room: Room) -> None:
    room.owners.lease(room.people["anna"], ["mine"], [2])
    room.people[ENGINE.id] = ENGINE
    room.edit(ENGINE.id, remove("before"), add("new"))
    assert room.owners.owner("new") == ""
