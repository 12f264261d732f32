from __future__ import annotations

import threading

import pytest

from asmu_engine.shm.fence import Fence


def test_it_never_waits_and_is_held_at_rest():
    fence = Fence()
    for _ in range(1000):
        fence()
    assert not fence.acquire(blocking=False)
    fence.release()
    assert fence.acquire(blocking=False)


def test_two_fences_do_not_share_a_lock():
    one, other = Fence(), Fence()
    one.release()
    assert not other.acquire(blocking=False)
    with pytest.raises(RuntimeError):
        one.release()


def test_flags_of_two_threads_are_never_both_missed():
    """Store, fence, load on both sides: at least one must see the other's store (Dekker)."""
    flags = memoryview(bytearray(2 * 64)).cast("q")
    rounds, seen = 2000, [[0] * 2000, [0] * 2000]
    gate = threading.Barrier(2, timeout=30)

    def side(mine: int) -> None:
        fence = Fence()
        for index in range(rounds):
            gate.wait()
            flags[mine * 8] = index + 1
            fence()
            seen[mine][index] = flags[(1 - mine) * 8]
            gate.wait()

    threads = [threading.Thread(target=side, args=(mine,)) for mine in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a == i + 1 or b == i + 1 for i, (a, b) in enumerate(zip(*seen, strict=True)))
