"""A million damaged messages, sent by plain pyzmq: each is answered, the host stays what it was, and the audio goes on.

Seed and number of messages can be given: ``ASMU_FUZZ_SEED``, ``ASMU_FUZZ_MESSAGES``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from besieged import Attacker, Bystander, Sizes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_engine import PlainEngine, until

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1200)]

MESSAGES = int(os.environ.get("ASMU_FUZZ_MESSAGES", "1000000"))
SEED = int(os.environ.get("ASMU_FUZZ_SEED", "4"))
ATTACKERS = 4
IN_FLIGHT = 200
"""Messages of each attacker that wait for their answers."""
ROUNDS = 20
WARM_UP_ROUNDS = 5
GROWTH_MIB = 32.0
"""How much the host may grow after the warm-up: it remembers answers, keys and history, each up to a limit."""


@pytest.fixture(scope="module")
def engine(module_folders: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainEngine]:
    """Rings as small as they can be, of a slow device: the two seconds that they hold take it eight.

    So the recording of a bystander goes on without a gap, also where the attackers keep the disk process from its processor.
    """
    recordings = str(tmp_path_factory.mktemp("recordings"))
    device = "virtual:inputs=2,outputs=2,speed=0.25,buffer_s=60"
    settings: dict[str, Any] = {"device": device, "samplerate": 8000.0, "blocksize": 64, "ring_seconds": 2.0}
    with PlainEngine("fuzzed", recordings=recordings, **settings) as engine:
        yield engine
    assert engine.process.returncode == 0
    assert "Traceback" not in engine.words, engine.words[-5000:]


def test_every_damaged_message_is_answered_and_the_host_stays_as_it_was(
    engine: PlainEngine, bystander: Bystander, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attackers = [Attacker(engine, SEED + number, str(tmp_path / "nowhere")) for number in range(ATTACKERS)]
    sizes = Sizes(engine.pids()[:2])
    memory: list[float] = []
    things: list[tuple[int, int]] = []
    for round_ in range(ROUNDS):
        while sum(attacker.damaged for attacker in attackers) < MESSAGES * (round_ + 1) / ROUNDS:
            for attacker in attackers:
                attacker.send(IN_FLIGHT)
            bystander.ping()
            until(lambda: all([attacker.read() for attacker in attackers]), "the answers")
        bystander.check()
        bystander.tidy()
        memory.append(sizes.memory())
        if round_ == WARM_UP_ROUNDS - 1:
            things = sizes.things()
    for attacker in attackers:
        attacker.close()

    codes = sum((attacker.codes for attacker in attackers), Counter())
    with capsys.disabled():
        report = f"{sum(codes.values())} answers; the slowest ping took {bystander.slowest:.2f} s; host {memory} MiB; {codes}"
        print("\n" + report)  # noqa: T201 - for whoever runs it by hand
    assert [attacker.suspects for attacker in attackers] == [[]] * ATTACKERS
    assert codes["reply"] > 0
    assert codes["bad_message"] > 0
    assert max(memory[WARM_UP_ROUNDS:]) - memory[WARM_UP_ROUNDS - 1] < GROWTH_MIB
    until(lambda: sizes.things() <= things, "as few files and threads as after the warm-up")
    assert bystander.gaps() == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)
NAMES = st.sampled_from(["f0", "f1", "out", "in", "..", ""])
EDITS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "resize", "connect", "disconnect", "set", "call"]) | VALUES},
    optional={
        "node": NAMES | VALUES, "kind": st.sampled_from(["gain", "sine", "sum"]) | VALUES, "inputs": VALUES, "outputs": VALUES,
        "source": NAMES | VALUES, "target": NAMES | VALUES, "output": VALUES, "input": VALUES, "parameters": VALUES,
        "call": VALUES,
    },
)  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["transaction", "lease", "release", "history", "undo", "announce", "record", "value"]) | VALUES},
    optional={
        "edits": st.lists(EDITS, max_size=4) | VALUES, "at": VALUES, "key": VALUES, "nodes": st.lists(NAMES) | VALUES,
        "node": NAMES | VALUES, "path": VALUES, "since": VALUES, "revision": VALUES, "service": NAMES | VALUES, "x": VALUES,
    },
)  # fmt: skip


def test_whatever_structure_comes_is_answered(engine: PlainEngine, bystander: Bystander) -> None:
    stranger = engine.connect(role="operator")

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(REQUESTS, min_size=1, max_size=10))
    def answered(requests: list[dict[str, Any]]) -> None:
        for fields in requests:
            stranger.number += 1
            answer = stranger.raw(msgpack.packb({"v": 1, "id": stranger.number, **fields}))
            assert answer["type"] in ("reply", "error")
            assert answer.get("code") != "engine_failed", answer

    answered()
    stranger.result("release")
    bystander.tidy()
    bystander.check()
