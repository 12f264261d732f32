"""A patch of many nodes, built as a user builds it from separate processors, and what changing it costs whom.

A voice is a Sine of its own frequency and four Gains behind it; a Sum mixes all voices to two outputs. 200 voices are 1 001
nodes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import asmu_control as asmu
from asmu_control.client import Client
from asmu_engine.audio.builder import Builder
from asmu_engine.audio.kinds import Kinds
from asmu_engine.audio.wiring import Wiring
from asmu_engine.rt.runner import Runner
from asmu_engine.shm.status import StatusPage
from benchmarks._engine import FRAMES, SAMPLERATE
from benchmarks._report import percentile

GAINS = 4
OUTPUTS = (1, 2)
Edits = Iterator[list[dict[str, Any]]]
_PATIENCE_S = 0.25
_LOOK_S = 0.0003


def silent_interface() -> asmu.Interface:
    """An interface whose engine is not up yet, on the virtual device with two outputs."""
    return asmu.Interface(device="virtual:inputs=2,outputs=2", samplerate=SAMPLERATE, blocksize=FRAMES, outputs=OUTPUTS)


def build_voices(interface: asmu.Interface, voices: int) -> None:
    """So many voices and their mix; 5 nodes each and one more."""
    mix = asmu.effect.Sum(interface, mode="sum")
    for number in range(voices):
        last = asmu.generator.Sine(interface, frequency=100.0 + number).output()
        for _ in range(GAINS):
            gain = asmu.effect.Gain(interface, gain=0.5)
            last.connect(gain.input())
            last = gain.output()
        last.connect(mix.input(number))
    for index, channel in enumerate(OUTPUTS):
        mix.output(index).connect(interface.ioutput(ch=channel))


@contextmanager
def running_voices(voices: int) -> Iterator[asmu.Interface]:
    """A private engine on the virtual device that runs so many voices; with none its patch is empty."""
    with silent_interface() as interface:
        with interface.edit():
            if voices:
                build_voices(interface, voices)
        interface.start(drop=0)
        yield interface


def value_edits(voices: int, seed: object = 1) -> Edits:
    """One gain after another, anywhere in the patch."""
    chance = random.Random(str(seed))
    while True:
        node = f"gain{chance.randrange(voices * GAINS) + 1}"
        yield [{"op": "set", "node": node, "parameters": {"gain": chance.uniform(0.1, 1.0)}}]


def node_edits(voices: int, number: int = 0, clients: int = 1) -> Edits:
    """A gain comes into the middle of a voice, between two others, and goes again; each of several clients has voices of its own.

    Every second edit leaves all as it was.
    """
    chance = random.Random(number)
    node = f"extra{number}"
    while True:
        before = chance.randrange(number, voices, clients) * GAINS + 2
        gains = f"gain{before}", f"gain{before + 1}"
        joined = {"op": "connect", "source": gains[0], "output": 0, "target": gains[1], "input": 0}
        cut = {"op": "disconnect", "target": gains[1], "input": 0}
        yield [
            cut,
            {"op": "add", "node": node, "kind": "gain", "inputs": 1, "outputs": 1, "parameters": {"gain": 0.5}},
            {**joined, "target": node},
            {**joined, "source": node},
        ]
        yield [cut, {"op": "remove", "node": node}, joined]


def mixed_edits(voices: int, number: int, clients: int, every: int) -> Edits:
    """Values, and at each so-manieth place a node that comes or goes, which leaves all as it was after every second; 0: never."""
    values, nodes = value_edits(voices, number), node_edits(voices, number, clients)
    count = 0
    while True:
        count += 1
        yield next(nodes if every and count % every == 0 else values)


def built(nodes: int, voices: int) -> dict[str, Any]:
    """What a script that builds so many voices waits for: without an engine, and in one transaction of one that runs."""
    interface = silent_interface()
    began = time.perf_counter()
    with interface.edit():
        build_voices(interface, voices)
    script = time.perf_counter() - began
    began = time.perf_counter()
    with running_voices(0) as live:
        started = time.perf_counter()
        with live.edit():
            build_voices(live, voices)
        running = time.perf_counter() - started
    return {"what": f"built: {nodes} nodes", "script_ms": round(1e3 * script, 1), "running_ms": round(1e3 * running, 1)}


def one_at_a_time(what: str, client: Client, page: StatusPage, edits: Edits, count: int) -> dict[str, Any]:
    """Latencies and the block of each edit, at moments that have nothing to do with the blocks'; processor time in a burst."""
    pids = {name: process["pid"] for name, process in client.status()["processes"].items() if process}
    pauses = random.Random(2)
    taken: list[float] = []
    blocks: list[float] = []
    for _ in range(count):
        edit = next(edits)
        began = time.perf_counter()
        at = client.edit(edit)["at"]
        taken.append(1e3 * (time.perf_counter() - began))
        took = callback_of(page, at)
        blocks += [] if took is None else [took]
        time.sleep(pauses.uniform(0, 2 * FRAMES / SAMPLERATE))
    # Without pauses: what the processes do besides, from time to time, is little then.
    before = {name: thread_seconds(pids[name]) for name in ("host", "audio")}
    for _ in range(count):
        client.edit(next(edits))
    after = {name: thread_seconds(pids[name]) for name in ("host", "audio")}
    return {
        "what": what,
        "edits": count,
        "p50_ms": round(percentile(taken, 50), 3),
        "p99_ms": round(percentile(taken, 99), 3),
        "max_ms": round(max(taken), 3),
        "host_ms": round(1e3 * (sum(after["host"].values()) - sum(before["host"].values())) / count, 3),
        "control_ms": round(1e3 * (after["audio"][pids["audio"]] - before["audio"][pids["audio"]]) / count, 3),
        "block_p50_us": round(percentile(blocks, 50), 1),
        "block_p99_us": round(percentile(blocks, 99), 1),
        "blocks_seen": len(blocks),
    }


