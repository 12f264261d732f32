"""Patches saved from an engine and loaded into one: whole, all or nothing, byte for byte the same again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asmu_control import patchfile
from asmu_control.client import Client
from asmu_control.testing import FakeLink
from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.errors import ConfigError, DiskError, PatchError

LARGE = Array("f4", (3000, 1), struct.pack("<3000f", *(n / 4096 for n in range(3000))))
SMALL = Array("f4", (2, 1), bytes(8))


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def client(link: FakeLink) -> Iterator[Client]:
    with Client(link) as client:
        yield client


def add(node: str, kind: str, inputs: int = 0, outputs: int = 0, **parameters: Any) -> dict[str, Any]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source: str, target: str, output: int = 0, port: int = 0) -> dict[str, Any]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def fill(client: Client) -> None:
    client.edit(
        [
            add("gain1", "gain", 2, 2, gain=[0.5, 0.25]),
            add("vector1", "vector", 0, 1, vector=LARGE),
            add("vector2", "vector", 0, 1, vector=SMALL),
            add("tap1", "tap", 2),
            connect("vector1", "gain1", 0, 1),
            connect("gain1", "tap1", 1, 0),
            connect("in", "out", 2, 3),
            connect("gain1", "out", 0, 1),
        ]
    )


def transactions(link: FakeLink) -> list[dict[str, Any]]:
    return [request for request in link.sent if request["type"] == "transaction"]


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_saved_loaded_and_saved_again_is_the_same_file(client: Client, link: FakeLink, tmp_path: Path, ending: str) -> None:
    first, second = tmp_path / f"one.{ending}", tmp_path / f"two.{ending}"
    fill(client)
    saved = patchfile.save(client, first)
    assert saved.nodes["vector1"].parameters["vector"] == LARGE
    assert patchfile.read(first) == saved
    client.edit([{"op": "remove", "node": "tap1"}, add("other", "sine", 0, 1), connect("other", "out", 0, 7)])
    result = patchfile.load(client, first)
    assert result["revision"] == 3
    assert transactions(link)[-1]["keep"] is True
    assert len(transactions(link)) == 3
    patchfile.save(client, second)
    assert first.read_bytes() == second.read_bytes()
    assert patchfile.diff(first, client) == []
    assert first.stat().st_mode & 0o777 == 0o644
    assert sorted(file.name for file in tmp_path.iterdir()) == [first.name, second.name]


def test_shown_arrays_are_not_fetched(client: Client, link: FakeLink) -> None:
    fill(client)
    document = patchfile.capture(client, arrays=False)
    assert document.nodes["vector1"].parameters["vector"] == {"array": "float32", "shape": [3000, 1]}
    assert [request["type"] for request in link.sent].count("value") == 0
    assert 'vector = {array = "float32", shape = [3000, 1]}' in document.to_toml()


def test_a_patch_that_changes_while_it_is_saved_is_looked_at_again(
    client: Client, link: FakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client)
    changes = iter([0.75])
    request = client.request

    def disturbed(message: dict[str, Any], *more: Any) -> dict[str, Any]:
        answer = request(message, *more)
        if message["type"] == "value":
            for gain in changes:
                request({"type": "transaction", "edits": [{"op": "set", "node": "gain1", "parameters": {"gain": gain}}]})
        return answer

    monkeypatch.setattr(client, "request", disturbed)
    assert patchfile.capture(client).nodes["gain1"].parameters["gain"] == 0.75

    def restless(message: dict[str, Any], *more: Any) -> dict[str, Any]:
        answer = request(message, *more)
        return {**answer, "revision": len(link.sent)} if message["type"] == "patch" else answer

    monkeypatch.setattr(client, "request", restless)
    with pytest.raises(PatchError) as caught:
        patchfile.capture(client)
    assert (caught.value.code, caught.value.retry) == ("revision_changed", True)


def test_load_decides_on_the_patch_that_it_has_seen(
    client: Client, link: FakeLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "patch.toml"
    fill(client)
    patchfile.save(client, file)
    others = iter(["late"])
    request = client.request

    def disturbed(message: dict[str, Any], *more: Any) -> dict[str, Any]:
        if message["type"] == "transaction":
            for name in others:
                request({"type": "transaction", "edits": [add(name, "sine", 0, 1)]})
        return request(message, *more)

    monkeypatch.setattr(client, "request", disturbed)
    patchfile.load(client, file)
    assert patchfile.diff(file, client) == []


def test_beside_what_is_there(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "patch.toml"
    fill(client)
    patchfile.save(client, file)
    with pytest.raises(PatchError, match="already there"):
        patchfile.load(client, file, add=True)
    client.edit([{"op": "remove", "node": name} for name in ("gain1", "vector1", "vector2", "tap1")])
    client.edit([{"op": "disconnect", "target": "out", "input": 3}, add("other", "sine", 0, 1)])
    patchfile.load(client, file, add=True)
    assert patchfile.diff(file, client) == ["+ other: sine, inputs 0, outputs 1"]


def test_an_empty_patch_empties(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "patch.json"
    patchfile.save(client, file)
    assert patchfile.load(client, file)["revision"] == 0
    fill(client)
    patchfile.load(client, file)
    assert patchfile.diff(file, client) == []


def test_what_does_not_fit_into_one_message_is_sent_in_several(
    client: Client, link: FakeLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "patch.toml"
    fill(client)
    saved = patchfile.save(client, file)
    client.edit([{"op": "remove", "node": "gain1"}])
    monkeypatch.setattr(patchfile, "MAX_MESSAGE_BYTES", patchfile._ROOM + 12_300)
    patchfile.load(client, file)
    sent = transactions(link)[2:]
    assert len(sent) == 2
    assert [("if_revision" in request) for request in sent] == [True, False]
    assert patchfile.capture(client) == saved


def test_arrays_follow_their_node_where_it_is_too_large_with_them(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    adding = add("conv", "convolver", 1, 1, ir=LARGE)
    kinds = {kind["name"]: kind for kind in client.catalogue()}
    live = [p["name"] for p in kinds["convolver"]["parameters"] if p["type"] == "array" and p["live"]]
    adding["parameters"] = dict.fromkeys(live, LARGE)
    assert live
    parts = list(patchfile._taken_apart(client, [add("gain1", "gain", 1, 1), adding], 1000))
    assert parts == [
        add("gain1", "gain", 1, 1),
        {**adding, "parameters": {}},
        *({"op": "set", "node": "conv", "parameters": {name: LARGE}} for name in live),
    ]


@pytest.mark.parametrize("beside", [False, True])
def test_a_patch_that_is_refused_halfway_is_put_back(
    client: Client, link: FakeLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    file = tmp_path / "patch.toml"
    fill(client)
    patchfile.save(client, file)
    client.edit([{"op": "remove", "node": name} for name in ("gain1", "vector1", "vector2", "tap1")])
    client.edit([{"op": "disconnect", "target": "out", "input": 3}, add("other", "sine", 0, 1), connect("other", "out")])
    before = patchfile.capture(client)
    text = (
        file.read_text()
        .replace("vector2]", "zeta]")
        .replace("vector2.p", "zeta.p")
        .replace('"gain1:0 -> out:1"', '"zeta:7 -> out:1"')
    )
    file.write_text(text)
    monkeypatch.setattr(patchfile, "MAX_MESSAGE_BYTES", patchfile._ROOM + 12_200)
    with pytest.raises(PatchError, match="output 7"):
        patchfile.load(client, file, add=beside)
    assert len(transactions(link)) > 5
    assert patchfile.capture(client) == before


def test_another_samplerate_is_asked_about(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "patch.toml"
    fill(client)
    patchfile.save(client, file)
    text = file.read_text()
    assert "samplerate = 48000.0" in text
    file.write_text(text.replace("samplerate = 48000.0", "samplerate = 44100.0"))
    with pytest.raises(ConfigError, match="44100 Hz") as caught:
        patchfile.load(client, file)
    assert caught.value.where == "samplerate"
    patchfile.load(client, file, any_samplerate=True)
    file.write_text(text.replace("samplerate = 48000.0\n", ""))
    patchfile.load(client, file)


def test_files_that_are_none(client: Client, tmp_path: Path) -> None:
    for path in (tmp_path / "patch.txt", tmp_path / "toml"):
        with pytest.raises(ConfigError, match=r"\.toml or \.json"):
            patchfile.save(client, path)
    with pytest.raises(DiskError) as caught:
        patchfile.read(tmp_path / "none.toml")
    assert caught.value.code == "file_unreadable"
    with pytest.raises(DiskError) as caught:
        patchfile.save(client, tmp_path / "none" / "patch.toml")
    assert caught.value.code == "file_unwritable"
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        patchfile.read(broken)


def test_a_file_keeps_its_mode(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "patch.toml"
    file.touch(0o600)
    patchfile.save(client, file)
    assert file.stat().st_mode & 0o777 == 0o600
