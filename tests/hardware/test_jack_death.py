"""A JACK server that dies or freezes under a stream: PortAudio hangs, the engine's process does not."""

from __future__ import annotations

import json
import signal

import pytest
from sound_servers import Server, Standstill, child

pytestmark = pytest.mark.hardware


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_server_that_falls_silent_is_noticed_within_two_seconds(own_jack: Server, name: str) -> None:
    process = child(own_jack, "until_lost", device=own_jack.device)
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"running": True}
        with Standstill() as standstill:
            own_jack.process.send_signal(signal.Signals[name])
            result = json.loads(process.stdout.readline())
        assert result["reasons"][0].startswith("lost: loopback has not called for")
        assert result["noticed_s"] < 2.0 + standstill.seconds
        assert result["abandoned"]
        assert result["close_s"] < 1.0 + standstill.seconds
        assert process.wait(10) == 0
    finally:
        own_jack.process.kill()
        process.kill()
        process.communicate()
