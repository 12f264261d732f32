from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asmu_engine.protocol.errors import RingError
from asmu_engine.shm import segment as module
from asmu_engine.shm.segment import (
    Segment,
    list_segments,
    remove_segment,
    remove_segments,
    segment_engine,
    segment_folder,
    segment_name,
)


def test_what_is_written_by_one_mapping_is_read_by_another(folders):
    with_data = Segment.create(segment_name("lab", "one"), 8192)
    with_data.buffer[100:105] = b"audio"
    other = Segment.attach(with_data.name, writable=False)
    assert (other.buffer[100:105], other.size, other.writable) == (b"audio", 8192, False)
    with pytest.raises(TypeError):
        other.buffer[0] = 1
    assert with_data.unlink()
    assert with_data.buffer[100:105] == b"audio"
    other.close()
    with_data.close()


def test_a_segment_is_private_and_its_memory_reserved(folders):
    segment = Segment.create(segment_name("lab", "one"), 1 << 20)
    status = (folders.shm / segment.name).stat()
    assert status.st_mode & 0o7777 == 0o600
    assert status.st_size == 1 << 20
    assert status.st_blocks * 512 >= 1 << 20
    segment.unlink()
    segment.close()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(("lab", "tap.a"), "tap.a"), (("lab.2", "x"), "x"), (("a" * 63, "b" * 128), "b" * 128)],
)
def test_names(asked, expected):
    name = segment_name(*asked)
    assert name.startswith(f"asmu.{os.getuid()}.")
    assert name.endswith("." + expected)
    assert segment_engine(name) == asked[0]
    assert len(name) <= 255


def test_a_plain_name_is_as_documented():
    assert segment_name("lab", "tap.mic") == f"asmu.{os.getuid()}.lab.tap.mic"


@pytest.mark.parametrize("asked", [("", "x"), ("a/b", "x"), ("lab", ""), ("lab", "../x"), ("lab", "a b"), ("-lab", "x")])
def test_names_that_are_refused(asked):
    with pytest.raises(RingError) as caught:
        segment_name(*asked)
    assert caught.value.code == "ring_name"


@pytest.mark.parametrize("name", ["other", "asmu.x.lab.tap", f"asmu.{os.getuid()}.lab", f"asmu.{os.getuid()}.lab."])
def test_what_is_not_a_segment_has_no_engine(name):
    assert segment_engine(name) is None


def test_segments_of_engines_with_similar_names_are_kept_apart(folders):
    names = [segment_name(*pair) for pair in (("lab", "a"), ("lab", "2.b"), ("lab.2", "b"), ("lab2", "c"))]
    for name in names:
        Segment.create(name, 4096).close()
    (folders.shm / "unrelated").touch()
    assert list_segments() == sorted(names)
    assert list_segments("lab") == sorted(names[:2])
    assert remove_segments("lab") == sorted(names[:2])
    assert remove_segments("lab") == []
    assert list_segments() == sorted(names[2:])
    assert all(remove_segment(name) for name in names[2:])
    assert not remove_segment(names[0])
    (folders.shm / "unrelated").unlink()


def test_a_name_in_use_is_refused_and_the_first_keeps_its_data(folders):
    first = Segment.create(segment_name("lab", "one"), 4096)
    first.buffer[0] = 7
    with pytest.raises(RingError, match="already") as caught:
        Segment.create(first.name, 4096)
    assert caught.value.code == "ring_exists"
    assert Segment.attach(first.name).buffer[0] == 7
    first.unlink()


def test_a_segment_that_does_not_exist(folders):
    with pytest.raises(RingError, match=r"no segment asmu\.") as caught:
        Segment.attach(segment_name("lab", "none"))
    assert caught.value.code == "ring_unknown"


def test_a_segment_that_does_not_fit_leaves_nothing(folders):
    with pytest.raises(RingError, match=r"needs .* MB in .* are free .* ASMU_SHM_DIR") as caught:
        Segment.create(segment_name("lab", "huge"), 1 << 55)
    assert caught.value.code == "ring_space"
    assert list_segments() == []


