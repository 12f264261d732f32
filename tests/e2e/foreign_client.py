"""A client of an engine without a line of asmu: pyzmq and msgpack. Usage: foreign_client.py REQUESTS EVENTS."""

import itertools
import sys

import msgpack
import zmq

context, ids = zmq.Context(), itertools.count(1)
requests, events = context.socket(zmq.DEALER), context.socket(zmq.SUB)
requests.connect(sys.argv[1])
events.connect(sys.argv[2])
events.subscribe("patch")


def ask(kind, **fields):
    """One request; its result."""
    number = next(ids)
    requests.send(msgpack.packb({"v": 1, "id": number, "type": kind, **fields}))
    while (answer := msgpack.unpackb(requests.recv()))["id"] != number:
        pass  # a beat
    if answer["type"] == "error":
        raise SystemExit(f"{kind}: {answer['code']}: {answer['message']}")
    return answer["result"]


hello = ask("hello", name="foreign", beat=True)
ask("start")
add = {"op": "add", "node": "tone", "kind": "sine", "outputs": 1, "parameters": {"frequency": 440.0}}
connect = {"op": "connect", "source": "tone", "output": 0, "target": "out", "input": 0}
begin = ask("transaction", edits=[add, connect])["at"]
end = begin + round(hello["samplerate"])
number = ask("transaction", at=end, edits=[{"op": "remove", "node": "tone"}])["scheduled"]
event = {}
while event.get("scheduled") != number:
    topic, data = events.recv_multipart()
    event = msgpack.unpackb(data)
ask("goodbye")
sys.stdout.write(f"{event['at'] - begin} frames, {event['late']} late\n")
context.destroy(linger=0)
