"""The operations whose instructions `benchmarks.counts` counts: each is made ready, warmed up, then done in two stretches.

Nothing here looks at a clock. What is done twice costs twice: no garbage is collected, the objects' addresses and the order of
sets do not change from run to run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from asmu_engine.audio.builder import Builder
from asmu_engine.audio.kinds import Kinds
from asmu_engine.audio.wiring import Wiring
from asmu_engine.config import EngineConfig
from asmu_engine.local import local_host
from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.version import PROTOCOL_VERSION
from asmu_engine.rt.runner import Runner
from asmu_engine.rt.scheduling import quiet_interpreter
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.segment import segment_name
from asmu_engine.shm.status import StatusPage, create_status
from asmu_engine.shm.writer import RingWriter
from benchmarks._engine import CHANNELS, FRAMES, GAINS, SAMPLERATE, chain

MARK = "ctermid"
"""A function of the C library that nothing else calls, and that callgrind knows by this name: its calls part the stretches."""
VOICES, GAINS_EACH = 200, 4
Call = Callable[[], object]
Edits = list[dict[str, Any]]


@dataclass(frozen=True)
class Operation:
    """What is counted.

    Attributes
    ----------
    what
        Its name in the table.
    make
        Gets it ready and returns what does it.
    short, long
        How often that is called in the two stretches.
    each
        How often one call does it.
    warm
        Calls before them: the interpreter adapts its bytecode to what it meets at first.
    """

    what: str
    make: Callable[[ExitStack], Call]
    short: int
    long: int
    each: int = 1
    warm: int = 20


def do(operation: Operation) -> None:
    """Get it ready, then do a short and a long stretch of it, with a mark before, between and behind."""
    quiet_interpreter()
    with ExitStack() as stack:
        call = operation.make(stack)
        _stretch(call, operation.warm)
        os.ctermid()
        _stretch(call, operation.short)
        os.ctermid()
        _stretch(call, operation.long)
        os.ctermid()


def _stretch(call: Call, calls: int) -> None:
    for _ in range(calls):
        call()


# ---- blocks and rings


def _block(edits: Edits | Callable[[str], Edits], stack: ExitStack) -> Call:
    """One block as a device has it: runner, counters, schedule; a function of the ring's name where there is a tap."""
    page = stack.enter_context(_status())
    runner = Runner(SAMPLERATE, FRAMES, page)
    stack.enter_context(_built(edits if isinstance(edits, list) else edits(stack.enter_context(_ring())), runner, Kinds()))
    indata = np.random.default_rng(1).uniform(-1, 1, (FRAMES, CHANNELS)).astype(np.float32)
    outdata = np.zeros_like(indata)

    def block() -> None:
        runner(indata, outdata, 0, 0, 0, 0.0)
        if runner.context.notices:
            raise SystemExit(f"the engine's cores failed: {list(runner.context.notices)}")

    return block


def _write(stack: ExitStack) -> Call:
    writer = stack.enter_context(RingWriter(stack.enter_context(_ring())))
    block = np.zeros((FRAMES, CHANNELS), dtype=np.float32)
    return lambda: writer.write(block, monotonic_ns=1, utc_ns=1)


# ---- edits


def _edit(patch: Edits, transactions: list[Edits], stack: ExitStack) -> Call:
    """One transaction after another, from the wire: codec, checks of the host, builder, taken in as the callback does."""
    config = EngineConfig(name=f"counts{os.getpid()}", samplerate=SAMPLERATE, blocksize=FRAMES)
    host = local_host(config)
    stack.callback(host.close)
    host.request(_transaction(patch))
    messages = cycle([pack(_transaction(edits)) for edits in transactions])

    def edit() -> None:
        for _ in transactions:
            host.request(unpack(next(messages)))

    return edit


def _transaction(edits: Edits) -> dict[str, Any]:
    return {"v": PROTOCOL_VERSION, "id": 1, "type": "transaction", "edits": edits}


def _values(node: str) -> list[Edits]:
    return [[{"op": "set", "node": node, "parameters": {"gain": gain}}] for gain in (0.25, 0.75)]


def _structure(node: str) -> list[Edits]:
    """A gain comes behind a node, and goes."""
    come = [
        {"op": "add", "node": "extra", "kind": "gain", "inputs": 1, "outputs": 1, "parameters": {"gain": 0.5}},
        {"op": "connect", "source": node, "output": 0, "target": "extra", "input": 0},
    ]
    return [come, [{"op": "remove", "node": "extra"}]]


# ---- 1,000 nodes


