"""Sound servers without a sound card: JACK with its dummy driver, PulseAudio with a null sink. Streams run in child processes.

And what tells a stream that is wrong from a machine that had no time for it: when the engine's newest block was due, and how long
this machine itself stood still.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from asmu_engine.shm.segment import list_segments, segment_engine
from asmu_engine.shm.status import StatusPage

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JACK_NAME = "ci"
JACK_RATE = 48000
JACK_PERIOD = 1024


@dataclass
class Server:
    """A running sound server: `env` for the processes that use it, `process` to kill or freeze."""

    process: subprocess.Popen[bytes]
    env: dict[str, str]
    log: Path
    device: str
    facts: dict[str, Any] = field(default_factory=dict)

    def command(self, *words: str) -> str:
        """Output of a command-line tool that talks to the server."""
        return subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=20, check=True).stdout

    def stop(self) -> None:
        """End the server, frozen or not."""
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5.0)


def needs(*programs: str) -> None:
    """Skip, with the reason, unless PortAudio and these programs are installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not sys.platform.startswith("linux"):
        missing.append("Linux")
    if subprocess.run([sys.executable, "-c", "import sounddevice"], capture_output=True, check=False).returncode:
        missing.append("PortAudio (libportaudio2)")
    if missing:
        pytest.skip(f"hardware tier: not installed: {', '.join(missing)}")


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until `condition` holds; fail with `what` when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} within {seconds} s", pytrace=False)
        time.sleep(0.02)


def answers(env: dict[str, str], *words: str, expected: str = "") -> bool:
    try:
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and expected in done.stdout


def start_jack(folder: Path, rate: int = JACK_RATE, period: int = JACK_PERIOD, *, synchronous: bool = True) -> Server:
    """jackd with its dummy driver and 64 loopback channels; `synchronous`: a stalled client loses nothing.

    But then one that is killed while it runs makes the server wait for it for 50 s, and every other client with it.
    """
    env = {**os.environ, "JACK_DEFAULT_SERVER": JACK_NAME, "JACK_NO_START_SERVER": "1"}
    mode = "-S -t 5000" if synchronous else "-t 1000"
    words = f"jackd -n {JACK_NAME} -R {mode} -L 64 -d dummy -r {rate} -p {period}".split()
    log = folder / "jack.log"
    with log.open("wb") as out:
        process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    server = Server(process, env, log, "portaudio:loopback", {"rate": rate, "period": period})
    try:
        until(lambda: answers(env, "jack_lsp", expected="loopback:"), 30.0, "the JACK server did not start")
        # Another server of the name would answer in its place.
        assert process.poll() is None, log.read_text()
    except BaseException:
        server.stop()
        raise
    return server


def start_pulse(folder: Path) -> Server:
    """PulseAudio with a null sink whose monitor is the loopback."""
    socket = f"unix:{folder}/pulse.sock"
    env = {**os.environ, "PULSE_SERVER": socket, "JACK_DEFAULT_SERVER": "none", "JACK_NO_START_SERVER": "1"}
    words = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
    words += ["-L", f"module-native-protocol-unix socket={folder}/pulse.sock auth-anonymous=1"]
    sink = "sink_name=loop rate=48000 channels=2 format=float32le norewinds=1 channel_map=front-left,front-right"
    words += ["-L", f"module-null-sink {sink}"]
    log = folder / "pulse.log"
    with log.open("wb") as out:
        own = {**env, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
        process = subprocess.Popen(words, env=own, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    server = Server(process, env, log, "portaudio:pulse", {"rate": 48000})
    try:
        until(lambda: answers(env, "pactl", "info"), 30.0, "PulseAudio did not start")
        server.command("pactl", "set-default-sink", "loop")
        server.command("pactl", "set-default-source", "loop.monitor")
    except BaseException:
        server.stop()
        raise
    return server


class Due(NamedTuple):
    """When a block was due: the position of its first frame, on the monotonic clock and in UTC."""

    position: int
    monotonic_ns: int
    utc_ns: int


def newest_block() -> Due:
    """Of the only engine that runs here; all zero before its first block."""
    (engine,) = {str(segment_engine(name)) for name in list_segments()}
    page = StatusPage.attach(engine)
    try:
        return Due(*page.clock()[:3])
    finally:
        page.close()


class Standstill:
    """For how long this machine did nothing: ``seconds`` by which a thread that sleeps a little came late, all together."""

    TICK_S = 0.01

    def __init__(self) -> None:
        self.seconds = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.wait(self.TICK_S):
            now = time.monotonic()
            self.seconds += max(0.0, now - last - self.TICK_S)
            last = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()


def child(server: Server, scene: str, **settings: Any) -> subprocess.Popen[str]:
    """A process that plays one scene of `stream_scenes.py` against the server and prints JSON lines."""
    env = {**server.env, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, str(HERE / "stream_scenes.py"), scene, json.dumps(settings)]
    return subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def played(server: Server, scene: str, timeout: float = 60.0, **settings: Any) -> dict[str, Any]:
    """What a scene printed last; a scene that fails or hangs fails the test with its stderr."""
    process = child(server, scene, **settings)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"scene {scene} hung:\n{out}\n{err}")
    if process.returncode:
        pytest.fail(f"scene {scene} failed with {process.returncode}:\n{err}")
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result