def callback_of(page: StatusPage, at: int) -> float | None:
    """Callback time in microseconds of the block that an edit took effect with; None where that was not seen in time."""
    deadline = time.monotonic() + _PATIENCE_S
    while page.counter("frame_position") <= at and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    time.sleep(_LOOK_S)  # the time is written a little after the position
    took = page.counter("callback_last_ns") / 1e3
    return took if at < page.counter("frame_position") <= at + FRAMES else None


def thread_seconds(pid: int) -> dict[int, float]:
    """Processor time in seconds of each thread of a process; that whose number is the process's own is its main thread."""
    times: dict[int, float] = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        try:
            times[int(folder.name)] = int((folder / "schedstat").read_text(encoding="ascii").split()[0]) * 1e-9
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has just ended
    return times


def taken_in(voices: int, count: int) -> list[dict[str, Any]]:
    """What taking an edit in costs the callback: the runner's own step, in this process, without any other work beside it."""
    interface = silent_interface()
    with interface.edit():
        build_voices(interface, voices)
    runner = Runner(SAMPLERATE, FRAMES)
    builder = Builder(Kinds(()), SAMPLERATE, FRAMES, runner.context)
    builder.wiring = Wiring({}, {0: 0, 1: 1})
    runner.mailbox.post(builder.build(interface._patch.graph.edits()))
    runner.run_edits()
    indata, outdata = np.zeros((FRAMES, 0), np.float32), np.zeros((FRAMES, 2), np.float32)
    rows = []
    for what, edits in (("parameter", value_edits(voices)), ("structure", node_edits(voices))):
        building, taking = [], []
        for _ in range(count):
            edit = next(edits)
            building.append(1e3 * timed(lambda: runner.mailbox.post(builder.build(edit))))  # noqa: B023 - called right here
            taking.append(1e6 * timed(runner.run_edits))
            runner.mailbox.collect()
            runner(indata, outdata, 0, 0, 0, 0.0)  # so that ramps end as they do in life
        rows.append(
            {
                "what": f"taken in by the callback: {what}",
                "edits": count,
                "control_ms": round(percentile(building, 50), 3),
                "block_p50_us": round(percentile(taking, 50), 1),
                "block_p99_us": round(percentile(taking, 99), 1),
            }
        )
    return rows


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
