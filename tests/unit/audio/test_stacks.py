"""What runs together, what sleeps, and what is not copied."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from asmu_engine.local import LocalEngine
from asmu_engine.rt.schedule import OUTPUT
from asmu_engine.shm.create import create_ring
from asmu_engine.shm.reader import RingReader
from asmu_engine.shm.ring import RingKind
from asmu_engine.shm.segment import segment_name

BLOCK = 64


def add(node, kind, inputs, outputs, **parameters):
    return {"op": "add", "node": node, "kind": kind, "inputs": inputs, "outputs": outputs, "parameters": parameters}


def connect(source, output, target, port):
    return {"op": "connect", "source": source, "output": output, "target": target, "input": port}


def put(node, **parameters):
    return {"op": "set", "node": node, "parameters": parameters}


@pytest.fixture
def engine():
    engine = LocalEngine(8000, BLOCK, inputs=4, outputs=4)
    yield engine
    engine.close()


def steps(engine):
    """Kind, nodes and number of copies of each call."""
    return [(step.core.kind, list(step.nodes), len(step.gathers)) for step in engine.runner.schedule.steps]


def chains(count, gains):
    """Sines, each through gains of its own, to a sum on output 1."""
    edits = [add("mix", "sum", count, 1, mode="sum"), connect("mix", 0, "out", 0)]
    for n in range(count):
        edits.append(add(f"s{n}", "sine", 0, 1, frequency=10.0 * (n + 1)))
        source = f"s{n}"
        for g in range(gains):
            edits += [add(f"g{n}.{g}", "gain", 1, 1, gain=1 + n / 10), connect(source, 0, f"g{n}.{g}", 0)]
            source = f"g{n}.{g}"
        edits.append(connect(source, 0, "mix", n))
    return edits


def test_separate_nodes_run_as_one_call_without_a_copy(engine):
    engine.edit(chains(8, 3))
    assert [(kind, len(nodes), copies) for kind, nodes, copies in steps(engine)] == [("sum", 33, 0)]
    n = np.arange(512)
    expected = sum((1 + k / 10) ** 3 * np.sin(2 * np.pi * 10 * (k + 1) * n / 8000) for k in range(8))
    assert np.abs(engine.render(512)[:, 0] - expected).max() < 1e-5


def test_many_that_lead_to_several_sums_are_a_stack_for_each():
    engine = LocalEngine(8000, BLOCK, inputs=40, outputs=3)
    edits = []
    for m in range(3):  # the sum of all inputs, each through a gain of its own, in another order for each sum
        edits += [add(f"m{m}", "sum", 40, 1, mode="sum"), connect(f"m{m}", 0, "out", m)]
        for n in range(40):
            edits += [add(f"g{m}.{n}", "gain", 1, 1, gain=1.0 + m + n), connect("in", n, f"g{m}.{n}", 0)]
            edits.append(connect(f"g{m}.{n}", 0, f"m{m}", (n, 39 - n, n * 7 % 40)[m]))
    engine.edit(edits)
    assert [(kind, len(nodes)) for kind, nodes, _ in steps(engine)] == [("sum", 41)] * 3
    assert [copies for _, _, copies in steps(engine)] == [0, 1, 1]
    indata = np.random.default_rng(1).standard_normal((BLOCK, 40)).astype(np.float32)
    expected = np.stack([indata @ (1.0 + m + np.arange(40)) for m in range(3)], axis=1)
    assert np.abs(engine.render(BLOCK, indata) - expected).max() < 1e-3
    # One that leads to two sums is among the few that are nobody's.
    engine.edit([connect("g0.3", 0, "m1", 5)])
    expected[:, 1] += indata[:, 3] * 4.0 - indata[:, 34] * 36.0
    assert np.abs(engine.render(BLOCK, indata) - expected).max() < 1e-3
    engine.close()


def test_an_edit_of_one_leaves_the_others_where_they_are(engine):
    engine.edit(chains(8, 1))
    before = engine.runner.schedule.steps[0].cores
    engine.render(100)
    engine.edit([put("g3.0", gain=0.0)])
    engine.edit([add("c", "constant", 0, 1, value=1.0), connect("c", 0, "out", 1)])
    assert before in [step.cores for step in engine.runner.schedule.steps]
    engine.render(100)
    n = np.arange(200, 300)
    expected = sum((1 + k / 10) * np.sin(2 * np.pi * 10 * (k + 1) * n / 8000) for k in range(8) if k != 3)
    assert np.abs(engine.render(100)[:, 0] - expected).max() < 1e-6


def test_gains_in_a_row_are_one_until_one_of_them_moves(engine):
    edits = [add("c", "constant", 0, 2, value=[1.0, 2.0]), *(add(f"g{n}", "gain", 2, 2, gain=[2.0, 0.5]) for n in range(3))]
    edits += [connect(a, n, b, n) for a, b in (("c", "g0"), ("g0", "g1"), ("g1", "g2"), ("g2", "out")) for n in range(2)]
    engine.edit(edits)
    assert [(list(step.nodes), step.outputs is OUTPUT) for step in engine.runner.schedule.steps][1:] == [
        (["g0", "g1", "g2"], False)
    ]
    assert (engine.render(10)[:, :2] == [8, 0.25]).all()
    engine.edit([put("g1", gain=[4.0, 0.5])])
    ramp = engine.render(100)  # 40 frames from 2 to 4
    assert np.abs(ramp[:40, 0] - 4 * np.linspace(2, 4, 41)[1:]).max() < 1e-5
    assert (ramp[39:, 0] == 16).all()
    assert (ramp[:, 1] == 0.25).all()
    # Somebody else listens: each is a call of its own up to there.
    engine.edit([connect("g0", 0, "out", 3)])
    assert [list(step.nodes) for step in engine.runner.schedule.steps][1:] == [["g0"], ["g1", "g2"]]
    assert (engine.render(10)[:, [0, 3]] == [16, 2]).all()


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_sines_are_added_up_as_they_arise_and_nobody_can_tell(mode):
    """Whatever happens to frequencies, phases, gains and the sum, wherever blocks are cut, and who else listens for a while."""
    outs = []
    for cuts in ([600], [1] * 200 + [400], [7, 30, 3, 1, 60, 63, 36, 1, 1, 398]):
        engine = LocalEngine(8000, BLOCK, inputs=0, outputs=2)
        engine.edit([*chains(5, 2), put("mix", mode=mode)])
        (step,) = engine.runner.schedule.steps
        assert len(step.cores) == 4
        edits = {
            100: [put("s1", frequency=123.0), put("g3.0", gain=0.25)],
            120: [put("s2", phase=1.0)],
            150: [connect("s4", 0, "out", 1)],
            200: [{"op": "disconnect", "target": "out", "input": 1}, put("mix", mode="mean" if mode == "sum" else "sum")],
        }
        heard, at = [], 0
        for stop in sorted({*np.cumsum(cuts).tolist(), *edits}):
            heard.append(engine.render(stop - at))
            at = stop
            engine.edit(edits.get(at, []))
        outs.append(np.concatenate(heard))
        engine.close()
    n = np.arange(600)
    gain = (1 + np.arange(5)[:, None] / 10) ** 2 * np.ones(600)
    gain[3] *= np.interp(n, [99, 139], [1.0, 0.25 / 1.3])
    turns = np.arange(1, 6)[:, None] * 10 * n / 8000
    turns[1, 100:] = (20 * 100 + 123 * (n[100:] - 100)) / 8000
    turns[2, 120:] += 1 / (2 * np.pi)
    sines = np.sin(2 * np.pi * turns)
    share = np.where((n < 200) == (mode == "sum"), 1.0, 0.2)
    assert np.abs(outs[0][:, 0] - share * (gain * sines).sum(axis=0)).max() < 2e-6
    assert np.abs(outs[0][150:200, 1] - sines[4, 150:200]).max() < 1e-7
    assert not outs[0][200:, 1].any()
    assert np.array_equal(outs[0], outs[1])
    assert np.array_equal(outs[0], outs[2])


def test_the_cuts_of_the_blocks_do_not_show_where_a_ramp_ends():
    outs = []
    for cuts in ([500], [1] * 100 + [400], [7, 30, 3, 1, 60, 63, 64, 1, 1, 270]):
        engine = LocalEngine(8000, BLOCK, inputs=3, outputs=3)
        edits = [add(f"g{n}", "gain", 3, 3, gain=[1.1, 0.7, 1 / 3]) for n in range(4)]
        nodes = ["in", "g0", "g1", "g2", "g3", "out"]
        engine.edit([*edits, *(connect(a, n, b, n) for a, b in pairwise(nodes) for n in range(3))])
        assert len(engine.runner.schedule.steps) == 1
        engine.edit([put("g1", gain=0.3), put("g3", gain=[5.0, 6.0, 7.0])])
        indata = np.random.default_rng(1).standard_normal((sum(cuts), 3)).astype(np.float32)
        edges = np.cumsum([0, *cuts])
        outs.append(np.concatenate([engine.render(b - a, indata[a:b]) for a, b in pairwise(edges.tolist())]))
        engine.close()
    assert np.array_equal(outs[0], outs[1])
    assert np.array_equal(outs[0], outs[2])


def test_values_set_before_two_changes_of_structure_armed_behind_each_other_come_through(engine):
    engine.edit(
        [add(node, "constant", 0, 1, value=1.0) for node in "ab"] + [connect("a", 0, "out", 0), connect("b", 0, "out", 1)]
    )
    builder, mailbox = engine._builder, engine.runner.mailbox
    renew = [{"op": "remove", "node": "b"}, add("b", "constant", 0, 1, value=5.0), connect("b", 0, "out", 1)]
    for tag, edits in enumerate(([put("a", value=2.0)], renew, renew)):
        mailbox.arm(builder.arm(edits, 10, tag))
    assert engine.render(12)[:, :2].tolist() == [[1.0, 1.0]] * 10 + [[2.0, 5.0]] * 2


def test_a_path_to_the_device_writes_there(engine):
    edits = [add(f"g{n}", "gain", 1, 1, gain=2.0 + n) for n in range(4)]
    edits += [connect("in", n, f"g{n}", 0) for n in range(4)] + [connect(f"g{n}", 0, "out", n) for n in range(4)]
    edits += [add("sum", "sum", 4, 2), *(connect(f"g{n}", 0, "sum", n) for n in range(4))]
    engine.edit(edits)
    (step,) = engine.runner.schedule.steps
    assert (step.inputs, step.gathers, engine.runner.schedule.output) == (None, [], [])
    assert step.outputs is OUTPUT
    indata = np.random.default_rng(0).standard_normal((100, 4)).astype(np.float32)
    assert np.array_equal(engine.render(100, indata), indata * np.float32([2, 3, 4, 5]))


def test_what_nobody_hears_is_not_run_and_none_the_worse_for_it(engine):
    engine.edit([add("s", "sine", 0, 2, frequency=[100.0, 200.0]), add("g", "gain", 2, 2), connect("s", 0, "g", 0)])
    engine.edit([connect("s", 1, "g", 1), connect("g", 1, "out", 0)])
    assert [step.core.channels for step in engine.runner.schedule.steps] == [1, 1]
    engine.render(1000)
    engine.edit([connect("g", 0, "out", 1)])
    n = np.arange(1000, 1100)
    out = engine.render(100)
    assert np.abs(out[:, 0] - np.sin(2 * np.pi * 200 * n / 8000)).max() < 1e-6
    assert np.abs(out[:, 1] - np.sin(2 * np.pi * 100 * n / 8000)).max() < 1e-6
    engine.edit([{"op": "disconnect", "target": "out", "input": 0}, {"op": "disconnect", "target": "out", "input": 1}])
    assert steps(engine) == []
    engine.edit([put("s", frequency=[50.0, 50.0])])
    engine.render(60)
    engine.edit([connect("g", 0, "out", 1)])
    n = np.arange(60, 160)
    at = 2 * np.pi * 100 * 1100 / 8000
    assert np.abs(engine.render(160)[:100, 1] - np.sin(at + 2 * np.pi * 50 * n / 8000)).max() < 1e-6


def test_a_stack_that_fails_names_all_whose_channels_it_runs(engine, monkeypatch):
    engine.edit(chains(2, 1))
    engine.render(10)
    _, stack, _ = engine.runner.schedule.steps[0].cores
    monkeypatch.setattr(stack, "changed_at", lambda name, columns: 1 / 0)
    engine.edit([put("g1.0", gain=3.0)])
    assert [(said["event"], said["node"]) for said in engine.notices()] == [("core_failed", "g0.0"), ("core_failed", "g1.0")]
    assert not engine.render(10).any()


def test_wide_nodes_that_read_in_place_stay_apart():
    engine = LocalEngine(8000, BLOCK, inputs=1, outputs=1)
    edits = [add(name, "sine", 0, 20, frequency=50.0) for name in "ab"]
    edits += [add(f"g{name}", "gain", 20, 20) for name in "ab"]
    edits += [connect(name, n, f"g{name}", n) for name in "ab" for n in range(20)]
    edits += [add("mix", "sum", 40, 1), connect("mix", 0, "out", 0)]
    edits += [connect(f"g{name}", n, "mix", n + (20 if name == "b" else 0)) for name in "ab" for n in range(20)]
    engine.edit(edits)
    assert steps(engine) == [
        ("sine", ["a"], 0),
        ("gain", ["ga"], 0),
        ("sine", ["b"], 0),
        ("gain", ["gb"], 0),
        ("sum", ["mix"], 2),
    ]
    engine.close()


def test_stacks_that_grow_channel_by_channel_share_their_scratch(engine):
    engine.edit([add("mix", "sum", 40, 1, mode="sum"), connect("mix", 0, "out", 0)])
    for n in range(40):
        engine.edit([add(f"g{n}", "gain", 1, 1, gain=1.0), connect("in", 0, f"g{n}", 0), connect(f"g{n}", 0, "mix", n)])
    context = engine.runner.context
    lines = context.scratch("gain lines", (BLOCK, 40), np.float64)
    assert lines.flags.c_contiguous
    assert np.shares_memory(lines, context.scratch("gain lines", (BLOCK, 3), np.float64))
    assert lines.base.nbytes < 2 * lines.nbytes
    assert (engine.render(10, np.ones((10, 4), np.float32))[:, 0] == 40).all()


@pytest.mark.parametrize("connected", [12, 11])
def test_many_permuted_channels_are_picked_at_once(connected):
    engine = LocalEngine(8000, BLOCK, inputs=12, outputs=12)
    order = [7, 2, 11, 0, 9, 4, 1, 6, 3, 10, 5, 8][:connected]
    engine.edit([add("line", "delay", 12, 12), *(connect("in", source, "line", port) for port, source in enumerate(order))])
    engine.edit([connect("line", order[port], "out", port) for port in range(connected)])
    assert [len(step.gathers) for step in engine.runner.schedule.steps] == [1]
    assert len(engine.runner.schedule.output) == 1
    indata = np.random.default_rng(2).standard_normal((100, 12)).astype(np.float32)
    through = np.zeros_like(indata)
    through[:, :connected] = indata[:, order]
    expected = np.zeros_like(indata)
    expected[:, :connected] = through[:, order]
    assert np.array_equal(engine.render(100, indata), expected)
    engine.close()


def test_another_weighting_begins_from_rest_also_in_a_node_that_gets_another_size(engine):
    """Its neighbour in the stack has had the filter run over all channels."""
    alone = LocalEngine(8000, BLOCK, inputs=4, outputs=4)
    a = [add("a", "weight", 2, 2, weight="A"), connect("in", 0, "a", 0), connect("a", 0, "out", 0)]
    engine.edit([*a, add("c", "weight", 1, 1, weight="C"), connect("in", 1, "c", 0), connect("c", 0, "out", 1)])
    alone.edit(a)
    assert [sorted(step.nodes) for step in engine.runner.schedule.steps] == [["a", "c"]]
    noise = np.random.default_rng(1).uniform(-1, 1, (2 * BLOCK, 4)).astype(np.float32)
    change = [put("a", weight="C"), {"op": "resize", "node": "a", "inputs": 1, "outputs": 1}]
    for which in (engine, alone):
        which.render(BLOCK, noise[:BLOCK])
        which.edit(change)
    assert np.array_equal(engine.render(BLOCK, noise[BLOCK:])[:, 0], alone.render(BLOCK, noise[BLOCK:])[:, 0])
    alone.close()


LOUDER = """
from asmu_engine.cores.gain import AGain
class ALouder(AGain):
    kind = 'louder'
    def process(self, inputs, outputs):
        super().process(inputs, outputs)
        outputs += 1
