"""Tap: audio that leaves the engine for any process that wants to look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asmu_control.processor import Analyzer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asmu_control.existingtap import TapReader
    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike, Start
    from asmu_engine.protocol.keys import ClientKey
    from asmu_engine.shm.reader import RingBlock


class Tap(Analyzer):
    """Keeps the newest seconds of its inputs in a ring that any number of readers share, in this and other processes.

    Parameters
    ----------
    interface
        The interface whose patch it joins.
    channels
        Inputs to begin with. A running tap that gets another input also gets another ring: readers see theirs end.
    """

    kind = "tap"
    ring = "tap"

    def __init__(self, interface: Interface, channels: int = 1) -> None:
        super().__init__(interface, channels=channels)

    def reader(self, start: Start = "newest") -> TapReader:
        """A reader of its own, for one thread. There is a ring once ``interface.open()`` or ``start()`` ran.

        Of an engine on another machine it reads what the relay there sends (``asmu relay``): the same frames and positions,
        and the same account of what is missing; but only what comes from now on.

        Parameters
        ----------
        start
            ``"newest"``: what comes from now on; ``"oldest"``: the oldest frame still there; or a frame position.

        Raises
        ------
        EngineError
            ``engine_state``: the engine is not up yet.
        RingError
            ``ring_unknown``: the engine is on another machine, and no relay there publishes this tap.
        """
        from asmu_control.existingtap import open_reader
        from asmu_engine.shm.reader import RingReader

        patch, session = self._interface._patch, self._interface._session
        if session.opened and session.client.remote:
            patch.check_outside("reach a ring")
            return open_reader(session.client, self.name, start)
        return RingReader(patch.ring_of(self), start)

    def blocks(
        self, frames: int, *, start: Start = "newest", timeout: float | None = None, copy: bool = True
    ) -> Iterator[RingBlock]:
        """Block after block of the frame axis, without a gap, until the engine ends.

        Each has `data` (float32, shape (frames, channels)), `position` of its first frame, `lost` (frames in it that
        the device lost, zeros) and `skipped` (frames before it that this loop was too slow for).

        Parameters
        ----------
        frames
            Frames a block; the last may be shorter.
        start
            Where to begin, see `reader`.
        timeout
            Longest wait for a block, seconds; RingError ``ring_timeout`` then. None: as long as it takes.
        copy
            False: views of the ring, to be used at once; see `RingBlock.intact`.
        """
        # Not a generator itself: "newest" is when this was called, not when the first block is asked for.
        from asmu_control.existingtap import blocks_of

        return blocks_of(self.reader(start), frames, timeout, copy)

    @property
    def handle(self) -> str:
        """Text by which any process of this user on this machine finds the tap: ``Tap.attach(handle)``.

        Of a tap on another machine any process with a key, wherever it is: ``Tap.attach(handle, key=FILE)``.
        """
        with self.reader() as reader:
            return reader.handle

    @staticmethod
    def attach(handle: str, key: PathLike | ClientKey | None = None) -> TapReader:
        """A reader of the tap that gave this `handle`, in whatever process; it disturbs nobody.

        Parameters
        ----------
        key
            File that ``asmu keys new`` made, for a tap on another machine.

        Raises
        ------
        RingError
            ``ring_unknown``: the text is no handle, or its engine has ended; ``ring_access``: it takes a key.
        """
        from asmu_control.existingtap import reader_from
        from asmu_engine.protocol.keys import ClientKey

        return reader_from(handle, key if key is None or isinstance(key, ClientKey) else ClientKey.load(key))