def voices() -> Edits:
    """200 sines of different frequency, each through 4 gains in a row, and their sum to the first output."""
    edits: Edits = []
    for voice in range(VOICES):
        last = f"sine{voice}"
        values: dict[str, Any] = {"frequency": 100.0 + voice}
        edits.append({"op": "add", "node": last, "kind": "sine", "outputs": 1, "parameters": values})
        for number in range(GAINS_EACH):
            node, values = f"gain{voice}.{number}", {"gain": 0.5 + 0.1 * number}
            edits.append({"op": "add", "node": node, "kind": "gain", "inputs": 1, "outputs": 1, "parameters": values})
            edits.append({"op": "connect", "source": last, "output": 0, "target": node, "input": 0})
            last = node
    edits.append({"op": "add", "node": "sum", "kind": "sum", "inputs": VOICES, "outputs": 1})
    edits += [
        {"op": "connect", "source": f"gain{voice}.{GAINS_EACH - 1}", "output": 0, "target": "sum", "input": voice}
        for voice in range(VOICES)
    ]
    return [*edits, {"op": "connect", "source": "sum", "output": 0, "target": "out", "input": 0}]


def _build(stack: ExitStack) -> Call:
    """From edits to a schedule that is taken in; what the host's checks cost is not in it."""
    edits, kinds = voices(), Kinds()

    def build() -> None:
        with _built(edits, Runner(SAMPLERATE, FRAMES), kinds):
            pass

    return build


def _compile(stack: ExitStack) -> Call:
    """The schedule alone, of a graph that stands: what an edit of the structure does besides its own nodes."""
    runner = Runner(SAMPLERATE, FRAMES)
    builder = stack.enter_context(_built(voices(), runner, Kinds()))
    return lambda: builder.rewire(builder.wiring)


# ---- what they are done with


@contextmanager
def _status() -> Iterator[StatusPage]:
    name = f"counts{os.getpid()}"
    segment = create_status(name)
    page = StatusPage.attach(name)
    try:
        yield page
    finally:
        page.close()
        segment.unlink()
        segment.close()


@contextmanager
def _ring() -> Iterator[str]:
    """A ring of the chain's channels; a short one, for every page of it costs a program under valgrind dear."""
    segment = create_ring(segment_name(f"counts{os.getpid()}", "tap"), RingKind.TAP, CHANNELS, SAMPLERATE, 16 * FRAMES)
    try:
        yield segment.name
    finally:
        segment.unlink()
        segment.close()


@contextmanager
def _built(edits: Edits, runner: Runner, kinds: Kinds) -> Iterator[Builder]:
    """What the audio process makes of the edits, taken in by the runner."""
    builder = Builder(kinds, SAMPLERATE, FRAMES, runner.context)
    builder.wiring = Wiring({n: n for n in range(CHANNELS)}, {n: n for n in range(CHANNELS)})
    try:
        if edits:
            runner.mailbox.post(builder.build(edits))
            runner.run_edits()
        yield builder
    finally:
        for core in builder.graph.cores.values():
            core.close()


def _operations() -> Iterator[Operation]:
    same = list(GAINS)
    own = [[gain + 0.001 * channel for channel in range(CHANNELS)] for gain in GAINS]
    yield Operation("block, empty patch", lambda s: _block([], s), 200, 600)
    yield Operation("block, chain and tap", lambda s: _block(lambda ring: chain(same, ring=ring), s), 160, 480)
    yield Operation("block, chain of gains by channel", lambda s: _block(chain(own, tap=False), s), 160, 480)
    yield Operation("block, 1 000 nodes", lambda s: _block(voices(), s), 20, 60)
    yield Operation("tap write", _write, 320, 960)
    yield Operation("edit, a parameter of 4 nodes", lambda s: _edit(chain(tap=False), _values("gain1"), s), 40, 120, each=2)
    yield Operation("edit, structure of 4 nodes", lambda s: _edit(chain(tap=False), _structure("gain1"), s), 20, 60, each=2)
    yield Operation("edit, a parameter of 1 000 nodes", lambda s: _edit(voices(), _values("gain7.1"), s), 40, 120, each=2)
    yield Operation("edit, structure of 1 000 nodes", lambda s: _edit(voices(), _structure("gain7.1"), s), 3, 9, each=2, warm=4)
    yield Operation("schedule of 1 000 nodes, from edits", _build, 2, 6, warm=2)
    yield Operation("schedule of 1 000 nodes, compiled again", _compile, 4, 12, warm=4)


OPERATIONS = {operation.what: operation for operation in _operations()}
