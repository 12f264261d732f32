"""Fixtures of the sound servers. Each is started for the tests of a module and stopped by its process id.

The name of the JACK server is fixed, as one that is killed leaves files of its name in shared memory, so a lock keeps
two test runs from meeting in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from sound_servers import JACK_NAME, Server, needs, start_jack, start_pulse


@pytest.fixture(scope="session")
def jack_lock() -> Iterator[None]:
    """Only one test run on this machine uses the JACK server's name at a time."""
    lock = FileLock(Path(tempfile.gettempdir()) / f"asmu-jack-{JACK_NAME}.lock", timeout=110)
    try:
        lock.acquire()
    except Timeout:
        pytest.skip("hardware tier: another test run holds the JACK server")
    yield
    lock.release()


@pytest.fixture(scope="module")
def jack(jack_lock: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JACK server for the tests of a module."""
    needs("jackd", "jack_lsp")
    server = start_jack(tmp_path_factory.mktemp("jack"))
    yield server
    server.stop()


@pytest.fixture
def own_jack(jack_lock: None, tmp_path: Path) -> Iterator[Server]:
    """A JACK server for one test, which may kill it; not in a module that uses `jack`, whose server has the same name."""
    needs("jackd", "jack_lsp")
    server = start_jack(tmp_path)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PulseAudio server for the tests of a module."""
    needs("pulseaudio", "pactl")
    with tempfile.TemporaryDirectory(prefix="asmu-pulse-") as folder:
        server = start_pulse(Path(folder))
        yield server
        server.stop()


@pytest.fixture
def own_pulse() -> Iterator[Server]:
    """A PulseAudio server for one test, which may kill it."""
    needs("pulseaudio", "pactl")
    with tempfile.TemporaryDirectory(prefix="asmu-pulse-") as folder:
        server = start_pulse(Path(folder))
        yield server
        server.stop()
