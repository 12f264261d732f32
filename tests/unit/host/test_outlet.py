"""The way into a child's stdin: in order, never waiting, and closed behind the last byte."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from asmu_engine.host import outlet as module
from asmu_engine.host.outlet import Outlet

PIECES = [bytes([n]) * size for n, size in enumerate((1, 5, 300_000, 0, 7, 2_000_000, 3))]
WHOLE = b"".join(PIECES)


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Both ends; an outlet closes the one that it writes to."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as incoming, os.fdopen(writing, "wb") as outgoing:
        yield incoming, outgoing


@pytest.mark.parametrize("at_once", [True, False])
def test_all_comes_in_order_however_late_it_is_read(
    pipe: tuple[BinaryIO, BinaryIO], monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    incoming, outgoing = pipe
    outlet = Outlet(outgoing, "test-write")
    for piece in PIECES:
        outlet.put(piece)  # far more than a pipe takes, and nobody reads: this comes back all the same
    outlet.close()
    outlet.close()
    assert incoming.read() == WHOLE  # up to the end, which is there since the pipe was closed
    outlet.join(5.0)


def test_what_fits_is_in_the_pipe_at_once(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    incoming, outgoing = pipe
    outlet = Outlet(outgoing, "test-write")
    outlet.put(b"hello")
    os.set_blocking(incoming.fileno(), False)
    assert incoming.read(5) == b"hello"  # no other thread had to run for this
    outlet.close()
    outlet.join(5.0)


def test_a_reader_that_is_gone_holds_up_nobody(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    incoming, outgoing = pipe
    outlet = Outlet(outgoing, "test-write")
    outlet.put(WHOLE)
    incoming.close()
    outlet.put(b"more")
    outlet.close()
    outlet.put(b"after the end")
    outlet.join(5.0)
    assert outgoing.closed
    assert "test-write" not in [thread.name for thread in threading.enumerate()]
