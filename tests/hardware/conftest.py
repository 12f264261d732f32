"""Fixtures of the sound servers. Each is started for the tests of a module and stopped by its process id.

The name of the JACK server is fixed, as one that is killed leaves 100 MB of its name in shared memory until the next one of that
name starts. So a lock keeps two test runs, and two processes of one, from meeting in it: a module holds it, the others wait.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from sound_servers import JACK_NAME, Server, needs, start_jack, start_pulse

LOCK_SECONDS = 600.0
"""Many times what all tests that use a JACK server take, one after the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever waits for the lock does not hang."""
    for item in items:
        if "jack_lock" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(LOCK_SECONDS + 120.0))


@pytest.fixture(scope="module")
def jack_lock() -> Iterator[None]:
    """Only the tests of one module on this machine use the JACK server's name at a time."""
    lock = FileLock(Path(tempfile.gettempdir()) / f"asmu-jack-{JACK_NAME}.lock", timeout=LOCK_SECONDS)
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