def test_a_file_system_that_cannot_reserve_gets_a_sparse_file(folders, monkeypatch):
    def refuse(file: int, offset: int, size: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(module.os, "posix_fallocate", refuse)
    segment = Segment.create(segment_name("lab", "one"), 4096)
    assert segment.size == 4096
    segment.unlink()


def test_links_and_folders_are_not_attached(folders):
    target = folders.base / "target"
    target.write_bytes(bytes(4096))
    name = segment_name("lab", "one")
    (folders.shm / name).symlink_to(target)
    with pytest.raises(RingError) as caught:
        Segment.attach(name)
    assert caught.value.code == "ring_access"
    with pytest.raises(RingError) as caught:
        Segment.create(name, 4096)
    assert caught.value.code == "ring_exists"
    (folders.shm / name).unlink()
    (folders.shm / name).mkdir()
    with pytest.raises(RingError) as caught:
        Segment.attach(name, writable=False)
    assert caught.value.code == "ring_access"
    with pytest.raises(RingError) as caught:
        remove_segment(name)
    assert caught.value.code == "ring_access"
    (folders.shm / name).rmdir()


def test_a_file_of_another_user_is_not_attached(folders, monkeypatch):
    segment = Segment.create(segment_name("lab", "one"), 4096)
    monkeypatch.setattr(module.os, "geteuid", lambda: 123456)
    with pytest.raises(RingError, match="of this user") as caught:
        Segment.attach(segment.name)
    assert caught.value.code == "ring_access"
    segment.unlink()


@pytest.mark.parametrize(("there", "asked"), [(0, 0), (100, 4096)])
def test_a_segment_that_is_too_short(folders, there, asked):
    name = segment_name("lab", "one")
    (folders.shm / name).write_bytes(bytes(there))
    with pytest.raises(RingError, match=f"{there} bytes") as caught:
        Segment.attach(name, size=asked)
    assert caught.value.code == "ring_layout"
    assert caught.value.retry
    remove_segment(name)


def test_closing_with_views_alive_keeps_the_views(folders):
    segment = Segment.create(segment_name("lab", "one"), 4096)
    view = np.frombuffer(segment.buffer, np.uint8)
    view[5] = 9
    segment.unlink()
    segment.close()
    segment.close()
    assert view[5] == 9
    with pytest.raises(RingError) as caught:
        segment.buffer  # noqa: B018
    assert caught.value.code == "ring_closed"


def test_linked_tells_a_segment_that_was_removed_or_replaced(folders):
    first = Segment.create(segment_name("lab", "one"), 4096)
    assert first.linked
    assert first.unlink()
    assert not first.linked
    second = Segment.create(first.name, 4096)
    assert not first.linked
    assert not first.unlink()
    assert second.unlink()


def test_the_folder_is_made_private(folders, monkeypatch):
    monkeypatch.setenv("ASMU_SHM_DIR", str(folders.base / "a" / "b"))
    assert segment_folder().stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_named(folders, monkeypatch):
    (folders.base / "file").touch()
    monkeypatch.setenv("ASMU_SHM_DIR", str(folders.base / "file" / "x"))
    with pytest.raises(RingError, match=r"file/x.*ASMU_SHM_DIR") as caught:
        segment_folder()
    assert caught.value.code == "ring_access"


def test_without_the_variable_it_is_dev_shm_or_the_runtime_folder(folders, monkeypatch):
    monkeypatch.delenv("ASMU_SHM_DIR")
    monkeypatch.setattr(module, "_DEFAULT_FOLDER", folders.base)
    assert segment_folder() == folders.base
    monkeypatch.setattr(module, "_DEFAULT_FOLDER", Path("/nonexistent"))
    monkeypatch.setattr("platformdirs.user_runtime_path", lambda app: folders.base / app)
    assert segment_folder() == folders.base / "asmu" / "shm"


def test_making_rings_loads_no_numpy():
    heavy = ("numpy", "platformdirs", "multiprocessing")
    code = f"import sys, asmu_engine.shm.create; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
