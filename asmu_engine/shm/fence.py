"""A memory barrier that plain Python can issue."""

from __future__ import annotations

from threading import Lock


class Fence:
    """Calling it keeps every earlier load and store of this thread before every later one.

    Python has no barrier of its own, but a lock is one. This lock is private to its owner and held at rest; a
    call releases and takes it again, which never waits. A release is at least a store-release, taking a lock at
    least a load-acquire, and both touch the same variable:

    - x86: each is a locked read-modify-write, a full barrier on its own.
    - ARMv8: a load-acquire is never observed before an earlier store-release (the architecture's RCsc rule), so
      what comes before the pair is ordered before it, and what comes after it, after.
    - POSIX semaphores and mutexes, and the interlocked operations of Windows, promise the same in words.

    One Fence belongs to one end of one ring: sharing it between threads would make the pair wait. Code that runs
    once an audio block calls `release` and `acquire` itself, which saves one Python call.

    >>> fence = Fence()
    >>> fence()
    """

    __slots__ = ("acquire", "release")

    def __init__(self) -> None:
        lock = Lock()
        lock.acquire()
        self.release = lock.release
        self.acquire = lock.acquire

    def __call__(self) -> None:
        """Put the fence here."""
        self.release()
        self.acquire()