"""


@pytest.fixture
def with_louder(tmp_path):
    (tmp_path / "louder.py").write_text(LOUDER)
    engine = LocalEngine(8000, BLOCK, inputs=1, outputs=1, plugins=[str(tmp_path / "louder.py")])
    yield engine
    engine.close()


def test_a_plugins_own_gain_runs_by_itself_whatever_it_is_made_of(with_louder):
    engine = with_louder
    nodes = ["in", "a", "b", "out"]
    edits = [add(node, "louder", 1, 1, gain=3.0) for node in nodes[1:3]]
    engine.edit([*edits, *(connect(source, 0, target, 0) for source, target in pairwise(nodes))])
    assert [list(step.nodes) for step in engine.runner.schedule.steps] == [["a"], ["b"]]
    assert (engine.render(10, np.ones((10, 1), np.float32)) == 13).all()


def test_only_what_may_be_heard_by_mistake_is_silenced_first(engine, with_louder):
    def covers(which):
        return which.runner.schedule.covers

    assert not covers(engine)
    engine.edit(
        [add("g", "gain", 4, 4), *(connect("in", n, "g", n) for n in range(4)), *(connect("g", n, "out", n) for n in range(3))]
    )
    assert not covers(engine)  # nothing plays on output 4
    engine.edit([connect("g", 3, "out", 3)])
    assert (covers(engine), engine.runner.schedule.steps[0].outputs is OUTPUT) == (True, True)
    engine.edit([connect("g", 0, "out", 3)])
    assert (covers(engine), engine.runner.schedule.steps[0].outputs is OUTPUT) == (True, False)
    with_louder.edit([add("l", "louder", 1, 1), connect("l", 0, "out", 0)])
    assert with_louder.runner.schedule.steps[0].outputs is OUTPUT
    assert not covers(with_louder)  # who knows what it writes


def test_what_plays_straight_at_the_output_and_leads_on_to_a_tap_is_heard_by_both(engine):
    name = segment_name("stacks", "tap")
    ring = create_ring(name, RingKind.TAP, 4, 8000, 1000)
    try:
        reader = RingReader(name)
        way = [("in", "a"), ("a", "out"), ("a", "b"), ("b", "t")]
        engine.edit([
            add("a", "gain", 4, 4, gain=2.0), add("b", "gain", 4, 4, gain=3.0), {**add("t", "tap", 4, 0), "ring": name},
            *(connect(source, n, target, n) for source, target in way for n in range(4)),
        ])  # fmt: skip
        ones = np.ones((BLOCK, 4), np.float32)
        assert (engine.render(BLOCK, ones) == 2).all()
        assert engine.runner.schedule.steps[0].outputs is OUTPUT
        assert (reader.read(BLOCK).data == 6).all()
        reader.close()
    finally:
        ring.unlink()
        ring.close()


@pytest.mark.parametrize("when", ["in its block", "at an edit"])
def test_what_fails_straight_at_the_output_is_silent_from_then_on(engine, monkeypatch, when):
    engine.edit(
        [add("g", "gain", 4, 4), *(connect("in", n, "g", n) for n in range(4)), *(connect("g", n, "out", n) for n in range(4))]
    )
    (step,) = engine.runner.schedule.steps
    ones = np.ones((BLOCK, 4), np.float32)
    assert (engine.render(BLOCK, ones) == 1).all()

    def fail(*_):
        raise ValueError("no more")

    if when == "in its block":
        step.run = fail
    else:
        monkeypatch.setattr(type(step.core), "changed", fail)
        engine.edit([put("g", gain=2.0)])
    for _ in range(3):
        assert not engine.render(BLOCK, ones).any()
    (notice,) = engine.notices()
    assert (notice["event"], notice["error"]) == ("core_failed", "ValueError: no more")
