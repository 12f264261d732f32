"""Tap: audio that leaves the engine for any process that wants to look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from asmu_control.processor import Analyzer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asmu_control.analyzer.mapping.blockmap import BlockMap
    from asmu_control.analyzer.mapping.result import MapProgress
    from asmu_control.existingtap import TapReader
    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike, Start
    from asmu_engine.protocol.keys import ClientKey
    from asmu_engine.shm.end import Frames
    from asmu_engine.shm.reader import RingBlock

T = TypeVar("T")


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

    def map(
        self,
        function: Callable[[Frames], T],
        workers: int | None = None,
        *,
        blocksize: int | None = None,
        hop: int | None = None,
        start: Start = "newest",
        timeout: float | None = None,
        copy: bool = False,
        ahead: int | None = None,
        paced: bool = False,
        progress: bool | Callable[[MapProgress], object] = False,
    ) -> BlockMap[T]:
        """Run a function over block after block in processes of its own, and get its results in order.

        The workers read the blocks in the tap's ring, where the engine put them, and the engine does not know of them: a function
        that is too slow only gets behind, up to the length of the ring, and then misses blocks, which the results and
        `BlockMap.overruns` tell. So does a loop over the results that is too slow.

            with tap.map(lambda block: np.sqrt(np.mean(block**2, axis=0)), workers=2, blocksize=4800) as levels:
                for level in levels:
                    print(level.position, level.value)

        Parameters
        ----------
        function
            Of a block: float32, shape (blocksize, channels), read-only. What it returns is sent back; what it prints goes to
            stderr. It may be a lambda, or be defined in a script or notebook, and refer to what can be pickled. Any worker gets
            any block: nothing that it remembers is of the block before. The libraries' own threads are one a worker,
            unless ``OMP_NUM_THREADS`` and the like say otherwise.
        workers
            How many processes; None: one less than there are processors. They run at a low priority.
        blocksize
            Frames a block, at most half of what the ring holds; None: 0.1 s. All blocks are whole: what is left at the end and is
            shorter is not given.
        hop
            Frames from the begin of one block to that of the next, at most `blocksize`: less, and blocks overlap.
        start
            Where to begin, see `reader`.
        timeout
            Longest wait for a result, seconds; RingError ``ring_timeout`` then, after which one may go on. None: as long as it
            takes.
        copy
            True: the function gets a copy that it may write to. Only the copying must be done before the ring is overwritten.
        ahead
            Blocks, at most, that are in work or whose results wait for the loop. None: four a worker.
        paced
            Have a device that runs without a clock (``offline``) wait for the map; then it must be iterated over.
        progress
            True: one line on stderr that shows how it goes; or a function, called with a `MapProgress` by the loop, five times a
            second.

        Returns
        -------
        BlockMap
            Iterator of `MapResult`: `value`, `position`, `lost`, `skipped`, `utc`. Close it, or use it with ``with``, where
            the loop does not go to the end.

        Raises
        ------
        PatchError
            ``bad_value``.
        MapError
            ``function_unusable``: it refers to something that cannot be sent to another process.
        EngineError, RingError
            As of `reader`; RingError ``ring_access``: the engine is on another machine.
        """
        from asmu_control.analyzer.mapping.start import map_reader

        return map_reader(
            self.reader(start),
            self.name,
            function,
            workers,
            blocksize=blocksize,
            hop=hop,
            timeout=timeout,
            copy=copy,
            ahead=ahead,
            paced=paced,
            progress=progress,
        )

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
