"""Streams through real PortAudio, ALSA and PulseAudio: exact samples, and a device that goes and comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sound_servers import Server, child, played, start_pulse

pytestmark = pytest.mark.hardware

LATENCY = ",latency=0.1"
MUCH_LATENCY = ",latency=1"
"""What the buffers hold, s. The server fills them once in a quarter of that, or a little later."""
MOST_WAIT_S = 0.5
"""Behind a longer wait, of the server or for it, PulseAudio may play what it played before once more, and tells nobody."""


def played_without_a_stall(server: Server, **settings: Any) -> dict[str, Any]:
    """A loopback that this machine never kept waiting, and that says of no block that anything was lost with it."""
    stalls = []
    for _ in range(4):
        result = played(server, "loopback", inputs=[1, 2], outputs=[1, 2], **settings)
        flagged = [at for at, flags in enumerate(result["flags"]) if flags]
        if not flagged and not any(result["lost"]) and result["longest_wait_s"] < MOST_WAIT_S:
            return result
        stalls.append(f"waited {result['longest_wait_s']:.2f} s, blocks with flags {flagged}, {result['reasons']}")
    pytest.fail("every stream stalled:\n" + "\n".join(stalls))


def test_full_duplex_is_exact_to_the_bit(pulse: Server) -> None:
    result = played_without_a_stall(pulse, device=pulse.device + MUCH_LATENCY, blocks=500, blocksize=512, lead_in=60)
    assert result["reasons"] == ["finished"]
    delays = set(result["delays"].values())
    assert len(delays) == 1
    assert delays.pop() > 512


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
