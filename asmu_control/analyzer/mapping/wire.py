"""Messages between a process and its workers: pickles in pieces, large arrays beside the pickle and never copied into it.

A message is a few pieces of bytes: 32 bits how many, 64 bits the length of each, then the pieces. Both ends are one program in
one version on one machine, so nothing else is agreed on.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Sequence
from io import RawIOBase
from typing import Any, Final, TypeAlias

import numpy as np

Piece: TypeAlias = "bytes | memoryview"

_COUNT: Final = struct.Struct("<I")
_PROTOCOL: Final = 5  # the first with buffers beside the pickle


def send(pipe: RawIOBase, pieces: Sequence[Piece]) -> None:
    """Write one message; OSError (or ValueError for a closed pipe) where nobody reads any longer."""
    head = _COUNT.pack(len(pieces)) + struct.pack(f"<{len(pieces)}Q", *(len(piece) for piece in pieces))
    for piece in (head, *pieces):
        rest = memoryview(piece)
        while rest:
            rest = rest[pipe.write(rest) or 0 :]


def receive(pipe: RawIOBase) -> list[memoryview] | None:
    """The next message, waiting for it; None where the other end is gone. Arrays that are made of it may be written to."""
    head = _read(pipe, _COUNT.size)
    if head is None:
        return None
    (count,) = _COUNT.unpack(head)
    lengths = _read(pipe, 8 * count)
    if lengths is None:
        return None
    pieces = []
    for length in struct.unpack(f"<{count}Q", lengths):
        piece = _read(pipe, length)
        if piece is None:
            return None
        pieces.append(piece)
    return pieces


def flatten(value: object, keep: Callable[[memoryview], bool] = lambda raw: True, *, code: bool = False) -> list[Piece]:
    """A value as pieces: its pickle, and the contents of the arrays in it. What pickle alone cannot do, cloudpickle does.

    Parameters
    ----------
    keep
        Asked for the contents of each array, as bytes: False has them copied, because they will not stay.
    code
        It is a function: those of a script or notebook go as code, for pickle would send their names, which mean nothing in
        another process.

    Raises
    ------
    Exception
        Whatever the value's own pickling raises.
    """
    pieces: list[Piece] = []

    def aside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if keep(raw):
            pieces.append(raw)
            return False
        return True

    if not code:
        try:
            head = pickle.dumps(value, _PROTOCOL, buffer_callback=aside)
            return [head, *pieces]
        except Exception:  # noqa: BLE001 - classes of a script or notebook, and what refers to them
            pieces.clear()
    import cloudpickle

    head = cloudpickle.dumps(value, _PROTOCOL, buffer_callback=aside)
    return [head, *pieces]


def rebuild(pieces: Sequence[Piece]) -> Any:
    """The value that `flatten` took apart."""
    return pickle.loads(pieces[0], buffers=pieces[1:])


def _read(pipe: RawIOBase, size: int) -> memoryview | None:
    whole = np.empty(size, np.uint8).data  # not filled with zeros first, as a bytearray is
    rest = whole
    while rest:
        got = pipe.readinto(rest)
        if not got:
            return None
        rest = rest[got:]
    return whole
