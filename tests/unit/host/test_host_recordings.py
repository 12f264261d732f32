"""Which paths lead where: the policy by itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from asmu_engine.host.recordings import RecordingFolder
from asmu_engine.protocol.errors import AccessError, ConfigError, ProtocolError

posix = pytest.mark.skipif(os.name != "posix", reason="symbolic links and modes of POSIX systems")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "takes" / "monday").mkdir(parents=True)
    return (tmp_path / "takes").resolve()


@pytest.fixture
def folder(root: Path) -> RecordingFolder:
    return RecordingFolder(str(root))


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(
    "given", ["take.wav", "monday/take.wav", "./take.wav", "new/take.wav", "a..b.wav", "...wav", ".hidden.wav", "ünïcödé 1.wav"]
)
def test_relative_paths_lie_in_the_folder(folder: RecordingFolder, root: Path, given: str, remote: bool) -> None:
    assert folder.path(given, remote=remote) == str(root / given)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(
    "given",
    ["../outside/x.wav", "..", "monday/../../x.wav", "monday/../x.wav", "monday\\..\\..\\x.wav", ".", "monday/..", "x/.."],
)
def test_paths_that_climb_are_refused(folder: RecordingFolder, given: str, remote: bool) -> None:
    with pytest.raises(AccessError, match="path ") as caught:
        folder.path(given, remote=remote)
    assert (caught.value.code, caught.value.where) == ("path_forbidden", "path")


def test_absolute_paths(folder: RecordingFolder, root: Path, tmp_path: Path) -> None:
    outside = str(tmp_path / "outside" / "x.wav")
    assert folder.path(outside, remote=False) == outside
    assert folder.path(str(root / ".." / "x.wav"), remote=False) == str(root / ".." / "x.wav")
    assert folder.path(str(root / "x.wav"), remote=True) == str(root / "x.wav")  # as a recording's status names it
    for given in (outside, f"{root}2/x.wav", str(root), str(root / ".." / "takes" / "x.wav"), "/"):
        with pytest.raises(AccessError, match=r"path '/"):
            folder.path(given, remote=True)


@posix
def test_symbolic_links_are_followed_first(folder: RecordingFolder, root: Path, tmp_path: Path) -> None:
    (root / "in").symlink_to(root / "monday")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "nothing.wav").symlink_to(tmp_path / "outside" / "not-there.wav")
    (root / "loop").symlink_to(root / "loop")
    assert folder.path("in/x.wav", remote=True) == str(root / "monday" / "x.wav")
    for given in ("out/x.wav", "out", "nothing.wav"):
        with pytest.raises(AccessError, match="out of the folder"):
            folder.path(given, remote=True)
    assert Path(folder.path("loop", remote=True)).parent == root  # which nobody can open
    (tmp_path / "link").symlink_to(root)
    assert RecordingFolder(str(tmp_path / "link")).path("x.wav", remote=True) == str(root / "x.wav")


@pytest.mark.parametrize("given", ["take.part.wav", "take.part", "take.part.flac.rf64", "monday/take.part.wav.journal"])
def test_names_of_recordings_in_the_making_are_refused(folder: RecordingFolder, given: str) -> None:
    with pytest.raises(AccessError, match="not whole yet") as caught:
        folder.path(given, remote=True)
    assert caught.value.code == "path_forbidden"


def test_zero_bytes_are_no_path(folder: RecordingFolder) -> None:
    for remote in (False, True):
        with pytest.raises(ProtocolError, match="zero byte"):
            folder.path("/tmp/x\0.wav", remote=remote)


def test_long_names_are_left_to_the_system(folder: RecordingFolder, root: Path) -> None:
    assert folder.path("x" * 4096, remote=True) == str(root / ("x" * 4096))


def test_without_a_folder() -> None:
    folder = RecordingFolder("")
    assert folder.path("/takes/x.wav", remote=False) == "/takes/x.wav"
    with pytest.raises(ProtocolError, match="not absolute") as plain:
        folder.path("x.wav", remote=False)
    assert plain.value.code == "bad_message"
    for given in ("x.wav", "/takes/x.wav"):
        with pytest.raises(AccessError, match="--recordings FOLDER") as caught:
            folder.path(given, remote=True)
        assert caught.value.code == "path_forbidden"


def test_the_folder_is_made_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = RecordingFolder("~/takes")
    assert folder.path("x.wav", remote=True) == str(tmp_path.resolve() / "takes" / "x.wav")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "takes").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for given in (tmp_path / "file", tmp_path / "file" / "takes"):
        with pytest.raises(ConfigError, match="name a folder that you can write in") as caught:
            RecordingFolder(str(given))
        assert caught.value.where == "recordings"
