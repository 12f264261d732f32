"""A besieged engine, and the way to the engine seen from outside that the end-to-end tests have."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "e2e"))

if TYPE_CHECKING:
    from besieged import Bystander
    from plain_engine import PlainEngine


@pytest.fixture(scope="module")
def engine(module_folders: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainEngine]:
    """Rings as small as they can be: the attackers may have as many as they like."""
    from plain_engine import PlainEngine

    with PlainEngine(
        "fuzzed", samplerate=8000.0, blocksize=64, ring_seconds=2.0, recordings=str(tmp_path_factory.mktemp("recordings"))
    ) as engine:
        yield engine
    assert engine.process.returncode == 0
    assert "Traceback" not in engine.words, engine.words[-5000:]


@pytest.fixture(scope="module")
def bystander(engine: PlainEngine) -> Bystander:
    from besieged import Bystander

    return Bystander(engine)
