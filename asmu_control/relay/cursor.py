"""A place on the frame axis of a relayed tap, and what came of it so far."""

from __future__ import annotations

import time
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self

from asmu_control.relay.received import Received
from asmu_control.relay.subscriber import Subscriber
from asmu_control.relay.wire import SILENT_SECONDS
from asmu_engine.protocol.errors import RingError
from asmu_engine.shm.block import Stamp
from asmu_engine.shm.gaps import Gap

if TYPE_CHECKING:
    from asmu_control.relay.subscriber import Message
    from asmu_engine.protocol.keys import ClientKey
    from asmu_engine.shm.cursor import Start

JOIN_SECONDS: Final = 5.0
"""How long a relay may take to answer."""


class RemoteCursor:
    """The part of a reader that knows where it is; `asmu_control.remotetap.RemoteReader` adds the reading."""

    def __init__(
        self, endpoint: str, key: ClientKey, node: str, start: Start = "newest", *, timeout: float = JOIN_SECONDS
    ) -> None:
        self.node = node
        self.endpoint = endpoint
        self.name = f"{endpoint}/{node}"
        self.total_lost = self.total_skipped = 0
        self._subscriber = Subscriber(endpoint, key, node)
        self._finalizer = weakref.finalize(self, self._subscriber.close)
        try:
            first = self._subscriber.join(timeout)
            self._received = Received(first[0])
        except BaseException:
            self._finalizer()
            raise
        self.channels = self._received.channels
        self.samplerate = self._received.samplerate
        self.capacity = self._received.capacity
        self._stream = first[0].stream
        self._stamp: Stamp | None = None
        self._ended = False
        self._skipped = 0
        self._position: int | None = None
        self._origin: int | None = None
        self._take(first)
        # All that came since it subscribed is new.
        self.seek("first" if start == "newest" else start)

    @property
    def position(self) -> int:
        """Frame position of the next frame to read. Of a tap that is still empty: 0, or the `start` asked for."""
        self._begin()
        return self._position or 0

    @property
    def writer_position(self) -> int:
        """Frame position behind the newest frame that came, 0 before the first."""
        self._fetch(None)
        return self._received.end

    @property
    def fill(self) -> int:
        """Frames between this reader and the newest: more than `capacity` after an overrun, negative before the start."""
        end = self.writer_position
        return end - self.position

    @property
    def closed(self) -> bool:
        """True once nothing more will come: the tap was removed or resized, or nothing was heard of it for 10 s."""
        self._fetch(None)
        return self._is_over()

    @property
    def clipped(self) -> int:
        """Samples among those that came which the relay had to clip, because it sends integers."""
        return self._received.clipped

    @property
    def stamp(self) -> Stamp | None:
        """The newest time stamp that came; its monotonic time is that of the engine's machine."""
        return self._stamp

    def gaps(self) -> list[Gap]:
        """What the device lost among the frames that are kept here, oldest first, with the engine's cause."""
        self._fetch(None)
        holes = self._received.holes(self._received.begin, self._received.end)
        return [Gap(hole.position, hole.frames, hole.cause, hole.uncertainty) for hole in holes if not hole.missed]

    def holds(self, position: int) -> bool:
        """True while no frame from `position` on has been overwritten here."""
        return self._received.begin <= position

    def seek(self, start: Start) -> None:
        """Go on from another place. What is passed over counts as neither lost nor skipped."""
        if isinstance(start, str) and start not in ("newest", "oldest", "first"):
            raise RingError(
                f"start {start!r}; use newest, oldest, first or a frame position", code="ring_position", where=self.name
            )
        self._skipped = 0
        self._fetch(None)
        if not isinstance(start, str):
            self._position = int(start)
        elif not self._received.settled:
            self._position = None
        else:
            self._position = {"newest": self._received.end, "oldest": self._received.begin}.get(start, self._origin)

    def register_paced(self) -> NoReturn:
        """Refused: an engine waits for nobody on another machine."""
        raise RingError(
            f"{self.name}: an engine without a clock cannot wait for readers on other machines; leave paced=True out",
            code="ring_access",
            where=self.name,
        )

    def release(self) -> None:
        """Nothing: no engine waits for this reader."""

    def close(self) -> None:
        """Let go of the tap. Arrays that were handed out stay valid."""
        self._ended = True
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a reader of a remote tap stays in its process; give others its handle, for Tap.attach(handle, key=…)")

    def __repr__(self) -> str:
        return f"<RemoteReader {self.name}: {self.channels} channels, {self.samplerate:g} Hz, {self.capacity} frames>"

    # -- what comes --------------------------------------------------------------------------------------------

    @property
    def _at(self) -> int:
        assert self._position is not None
        return self._position

    def _begin(self) -> bool:
        """Find the start in a tap that was empty so far; False while it still is."""
        if self._position is None:
            if not self._received.settled:
                self._fetch(1)
            if self._received.settled:
                self._position = self._origin
        return self._position is not None

    def _fetch(self, end: int | None) -> None:
        """Take what has come, until there are frames up to `end`; what is more stays where it is not overwritten. None: all."""
        while not self._ended and (end is None or self._received.end < end):
            message = self._subscriber.receive(0)
            if message is None:
                break
            self._take(message)

    def _take(self, message: Message) -> None:
        header, data = message
        self._heard = time.monotonic()
        received = self._received
        if header.error is not None or header.stream != self._stream or header.channels != self.channels:
            self._ended = True  # another ring of that name: a new reader's
            return
        if data is not None:
            received.add(header, data)
        if header.stamp is not None:
            self._stamp = Stamp(*header.stamp)
        if self._origin is None and received.settled:
            self._origin = received.begin
        if header.closed:
            self._ended = True
            if received.settled and header.position is not None:
                # The last messages did not come, and no block will tell of that.
                self.total_skipped += max(0, header.position - received.end)

    def _is_over(self) -> bool:
        return self._ended or time.monotonic() - self._heard > SILENT_SECONDS
