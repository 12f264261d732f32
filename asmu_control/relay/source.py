"""One tap at the relay: from its ring to messages, with the account of what is missing between them."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Final

from asmu_control.relay.packing import Format, pack_frames
from asmu_control.relay.wire import MAX_GAPS, MAX_SAMPLES, Header
from asmu_engine.shm.gaps import Gap
from asmu_engine.shm.reader import RingBlock, RingReader

_NS: Final = 1_000_000_000
_PATIENCE_NS: Final = 50_000_000
"""Frames that do not fill a block wait so long for more beyond two blocks of the device, then go by themselves."""
_IDLE_SECONDS: Final = 0.02
_SOON_SECONDS: Final = 0.001


class Source:
    """Cuts what a tap writes from now on into messages.

    Parameters
    ----------
    node
        Name of the tap.
    ring
        Name of its ring's segment.
    engine
        Text that tells this run of the engine from others.
    form
        Form of the samples.
    block
        Frames a message; fewer where a gap or the end cuts one, where the device has stopped, or where the tap is very wide.

    Raises
    ------
    RingError
        ``ring_unknown``: the ring has gone meanwhile; ``ring_layout``: it is no tap's.

    Attributes
    ----------
    engine, ring
        As given.
    sent, clipped
        Messages and clipped samples so far.
    """

    def __init__(self, node: str, ring: str, *, engine: str, form: Format, block: int) -> None:
        self.engine = engine
        self.ring = ring
        self._reader = reader = RingReader(ring, "newest")
        # The same after a new start of the relay, so that its subscribers go on; another one for every other ring.
        stream = hashlib.blake2s(f"{engine} {ring} {reader.identity}".encode(), digest_size=8).hexdigest()
        self._common = Header(
            node=node,
            stream=stream,
            run=secrets.token_hex(6),
            channels=reader.channels,
            samplerate=reader.samplerate,
            capacity=reader.capacity,
            format=form,
        )
        self._form = form
        self._block = max(1, min(block, MAX_SAMPLES // reader.channels, reader.capacity // 4))
        self._first: int | None = None
        self.sent = self.clipped = 0

    @property
    def ended(self) -> bool:
        """True once the ring was closed, and all of it given out."""
        return self._reader.marked_closed and not self._reader.fill > 0

    @property
    def removed(self) -> bool:
        """True once the ring is gone, or another has its name; asks the file system."""
        return self._reader.closed

    def sign(self, closed: bool = False) -> Header:
        """A message without samples: shape, place, and the number that the next message will have."""
        # A ring without a frame yet may begin anywhere.
        position = self._reader.position if self._reader.writer_position else None
        return self._header(sequence=self.sent, position=position, closed=closed)

    def take(self, rest: bool = False) -> tuple[Header, bytes] | None:
        """The next message; None until there is a block of frames, or some that wait for more in vain. `rest`: any frames."""
        fill = self._reader.fill
        if fill < self._block and not (fill > 0 and (rest or self._is_over())):
            return None
        chunk = self._reader.read_chunk(self._block)
        if chunk is None:
            return None
        packed = pack_frames(chunk.data, self._form)
        if self._first is None:
            self._first = chunk.position - chunk.lost - chunk.skipped
        gaps = self._gaps_before(chunk) if chunk.lost else []
        header = self._header(
            sequence=self.sent,
            position=chunk.position,
            frames=len(chunk),
            parts=list(packed.parts),
            clipped=packed.clipped,
            lost=chunk.lost,
            gaps=[list(gap[:3]) for gap in gaps],
            uncertainties=[gap.uncertainty for gap in gaps] if any(gap.uncertainty for gap in gaps) else [],
            skipped=chunk.skipped,
            stamp=None if chunk.stamp is None else list(chunk.stamp),
        )
        self.sent += 1
        self.clipped += packed.clipped
        return header, packed.payload

    def pause(self) -> float:
        """Seconds after which it is worth to look for the next message."""
        missing = self._block - self._reader.fill
        if missing <= 0:
            return 0.0
        _, written, published = self._reader.latest_write
        if not written:
            return _IDLE_SECONDS
        arriving = -(-missing // written) * written
        due = published / _NS + arriving / self._reader.samplerate - time.monotonic()
        # What is a little late comes any moment; what is very late, when the device runs again.
        return _IDLE_SECONDS if due < -_IDLE_SECONDS else min(max(due, _SOON_SECONDS), _IDLE_SECONDS)

    def close(self) -> None:
        """Let go of the ring."""
        self._reader.close()

    def _header(self, **fields: object) -> Header:
        # Not validated: what stands here comes from the ring.
        return self._common.model_copy(update={"first": self._first, **fields})

    def _is_over(self) -> bool:
        """Whether the device seems to have stopped, or the ring was closed."""
        if self._reader.marked_closed:
            return True
        _, written, published = self._reader.latest_write
        return time.monotonic_ns() - published > _PATIENCE_NS + 2 * written * _NS / self._reader.samplerate

    def _gaps_before(self, chunk: RingBlock) -> list[Gap]:
        """The gaps that make up the loss right before a chunk."""
        begin = chunk.position - chunk.lost
        found: list[Gap] = []
        for gap in self._reader.gaps():
            first, end = max(gap.position, begin), min(gap.end, chunk.position)
            if first < end:
                found.append(Gap(first, end - first, gap.cause, gap.uncertainty))
        return found[-MAX_GAPS:]
