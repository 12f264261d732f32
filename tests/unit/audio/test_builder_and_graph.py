"""Transactions to prepared edits, wiring to copies, cycles."""

import numpy as np
import pytest

from asmu_engine.audio.compiler import Wiring
from asmu_engine.local import LocalEngine
from asmu_engine.protocol.errors import DeviceError, PatchError

RATE, BLOCK = 48000, 64


@pytest.fixture
def engine():
    engine = LocalEngine(RATE, BLOCK, inputs=4, outputs=4)
    yield engine
    engine.close()


def add(node: str, kind: str, inputs: int = 0, outputs: int = 0, **parameters: object) -> dict[str, object]:
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source: str, output: int, target: str, port: int) -> dict[str, object]:
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def test_inputs_pass_to_outputs_unchanged_and_permuted(engine):
    engine.edit([connect("in", 0, "out", 0), connect("in", 3, "out", 1), connect("in", 1, "out", 3)])
    indata = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
    out = engine.render(200, indata)
    assert np.array_equal(out[:, [0, 1, 3]], indata[:, [0, 3, 1]])
    assert not out[:, 2].any()


def test_a_wide_path_is_read_in_place(engine):
    engine.edit([add("a", "delay", 4, 4), add("b", "gain", 4, 4)])
    engine.edit([*(connect("in", n, "a", n) for n in range(4)), *(connect("a", n, "b", n) for n in range(4))])
    engine.edit([connect("b", n, "out", n) for n in range(4)])
    first, second = engine.runner.schedule.steps
    assert first.inputs is None
    assert second.inputs is first.outputs
    assert not first.gathers
    assert not second.gathers


def test_a_permuted_path_is_gathered_in_runs(engine):
    engine.edit([add("a", "gain", 4, 4), add("b", "gain", 4, 4)])
    engine.edit([*(connect("in", n, "a", n) for n in range(4)), *(connect("a", n, "b", (n + 2) % 4) for n in range(4))])
    indata = np.random.default_rng(0).standard_normal((BLOCK, 4)).astype(np.float32)
    engine.edit([connect("b", n, "out", n) for n in range(4)])
    assert len(engine.runner.schedule.steps[1].gathers) == 2
    assert np.array_equal(engine.render(BLOCK, indata), np.roll(indata, 2, axis=1))


def test_order_follows_the_signal_not_the_creation(engine):
    engine.edit([add("late", "gain", 1, 1, gain=2.0), add("early", "constant", 0, 1, value=1.0)])
    engine.edit([connect("early", 0, "late", 0), connect("late", 0, "out", 0)])
    assert (engine.render(BLOCK)[:, 0] == 2).all()


def test_state_survives_edits_elsewhere_and_a_resize(engine):
    engine.edit([add("s", "sine", 0, 1, frequency=1000.0), connect("s", 0, "out", 0)])
    first = engine.render(100)
    engine.edit([add("other", "constant", 0, 1)])
    second = engine.render(100)
    engine.edit([{"op": "resize", "node": "s", "inputs": 0, "outputs": 2}, connect("s", 1, "out", 1)])
    third = engine.render(100)
    heard = np.concatenate([first[:, 0], second[:, 0], third[:, 0]])
    assert np.abs(heard - np.sin(2 * np.pi * 1000 * np.arange(300) / RATE)).max() < 1e-7
    assert np.array_equal(third[:, 0], third[:, 1])


def test_removing_a_node_silences_what_it_fed(engine):
    engine.edit([add("c", "constant", 0, 1), add("g", "gain", 1, 1), connect("c", 0, "g", 0), connect("g", 0, "out", 0)])
    assert engine.render(BLOCK)[:, 0].all()
    engine.edit([{"op": "remove", "node": "c"}])
    assert not engine.render(BLOCK).any()


def test_disconnect_and_reconnect(engine):
    engine.edit([add("c", "constant", 0, 1), connect("c", 0, "out", 0)])
    engine.edit([{"op": "disconnect", "target": "out", "input": 0}])
    assert not engine.render(BLOCK).any()


