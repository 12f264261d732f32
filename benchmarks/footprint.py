"""How much memory the processes of an engine take, and how much more the host takes for each client.

- ``processes``: the audio process and the host with nothing to do, with the 64-channel chain, and with 4096 gains; the disk
  process while it records the chain's 64 channels to a sound file, and to a recording folder.
- ``clients``: the host with 1 to 64 clients more that get all events: of this machine; of this machine, each with a node of 64
  channels of its own, connected to the inputs; and of another machine, with CURVE. Each is counted when its books are full.

`apart_mb` is what is resident without the pages of shared segments: a tap's ring of 10 s of 64 channels is 123 MB of samples,
which belong to all who read it, and which the system counts for each process from when that touched them. `share_mb` counts of
what several processes map (libraries) only a process's part. One MB is 1024 kB, a kB 1024 bytes. Linux.

    python -m benchmarks.footprint [--most 64] [--only processes|clients] [--hour]

``--hour``: whether they stay flat over one hour, with edits and a recording; the same as ``benchmarks.memory --minutes 60``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import asmu_control as asmu
from asmu_control.client import Client
from benchmarks import memory
from benchmarks._crowds import CROWDS, Crowd
from benchmarks._engine import CHANNELS, DEVICE, FRAMES, SAMPLERATE, running_chain
from benchmarks._growing import doubling, side_by_side
from benchmarks._memory import Size, share
from benchmarks._report import report

NODES = 4096
SETTLE_SECONDS, PATIENCE_SECONDS = 1.0, 15.0
GOALS = {"audio, 64-channel chain": "apart_mb at most 90", "clients": "kb_each at most 1024"}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=64, help="clients in the end (default %(default)s)")
    parser.add_argument("--only", choices=("processes", "clients"), help="one of the two")
    parser.add_argument("--hour", action="store_true", help="an hour of audio, edits and a recording instead")
    arguments = parser.parse_args()
    if arguments.hour:
        memory.run(60.0)
        return
    if arguments.only in (None, "processes"):
        rows = [*idle(), *with_the_chain(), *with_many_nodes()]
        report("footprint", rows, ["process", "with", "apart_mb", "own_mb", "share_mb", "rings_mb", "resident_mb"], GOALS)
    if arguments.only in (None, "clients"):
        rows = []
        for name, crowd in CROWDS.items():
            with crowd() as engine:
                rows += grow(name, engine, arguments.most)
        report("footprint_clients", rows, goals=GOALS)


def idle() -> Iterator[Row]:
    """Processes that have only been started."""
    with asmu.Interface(device=DEVICE, samplerate=SAMPLERATE, blocksize=FRAMES) as interface:
        interface.open()
        interface.start(drop=0)
        for process in ("audio", "host"):
            yield row(interface.client, process, "nothing")


def with_the_chain() -> Iterator[Row]:
    """The chain, and what records it."""
    recordings = {"a recording of 64 channels": "record", "a recording folder of 64 channels": "acquire"}
    with tempfile.TemporaryDirectory() as folder:
        for number, (what, kind) in enumerate(recordings.items()):
            with running_chain() as interface:
                if number == 0:
                    for process in ("audio", "host"):
                        yield row(interface.client, process, "64-channel chain")
                name = "chain.wav" if kind == "record" else "chain"
                interface.client.request(
                    {"type": kind, "node": "tap", ("path" if kind == "record" else "folder"): f"{folder}/{name}"}
                )
                time.sleep(3 * SETTLE_SECONDS)  # so that its buffers have been in use
                yield row(interface.client, "disk", what)


def with_many_nodes() -> Iterator[Row]:
    """As many gains of one channel as `NODES`, each with a connection at both ends."""
    channels = range(1, CHANNELS + 1)
    with asmu.Interface(device=DEVICE, samplerate=SAMPLERATE, blocksize=FRAMES, inputs=channels, outputs=channels) as interface:
        interface.open()
        interface.client.edit(side_by_side(NODES))
        interface.start(drop=0)
        for process in ("audio", "host"):
            yield row(interface.client, process, f"{NODES} gains")


def row(client: Client, process: str, what: str) -> Row:
    """The size of a process that has settled."""
    pid = client.request({"type": "status"})["processes"][process]["pid"]
    size = settled(pid)
    megabytes = {"apart": size.apart, "own": size.own, "share": share(pid), "rings": size.rings, "resident": size.resident}
    return {"process": process, "with": what} | {f"{name}_mb": round(value / 1024, 2) for name, value in megabytes.items()}


def settled(pid: int) -> Size:
    """The size of a process, rings apart, once it has not changed for a while, or has gone on changing for long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    size = Size.of(pid)
    while time.monotonic() < deadline:
        time.sleep(SETTLE_SECONDS)
        before, size = size, Size.of(pid)
        if size.apart == before.apart:
            break
    return size


def grow(name: str, crowd: Crowd, most: int) -> Iterator[Row]:
    """The host as clients join, and when all of them have gone again."""
    memory.fill_books(crowd.client)
    before = settled(crowd.host)
    clients: list[Client] = []
    for number in doubling(most):
        while len(clients) < number:
            clients.append(crowd.join(len(clients)))
        size = settled(crowd.host)
        each = round((size.apart - before.apart) / number, 1)
        yield {"clients": name, "number": number, "host_mb": round(size.apart / 1024, 2), "kb_each": each}
    for client in clients:
        client.close()
    yield {"clients": name, "number": "gone again", "host_mb": round(settled(crowd.host).apart / 1024, 2), "kb_each": ""}


if __name__ == "__main__":
    main()
