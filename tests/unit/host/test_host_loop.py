"""The host's loop and the threads that wake it."""

from __future__ import annotations

from asmu_engine.host.loop import Loop


def test_a_wake_up_that_comes_late_wakes_the_loop_once() -> None:
    rounds: list[None] = []

    class Counting(Loop):
        def _run_due(self) -> None:
            rounds.append(None)
            super()._run_due()

    loop = Counting()
    loop._writer.send(b"\0")  # of a call that the loop, awake for another reason, had made before the byte came
    loop.later(0.05, loop.stop)
    loop.run()
    loop.close()
    assert len(rounds) < 20  # and not as many as fit into the time
