"""What the relay takes: the share of a core, and the delay from the callback to a subscriber, for each form of the samples.

A private engine on the virtual device has noise of 64 channels at 48 kHz in a tap, 12.3 MB/s as float32. For each form a
relay of its own process, and in this process one subscriber over 127.0.0.1 with CURVE. Both ends' shares are taken in the
same stretch; the comparison is a process that sends as many random bytes, in messages as large, over the same kind of socket
and does nothing else. The delay is from the callback that wrote a message's last frames to the return of `read`.

    python -m benchmarks.relay [--seconds 10]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import zmq

import asmu_control as asmu
from asmu_control.relay.packing import FORMATS
from asmu_control.relay.relay import BLOCK
from asmu_control.remotetap import RemoteReader
from asmu_engine.protocol.keys import ClientKey, KeyRing
from benchmarks._report import percentile, report

SAMPLERATE, FRAMES, CHANNELS = 48000, 256, 64
GOALS = {"relay_percent": "little of a core; lost and skipped 0"}
ROOT = Path(__file__).resolve().parent.parent

# Sends as many bytes as the relay does, at the same pace.
SENDER = """
import sys, time, zmq
size, rate, public, secret = int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]
payload = b"x" * size
socket = zmq.Context().socket(zmq.PUB)
socket.curve_server, socket.curve_secretkey = True, secret.encode()
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
due = time.monotonic()
while True:
    due += 1 / rate
    time.sleep(max(0.0, due - time.monotonic()))
    socket.send_multipart([b"x", payload])
"""


class Share:
    """The share of a core that a process takes from here on."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began, self._used = time.monotonic(), self._seconds()

    def percent(self) -> float:
        """Of one core, since this was made."""
        return round(100 * (self._seconds() - self._used) / (time.monotonic() - self._began), 1)

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def new_key(ring: KeyRing, name: str) -> ClientKey:
    server = ring.server_key(zmq.curve_keypair)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    ring.allow(name, public, "observer")
    return ClientKey(name, public, secret, server.public)


@contextmanager
def process(arguments: list[str]) -> Iterator[tuple[int, str]]:
    """A Python process; its number and first line."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield child.pid, child.stdout.readline()
        finally:
            child.terminate()


def relayed(engine: str, node: str, key: ClientKey, form: str, seconds: float) -> dict[str, Any]:
    arguments = ["-m", "asmu_control", "relay", "--engine", engine, "--listen", "tcp://127.0.0.1:*", "--format", form]
    with process(arguments) as (pid, line):
        found = re.search(r"listens at (\S+),", line)
        assert found, line
        with RemoteReader(found[1], key, node) as reader:
            blocks = reader.blocks(BLOCK, timeout=5)
            for _ in range(SAMPLERATE // BLOCK):
                next(blocks)
            relay, own = Share(pid), Share(os.getpid())
            delays = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                block = next(blocks)
                delays.append((time.monotonic_ns() - block.monotonic_ns) / 1e6 - 1e3 * (BLOCK - FRAMES) / SAMPLERATE)
            return {
                "what": form,
                "relay_percent": relay.percent(),
                "subscriber_percent": own.percent(),
                "delay_p50_ms": round(percentile(delays, 50), 1),
                "delay_p99_ms": round(percentile(delays, 99), 1),
                "lost": reader.total_lost,
                "skipped": reader.total_skipped,
                "messages": len(delays),
            }


def plain(key: ClientKey, seconds: float) -> dict[str, Any]:
    public, secret = (part.decode() for part in zmq.curve_keypair())
    rate = SAMPLERATE / BLOCK
    with (
        process(["-c", SENDER, str(4 * BLOCK * CHANNELS), str(rate), public, secret]) as (pid, line),
        zmq.Context() as context,
        context.socket(zmq.SUB) as socket,
    ):
        socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
        socket.curve_serverkey = public.encode()
        socket.subscribe(b"")
        socket.connect(f"tcp://127.0.0.1:{int(line)}")
        socket.recv_multipart()
        sender, own = Share(pid), Share(os.getpid())
        count = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            socket.recv_multipart()
            count += 1
        return {
            "what": "bare ZeroMQ, float32",
            "relay_percent": sender.percent(),
            "subscriber_percent": own.percent(),
            "messages": count,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each form")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASMU_KEYS_DIR"] = str(Path(folder) / "keys")
        key = new_key(KeyRing(), "benchmark")
        interface = asmu.Interface(device="virtual:inputs=2,outputs=2", samplerate=SAMPLERATE, blocksize=FRAMES)
        noise, tap = asmu.generator.Noise(interface, channels=CHANNELS), asmu.analyzer.Tap(interface, channels=CHANNELS)
        for index in range(CHANNELS):
            noise.output(index).connect(tap.input(index))
        with interface.start():
            rows = [plain(key, seconds)]
            rows += [relayed(interface.client.engine, tap.name, key, form, seconds) for form in FORMATS]
    report("relay", rows, goals=GOALS)


if __name__ == "__main__":
    main()