def test_a_cycle_is_refused_with_its_path_and_nothing_changes(engine):
    engine.edit([add("c", "constant", 0, 1), connect("c", 0, "out", 0)])
    with pytest.raises(PatchError, match=r"cycle: (a -> b -> a|b -> a -> b); put a delay") as caught:
        engine.edit([add("a", "gain", 1, 1), add("b", "gain", 1, 1), connect("a", 0, "b", 0), connect("b", 0, "a", 0)])
    assert caught.value.code == "cycle"
    assert (engine.render(BLOCK)[:, 0] == 1).all()
    engine.edit([add("a", "gain", 1, 1)])  # the name is free: nothing of the refused transaction stayed


def test_a_cycle_through_a_delay_of_a_block_is_an_echo(engine):
    delay = 100
    engine.edit(
        [
            add("mix", "sum", 2, 1, mode="sum"),
            add("back", "delay", 1, 1, frames=delay),
            add("half", "gain", 1, 1, gain=0.5),
            connect("in", 0, "mix", 0),
            connect("mix", 0, "back", 0),
            connect("back", 0, "half", 0),
            connect("half", 0, "mix", 1),
            connect("mix", 0, "out", 0),
        ]
    )
    indata = np.zeros((450, 4), dtype=np.float32)
    indata[0, 0] = 1
    expected = np.zeros(450)
    expected[[0, 100, 200, 300, 400]] = [1, 0.5, 0.25, 0.125, 0.0625]
    assert np.array_equal(engine.render(450, indata)[:, 0], expected)


def test_a_delay_in_a_cycle_cannot_become_shorter_than_a_block(engine):
    engine.edit([add("d", "delay", 1, 1, frames=BLOCK, maximum=1000), add("g", "gain", 1, 1, gain=0.1)])
    engine.edit([connect("d", 0, "g", 0), connect("g", 0, "d", 0)])
    with pytest.raises(PatchError, match="cycle"):
        engine.edit([{"op": "set", "node": "d", "parameters": {"frames": BLOCK - 1}}])
    engine.edit([{"op": "set", "node": "d", "parameters": {"frames": 900}}])


def test_channels_of_a_device_are_mapped_each_on_its_own(engine):
    engine.edit([connect("in", 1, "out", 3)])
    engine.runner.schedule = engine._builder.rewire(Wiring({1: 0}, {3: 0, 0: 1}))
    indata = np.arange(BLOCK, dtype=np.float32)[:, None]
    outdata = np.empty((BLOCK, 2), dtype=np.float32)
    engine.runner(indata, outdata, 0, 0, 0, 0.0)
    assert np.array_equal(outdata[:, 0], indata[:, 0])
    assert not outdata[:, 1].any()


def test_a_channel_that_is_not_open_is_refused_by_name(engine):
    with pytest.raises(DeviceError, match=r"output channel 9 is not open; open are: 1, 2, 3, 4"):
        engine.edit([add("c", "constant", 0, 1), connect("c", 0, "out", 8)])


def test_deep_chains_need_no_recursion(engine):
    count = 3000
    edits = [add(f"g{n}", "gain", 1, 1) for n in range(count)]
    edits += [connect(f"g{n}", 0, f"g{n + 1}", 0) for n in reversed(range(count - 1))]
    engine.edit([*edits, connect("in", 0, "g0", 0), connect(f"g{count - 1}", 0, "out", 0)])
    indata = np.ones((BLOCK, 4), dtype=np.float32)
    assert (engine.render(BLOCK, indata)[:, 0] == 1).all()


def test_a_core_that_cannot_be_prepared_changes_nothing(tmp_path):
    plugin = tmp_path / "fragile_core.py"
    plugin.write_text(
        "from asmu_engine.rt.acore import AEffect\n"
        "class AFragile(AEffect):\n"
        "    kind = 'fragile'\n"
        "    def prepare(self):\n"
        "        raise MemoryError('no room')\n"
        "    def process(self, inputs, outputs): outputs[...] = inputs\n"
    )
    engine = LocalEngine(RATE, BLOCK, plugins=[str(plugin)])
    engine.edit([add("c", "constant", 0, 1), connect("c", 0, "out", 0)])
    with pytest.raises(PatchError, match="f: the core cannot be prepared: MemoryError: no room") as caught:
        engine.edit([{"op": "remove", "node": "c"}, add("f", "fragile", 1, 1)])
    assert caught.value.code == "core_failed"
    assert (engine.render(BLOCK)[:, 0] == 1).all()
    engine.close()
