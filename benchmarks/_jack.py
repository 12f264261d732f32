"""A JACK server with its dummy driver for benchmarks: real PortAudio streams on a machine without a sound card."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

NAME = "asmu-benchmark"
"""Fixed, for a server that is killed leaves files of its name in shared memory."""
DEVICE = "portaudio:loopback"
_START_SECONDS = 10.0


def missing() -> str:
    """What is not installed here, for a reader; empty when all is there."""
    names = [program for program in ("jackd", "jack_lsp") if shutil.which(program) is None]
    if subprocess.run([sys.executable, "-c", "import sounddevice"], capture_output=True, check=False).returncode:
        names.append("PortAudio (libportaudio2)")
    return ", ".join(names)


@contextmanager
def jack_server(samplerate: int, period: int) -> Iterator[None]:
    """The server runs, and this process and those that it starts use it. It waits for its clients rather than drop a block."""
    before = {name: os.environ.get(name) for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER")}
    os.environ.update(JACK_DEFAULT_SERVER=NAME, JACK_NO_START_SERVER="1")
    words = f"jackd -n {NAME} -R -S -t 5000 -L 64 -d dummy -r {samplerate} -p {period}".split()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_ports(process)
        yield
    finally:
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _await_ports(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while b"loopback:" not in subprocess.run(["jack_lsp"], capture_output=True, check=False).stdout:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the JACK server did not start; another one of its name may run")
        time.sleep(0.05)
