"""The feed core: what comes through its ring, and what it says of loops and of the end."""

import numpy as np
import pytest

from asmu_engine.cores.feed import AFeed
from asmu_engine.rt.context import Context, Setup
from asmu_engine.shm.create import RingKind, create_ring
from asmu_engine.shm.feed import FeedWriter
from asmu_engine.shm.segment import remove_segment


@pytest.fixture
def feed():
    name = "asmu-test.feed"
    create_ring(name, RingKind.FEED, 1, 48000.0, 2000).close()
    core = AFeed(Setup(48000.0, 1000, 0, 1, Context(position=5000), node="x", ring=name), {})
    with FeedWriter(name) as writer:
        yield writer, core
    core.close()
    remove_segment(name)


def run(core: AFeed, cuts: list[int]) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """A thousand frames, cut there, from frame position 5000 on, and what the core said."""
    out = np.full((1000, 1), np.nan, np.float32)
    for start, stop in zip([0, *cuts], [*cuts, 1000], strict=True):
        core.process(np.zeros((stop - start, 0), np.float32), out[start:stop])
        core.setup.context.position += stop - start
    return out, [(notice["what"], notice["position"]) for notice in core.setup.context.notices]


CUTS = [[], [299], [300], [301], [256, 512, 768], list(range(50, 1000, 50))]


@pytest.mark.parametrize("cuts", CUTS)
def test_the_end_is_told_with_the_first_frame_after_it(feed, cuts):
    writer, core = feed
    data = np.random.default_rng(1).standard_normal((300, 1)).astype(np.float32)
    writer.write(data)
    writer.finish()
    out, said = run(core, cuts)
    assert np.array_equal(out[:300], data)
    assert not out[300:].any()
    assert said == [("finished", 5300)]


@pytest.mark.parametrize("cuts", [*CUTS[1:5], [400, 800]])
def test_a_loop_is_told_with_its_first_frame(feed, cuts):
    writer, core = feed
    writer.loop(-100, 400)
    writer.write(np.ones((1000, 1), np.float32))
    _, said = run(core, cuts)
    told = [("looped", 5300), ("looped", 5700)]
    # Of two in one block the first is told.
    assert said == (told if any(300 < cut <= 700 for cut in cuts) else told[:1])
