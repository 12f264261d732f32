"""Transactions that wait for their frame position in the audio process: armed, taken, withdrawn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asmu_engine.audio.engine import AudioEngine
from asmu_engine.protocol.errors import EngineError
from asmu_engine.rt.runner import Runner
from asmu_engine.shm.create import create_ring
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.ring import RingKind
from asmu_engine.shm.segment import segment_name

RATE, BLOCK = 48000, 64
Edit = dict[str, Any]


class Heard(Runner):
    """A runner that keeps what it gave to the device."""

    def __call__(self, indata: Any, outdata: Any, *rest: Any) -> bool:
        goes_on = super().__call__(indata, outdata, *rest)
        self.__dict__.setdefault("blocks", []).append(outdata.copy())
        return goes_on


def make(device: str = "offline:inputs=1,outputs=1,stepped=1") -> AudioEngine:
    engine = AudioEngine(device, RATE, BLOCK)
    engine.runner.__class__ = Heard
    return engine


@pytest.fixture
def engine() -> Iterator[AudioEngine]:
    engine = make()
    yield engine
    engine.close()


def heard(engine: AudioEngine) -> np.ndarray:
    return np.concatenate(engine.runner.__dict__["blocks"])[:, 0]


def add(node: str, kind: str, inputs: int = 0, outputs: int = 0, **parameters: Any) -> Edit:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source: str, output: int, target: str, port: int) -> Edit:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def change(node: str, **parameters: Any) -> Edit:
    return {"op": "set", "node": node, "parameters": parameters}


def armed(*entries: tuple[int, list[Edit]]) -> list[Edit]:
    return [{"tag": tag, "at": at, "edits": edits} for tag, (at, edits) in enumerate(entries, 1)]


CONSTANT = [add("c", "constant", 0, 1, value=1.0), connect("c", 0, "out", 0)]
SWAP = [
    {"op": "remove", "node": "c"},
    add("d", "constant", 0, 1, value=5.0),
    connect("d", 0, "out", 0),
]


def taken(engine: AudioEngine) -> list[tuple[int, int]]:
    return [(notice["tag"], notice["at"]) for notice in engine.tidy() if notice["event"] == "taken"]


def test_each_takes_effect_between_the_two_samples_it_names(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    later = armed((10, [change("c", value=2.0)]), (100, SWAP), (101, [change("d", value=6.0)]), (192, [change("d", value=7.0)]))
    assert engine.arm(later) == {"armed": 4}
    engine.step(4)
    n = np.arange(256)
    assert np.array_equal(heard(engine), np.select([n < 10, n < 100, n < 101, n < 192], [1, 2, 5, 6], 7))
    assert taken(engine) == [(1, 10), (2, 100), (3, 101), (4, 192)]


def test_before_the_first_frame_with_the_start(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    result = engine.start(armed=armed((0, [change("c", value=3.0)]), (1, SWAP)))
    assert result["armed"] == 2
    engine.step(1)
    assert heard(engine)[:2].tolist() == [3.0, 5.0]


def test_several_for_one_frame_go_in_their_order(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    engine.arm(armed(*((50, [change("c", value=float(value))]) for value in range(9))))
    engine.step(1)
    assert set(heard(engine)[50:]) == {8.0}


def test_an_edit_for_the_next_block_overtakes_armed_values(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    engine.arm(armed((30, [change("c", value=4.0)])))
    assert engine.edit([change("c", value=2.0)]) == 0
    engine.step(1)
    assert np.array_equal(heard(engine), np.where(np.arange(64) < 30, 2.0, 4.0))


def test_one_that_is_late_is_taken_at_once_and_says_where(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    engine.step(2)
    engine.arm(armed((5, [change("c", value=4.0)])))
    engine.step(1)
    assert taken(engine) == [(1, 128)]


def test_structure_does_not_change_under_armed_edits(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    engine.arm(armed((10, [change("c", value=4.0)]), (30, [add("g", "gain", 1, 1)])))
    with pytest.raises(EngineError, match="withdraw them"):
        engine.edit(SWAP)
    engine.step(1)
    engine.edit(SWAP)  # what was taken is not in the way


def test_structure_may_change_beside_armed_values_of_other_cores(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    engine.arm(armed((100, [change("c", value=4.0)])))
    engine.edit([add("g", "constant", 0, 1, value=9.0)])
    engine.step(1)
    engine.edit([{"op": "disconnect", "target": "out", "input": 0}, connect("g", 0, "out", 0)])
    engine.step(1)
    engine.withdraw()
    engine.edit([{"op": "disconnect", "target": "out", "input": 0}, connect("c", 0, "out", 0)])
    engine.step(1)
    n = np.arange(192)
    assert np.array_equal(heard(engine), np.select([n < 64, n < 128], [1, 9], 4))


def test_withdrawn_edits_leave_no_trace_and_can_be_armed_again(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    later = armed((10, [change("c", value=2.0)]), (100, SWAP), (120, [change("d", value=6.0)]))
    engine.arm(later)
    engine.step(1)
    engine.withdraw()
    engine.step(1)
    engine.edit([add("g", "gain", 1, 1, gain=10.0)])
    engine.edit([{"op": "disconnect", "target": "out", "input": 0}, connect("c", 0, "g", 0), connect("g", 0, "out", 0)])
    engine.step(1)
    engine.arm([{"tag": 9, "at": 200, "edits": [change("c", value=0.5)]}])
    engine.step(1)
    n = np.arange(256)
    assert np.array_equal(heard(engine), np.select([n < 10, n < 128, n < 200], [1, 2, 20], 5))
    assert taken(engine) == [(1, 10), (9, 200)]


def test_the_first_that_cannot_be_built_ends_the_arming(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    broken = [change("nobody", value=1.0)]
    result = engine.arm(armed((10, [change("c", value=2.0)]), (20, broken), (30, [change("c", value=3.0)])))
    assert (result["armed"], result["error"]["code"]) == (1, "engine_failed")
    through_itself = [add("x", "gain", 1, 1), connect("x", 0, "x", 0)]
    assert engine.arm(armed((40, through_itself)))["error"]["code"] == "cycle"
    engine.step(1)
    assert np.array_equal(heard(engine), np.where(np.arange(64) < 10, 1.0, 2.0))


def test_without_a_running_device_nothing_is_armed_and_a_stop_withdraws(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    assert engine.arm(armed((10, SWAP))) == {"armed": 0, "running": False}
    engine.start()
    engine.arm(armed((100, SWAP)))
    engine.step(1)
    engine.stop()
    engine.edit([change("c", value=9.0)])
    engine.start(reset=False)
    engine.step(1)
    assert heard(engine).tolist() == [1.0] * 64 + [9.0] * 64


def test_values_follow_resizes_in_the_order_of_effect(engine: AudioEngine) -> None:
    engine.edit([add("c", "constant", 0, 1, value=1.0), connect("c", 0, "out", 0)])
    engine.start()
    grow = [{"op": "resize", "node": "c", "inputs": 0, "outputs": 2}]
    engine.arm(armed((10, [change("c", value=[2.0])]), (20, grow), (30, [change("c", value=[3.0, 4.0])])))
    engine.step(1)
    n = np.arange(64)
    assert np.array_equal(heard(engine), np.select([n < 10, n < 30], [1, 2], 3))
    engine.edit([{"op": "resize", "node": "c", "inputs": 0, "outputs": 3}])
    assert engine._builder.graph.cores["c"].value.tolist() == [3.0, 4.0, 4.0]  # type: ignore[attr-defined]


def test_values_given_now_outlive_a_withdrawal(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    engine.arm(armed((100, [change("c", value=7.0)])))
    engine.edit([change("c", value=2.0)])
    engine.withdraw()
    engine.edit([{"op": "resize", "node": "c", "inputs": 0, "outputs": 2}])
    engine.step(2)
    assert set(heard(engine)) == {2.0}


def test_a_resize_keeps_the_value_that_was_given_last_whichever_way_it_came(engine: AudioEngine) -> None:
    engine.edit(CONSTANT)
    engine.start()
    engine.arm(armed((10, [change("c", value=7.0)])))
    engine.step(1)
    engine.edit([change("c", value=2.0)])
    engine.step(1)
    engine.edit([{"op": "resize", "node": "c", "inputs": 0, "outputs": 2}])
    engine.step(1)
    engine.arm([{"tag": 2, "at": 200, "edits": [change("c", value=[3.0, 4.0])]}])
    engine.edit([change("c", value=[5.0, 6.0])])
    engine.step(1)
    engine.edit([{"op": "resize", "node": "c", "inputs": 0, "outputs": 1}])
    engine.step(1)
    n = np.arange(320)
    assert np.array_equal(heard(engine), np.select([n < 10, n < 64, n < 192, n < 200], [1, 7, 2, 5], 3))


def test_cores_made_for_what_is_withdrawn_are_closed(engine: AudioEngine) -> None:
    name = segment_name("armed", "tap")
    ring = create_ring(name, RingKind.TAP, 1, RATE, 1024)
    try:
        engine.edit(CONSTANT)
        engine.start()
        engine.arm(armed((100, [{**add("t", "tap", 1, 0), "ring": name}, connect("c", 0, "t", 0)])))
        reader = RingReader(name)
        assert not reader.closed
        engine.withdraw()
        assert reader.closed
        reader.close()
        assert "t" not in engine._builder.graph.cores
    finally:
        ring.unlink()
        ring.close()


def test_a_device_without_a_clock_is_held_until_all_is_armed_again() -> None:
    engine = make("offline:inputs=1,outputs=1")
    try:
        engine.edit(CONSTANT)
        engine.start(hold=True, armed=armed((640, [change("c", value=2.0)])))
        assert engine.runner.position == 0
        assert engine.arm([])["armed"] == 0
        while engine.runner.position < 128:
            pass
        engine.withdraw()
        position = engine.runner.position
        at = position + 33
        engine.edit([change("c", value=3.0)])
        assert engine.runner.position == position
        engine.arm([{"tag": 2, "at": at, "edits": [change("c", value=4.0)]}])
        while engine.runner.position < at + 64:
            pass
        engine.stop()
        sound = heard(engine)
        assert set(sound[position:at]) == {3.0}
        assert set(sound[at:]) == {4.0}
    finally:
        engine.close()


def _hammer(engine: AudioEngine, over: threading.Event, step: Callable[[], None]) -> None:
    while not over.is_set():
        step()


def test_withdrawing_and_arming_against_a_running_stream_loses_and_doubles_nothing() -> None:
    """The control thread arms, withdraws and changes structure while another thread calls back as fast as it can."""
    engine = make("virtual:inputs=1,outputs=1,speed=1000")
    indata, outdata = np.zeros((BLOCK, 0), np.float32), np.zeros((BLOCK, 1), np.float32)
    engine._builder.wiring = type(engine._builder.wiring)({}, {0: 0})
    engine._device = _Running()  # the test's own thread stands for the device
    over = threading.Event()
    thread = threading.Thread(target=_hammer, args=(engine, over, lambda: engine.runner(indata, outdata, 0, 0, 0, 0.0)))
    counted: dict[int, int] = {}
    try:
        thread.start()
        engine.edit(CONSTANT)
        waiting: dict[int, Edit] = {}
        tag = 0
        for _ in range(200):
            position = engine.runner.position
            for ahead in (40, 90, 2000):
                tag += 1
                node = f"n{tag}"
                edits = [add(node, "constant", 0, 1, value=float(tag)), {"op": "remove", "node": node}]
                waiting[tag] = {"tag": tag, "at": position + ahead, "edits": edits}
            engine.withdraw()
            for notice in engine.tidy():
                if notice["event"] == "taken":
                    counted[notice["tag"]] = counted.get(notice["tag"], 0) + 1
                    waiting.pop(notice["tag"])
            engine.edit([add(f"x{tag}", "gain", 1, 1)])
            engine.edit([{"op": "remove", "node": f"x{tag}"}])
            assert engine.arm(sorted(waiting.values(), key=lambda one: (one["at"], one["tag"]))) == {"armed": len(waiting)}
        last = max(engine.runner.position, *(one["at"] for one in waiting.values()))
        while engine.runner.position <= last + 2 * BLOCK:
            pass
    finally:
        over.set()
        thread.join()
        for notice in engine.tidy():
            if notice["event"] == "taken":
                counted[notice["tag"]] = counted.get(notice["tag"], 0) + 1
        engine._device = None
        engine.close()
    wrong = {number: counted.get(number, 0) for number in range(1, tag + 1) if counted.get(number, 0) != 1}
    assert not wrong


class _Running:
    running, paced = True, True

    def stop(self) -> None:
        pass

    close = stop


def test_a_core_that_cannot_be_closed_does_not_keep_the_others_from_being_had_back(tmp_path: Path) -> None:
    plugin = tmp_path / "clinging_core.py"
    plugin.write_text(
        "from asmu_engine.rt.acore import AEffect\n"
        "class AClinging(AEffect):\n"
        "    kind = 'clinging'\n"
        "    def process(self, inputs, outputs): outputs[...] = inputs\n"
        "    def close(self): raise OSError('it clings')\n"
    )
    engine = AudioEngine("offline:inputs=1,outputs=1,stepped=1", RATE, BLOCK, plugins=[str(plugin)])
    engine.edit([add("c", "constant", 0, 1, value=1.0), connect("c", 0, "out", 0)])
    engine.start()
    armed = [
        {"tag": 1, "at": 100, "edits": [add("a", "clinging", 1, 1)]},
        {"tag": 2, "at": 200, "edits": [change("c", value=2.0)]},
    ]
    assert engine.arm(armed) == {"armed": 2}
    engine.withdraw()
    assert [(said["event"], said["node"]) for said in engine.tidy()] == [("core_failed", "a")]
    assert engine.arm(armed[1:]) == {"armed": 1}  # nothing of it is left
    engine.step(4)
    assert engine.tidy() == [{"event": "taken", "tag": 2, "at": 200}]
    engine.close()
