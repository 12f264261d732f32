"""The jobs of the peers in closed form, how they are timed, and what becomes of an engine that is not there or is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from asmu_engine.local import LocalEngine
from asmu_engine.rt.weighting import analog, sections
from benchmarks import _jobs
from benchmarks._jobs import FRAMES, PERIOD, SAMPLERATE, Job
from benchmarks._peer import Rendered, read_wav, slope, write_wav
from benchmarks._peering import Engine, Failed, PeerProcess, engines
from benchmarks.peers import Cell, check, rows


def test_levels_are_those_of_the_inputs() -> None:
    job = _jobs.meter(5)
    expected = np.sqrt(np.mean(np.square(job.inputs_at(300, 4800)), axis=0))
    np.testing.assert_allclose(job.levels(300, 4800), expected, rtol=1e-12)


def test_inputs_have_no_seam_where_they_are_looped() -> None:
    job = _jobs.gains(3)
    np.testing.assert_array_equal(job.inputs_at(PERIOD - 2, 4), job.inputs_at(-2, 4))


def test_response_of_a_filter_is_that_of_its_samples() -> None:
    # A difference of two neighbours, by hand: the closed form of any sections and responses rests on it.
    sections_of_two = np.array([[1.0, -1.0, 0.0, 1.0, 0.0, 0.0]])
    taps = np.zeros((4, 2), np.float32)
    taps[:2] = [[1.0], [-1.0]]
    cycles = np.array([128, 144])
    job = Job("weighting", 2, 2, 2, 1, cycles, sos=sections_of_two)
    signal = job.inputs_at(99, 65)
    np.testing.assert_allclose(job.expected(100, 64), np.diff(signal, axis=0), atol=1e-12)
    other = Job("convolution", 2, 2, 2, 1, cycles, ir=taps)
    np.testing.assert_allclose(other.expected(100, 64), np.diff(signal, axis=0), atol=1e-12)


def test_weighting_is_the_curve_of_the_standard() -> None:
    job = _jobs.weighting(sections("A", float(SAMPLERATE)))
    np.testing.assert_allclose(abs(job.response()), analog("A", job.frequencies), rtol=1e-3)


def test_the_engine_renders_the_closed_form() -> None:
    job = _jobs.sines(4)
    engine = LocalEngine(SAMPLERATE, FRAMES, inputs=0, outputs=2)
    edits: list[dict[str, object]] = [{"op": "add", "node": "mix", "kind": "sum", "inputs": 4, "outputs": 2}]
    for channel in range(4):
        parameters = {"frequency": float(job.frequencies[channel])}
        edits.append({"op": "add", "node": f"sine{channel}", "kind": "sine", "outputs": 1, "parameters": parameters})
        gain = {"gain": float(job.gains[channel].prod())}
        node = f"gain{channel}"
        edits.append({"op": "add", "node": node, "kind": "gain", "inputs": 1, "outputs": 1, "parameters": gain})
        edits.append({"op": "connect", "source": f"sine{channel}", "output": 0, "target": node, "input": 0})
        edits.append({"op": "connect", "source": node, "output": 0, "target": "mix", "input": channel})
    edits += [{"op": "connect", "source": "mix", "output": n, "target": "out", "input": n} for n in range(2)]
    engine.edit(edits)
    rendered = Rendered(engine.render(4 * FRAMES), 0)
    engine.close()
    error, late = check(job, rendered)
    assert error < 1e-6
    assert late == 0
    rendered.data[7, 1] += 0.01
    assert check(job, rendered)[0] == pytest.approx(0.01, abs=1e-6)


def test_a_meter_is_checked_too() -> None:
    job = _jobs.meter(3)
    levels = job.levels(10, FRAMES).astype(np.float32)
    data = job.expected(0, FRAMES).astype(np.float32)
    assert check(job, Rendered(data, 0, levels, 10, FRAMES))[0] < 1e-6
    assert check(job, Rendered(data, 0, levels * 2, 10, FRAMES))[0] > 0.3


def test_an_array_of_another_width_is_refused() -> None:
    with pytest.raises(Failed, match=r"shape \(16, 3\)"):
        check(_jobs.gains(4), Rendered(np.zeros((16, 3), np.float32), 0))


def test_the_slope_leaves_out_what_every_run_takes() -> None:
    lengths: list[int] = []

    def run(blocks: int) -> float:
        lengths.append(blocks)
        return 0.25 + 40e-6 * blocks

    assert slope(run, 0.6) == pytest.approx(40.0)
    assert max(lengths) * 40e-6 > 0.1


def test_jobs_and_what_was_rendered_are_handed_over_whole(tmp_path: Path) -> None:
    job = _jobs.sines(3)
    job.save(tmp_path / "job.npz")
    loaded = Job.load(tmp_path / "job.npz")
    np.testing.assert_array_equal(loaded.expected(5, 9), job.expected(5, 9))
    samples = np.array([0.25, -1.0, 0.5], np.float32)
    write_wav(tmp_path / "one.wav", samples)
    np.testing.assert_array_equal(read_wav(tmp_path / "one.wav"), samples[:, np.newaxis])
    Rendered(samples[:, np.newaxis], 3, late=7).save(tmp_path / "rendered.npz")
    assert (Rendered.load(tmp_path / "rendered.npz").first, Rendered.load(tmp_path / "rendered.npz").late) == (3, 7)


def test_an_engine_that_is_not_there_is_named() -> None:
    nowhere = engines("no-such-python", sys.executable, "no-such-scsynth", sys.executable)
    missing = {engine.name: engine.missing() for engine in nowhere if engine.name in ("asmu", "scsynth")}
    assert missing == {"asmu": "no-such-python: No such file or directory", "scsynth": "there is no program no-such-scsynth"}
    assert "No module named 'nothing_of_the_sort'" in Engine("x", "y", sys.executable, "nothing_of_the_sort").missing()


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"status 1: .*No module named benchmarks\._nothing_of_the_sort"):
        PeerProcess(Engine("x", "_nothing_of_the_sort", sys.executable, "sys"), tmp_path / "none.npz", tmp_path)


def test_rows_compare_with_ours_and_name_who_is_wrong() -> None:
    ours = Cell("sines", 64, "ours, offline", error=1e-7, times=[{"us_per_block": 20.0}, {"us_per_block": 22.0}])
    other = Cell("sines", 64, "other", error=3e-3, times=[{"us_per_block": 42.0}])
    gone = Cell("sines", 64, "gone", why_not="not here: no reason")
    table = rows([ours, other, gone])
    assert [row["us_per_block"] for row in table] == [21.0, 42.0, ""]
    assert [row["to_ours"] for row in table] == [1.0, 2.0, ""]
    assert [row["note"] for row in table] == ["", "off by more than 0.0001", "not here: no reason"]
