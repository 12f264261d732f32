"""A subscriber whose script has not looked for a while, when the relay goes away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

GONE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from relay_parts import make_key
from asmu_control.relay.publisher import Publisher
from asmu_control.relay.subscriber import QUEUE_MESSAGES, Subscriber
from asmu_control.relay.wire import Header
from asmu_engine.protocol.keys import KeyRing

def rest(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)

ring = KeyRing(Path({folder!r}))
key = make_key(ring, "anna")
publisher = Publisher("tcp://127.0.0.1:*", ring)
subscriber = Subscriber(publisher.endpoint, key, "tap1")
while not publisher.wait(0.1):
    pass
for number in range(20 * QUEUE_MESSAGES):  # more than queues and the system's buffers take
    publisher.send(Header(node="tap1", sequence=number), bytes(1024))
    if number % 10 == 0:
        publisher.wait(0)
        time.sleep(0.0005)
rest(0.5)
publisher.close(0)
rest(4.0)
print("still here")
subscriber.close()
"""


def test_it_outlives_the_relay(tmp_path: Path) -> None:
    """ZeroMQ ends a process whose heartbeat falls due on a broken connection with a full queue: here, the user's."""
    code = GONE.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "still here\n", "")
