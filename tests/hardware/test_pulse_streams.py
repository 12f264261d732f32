"""Streams through real PortAudio, ALSA and PulseAudio: exact samples, and a device that goes and comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sound_servers import Server, child, played, start_pulse

pytestmark = pytest.mark.hardware

LATENCY = ",latency=0.1"


def test_full_duplex_is_exact_to_the_bit(pulse: Server) -> None:
    settings = {"blocks": 300, "blocksize": 512, "lead_in": 60}
    result = played(pulse, "loopback", device=pulse.device + LATENCY, inputs=[1, 2], outputs=[1, 2], **settings)
    delays = set(result["delays"].values())
    assert len(delays) == 1
    assert delays.pop() > 512
    assert result["reasons"] == ["finished"]
    assert sum(result["lost"]) == 0


def test_a_stall_is_flagged(pulse: Server) -> None:
    settings = {"blocks": 120, "blocksize": 512, "stall_at": 80, "stall_s": 0.5}
    result = played(pulse, "loopback", device=pulse.device + LATENCY, inputs=[1, 2], outputs=[1, 2], **settings)
    assert any(flags & 4 for flags in result["flags"][80:])


def test_a_server_that_dies_ends_the_stream_and_its_device_opens_again_when_it_is_back(own_pulse: Server) -> None:
    process = child(own_pulse, "reopened", device=own_pulse.device)
    folder = Path(own_pulse.log).parent
    again = None
    try:
        assert process.stdin is not None
        assert process.stdout is not None

        def next_fact() -> dict[str, object]:
            fact: dict[str, object] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            return fact

        assert next_fact() == {"running": True}
        own_pulse.process.kill()
        own_pulse.process.wait()
        assert next_fact() == {"reasons": ["lost: pulse ended the stream by itself; it may be unplugged"]}
        process.stdin.write("again\n")
        process.stdin.flush()
        assert next_fact()["code"] in ("device_failed", "device_unknown")
        again = start_pulse(folder)
        process.stdin.write("again\n")
        process.stdin.flush()
        assert next_fact() == {"code": ""}
        process.communicate(timeout=10)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
        if again is not None:
            again.stop()
