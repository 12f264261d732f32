"""Room held back for the last lines."""

from __future__ import annotations

from asmu_engine.disk.acquisition.reserve import Reserve

SIZE = 65536


def test_it_takes_room_and_gives_it_back(tmp_path):
    reserve = Reserve(SIZE)
    assert reserve.take(tmp_path)
    file = tmp_path / ".reserve"
    assert (reserve.taken, file.stat().st_size) == (True, SIZE)
    assert file.stat().st_blocks * 512 >= SIZE  # really
    reserve.give_back()
    assert (reserve.taken, list(tmp_path.iterdir())) == (False, [])
    reserve.give_back()


def test_what_a_dead_writer_left_is_taken_over(tmp_path):
    Reserve(SIZE).take(tmp_path)
    content = (tmp_path / ".reserve").read_bytes()
    second = Reserve(SIZE)
    assert second.take(tmp_path)
    assert (tmp_path / ".reserve").read_bytes() == content
    second.give_back()
    assert list(tmp_path.iterdir()) == []


def test_half_a_reserve_is_made_whole(tmp_path):
    (tmp_path / ".reserve").write_bytes(b"x")
    assert Reserve(SIZE).take(tmp_path)
    assert (tmp_path / ".reserve").stat().st_size == SIZE


def test_it_moves_to_another_folder(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    reserve = Reserve(SIZE)
    reserve.take(first)
    assert reserve.take(second)
    assert ([*first.iterdir()], [file.name for file in second.iterdir()]) == ([], [".reserve"])


def test_where_there_is_no_room_there_is_no_reserve(tmp_path):
    reserve = Reserve(SIZE)
    assert not reserve.take(tmp_path / "missing")
    assert not reserve.taken
    reserve.give_back()


def test_a_folder_that_vanished_is_not_missed(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    reserve = Reserve(SIZE)
    reserve.take(folder)
    (folder / ".reserve").unlink()
    folder.rmdir()
    reserve.give_back()
    assert not reserve.taken
