"""The pipe between a host and its children: whole messages or the end, from any thread."""

import io
import os
import subprocess
import sys
import threading

import pytest

from asmu_engine.protocol.codec import pack
from asmu_engine.protocol.errors import ProtocolError
from asmu_engine.protocol.pipe import MessagePipe
from asmu_engine.protocol.version import MAX_MESSAGE_BYTES


@pytest.fixture
def ends():
    """Two pipes, each the other's far end."""
    first, second = os.pipe(), os.pipe()
    one = MessagePipe(os.fdopen(first[0], "rb"), os.fdopen(second[1], "wb"))
    two = MessagePipe(os.fdopen(second[0], "rb"), os.fdopen(first[1], "wb"))
    yield one, two
    one.close()
    two.close()


def reading(data: bytes) -> MessagePipe:
    return MessagePipe(io.BytesIO(data), io.BytesIO())


def framed(message: dict[str, object]) -> bytes:
    data = pack(message)
    return len(data).to_bytes(4, "little") + data


def test_messages_come_in_order_and_both_ways(ends):
    one, two = ends
    for number in range(100):
        assert one.send({"n": number})
    assert two.send({"back": True})
    assert [two.receive() for _ in range(100)] == [{"n": number} for number in range(100)]
    assert one.receive() == {"back": True}


def test_the_frame_is_as_documented():
    sent = io.BytesIO()
    MessagePipe(io.BytesIO(), sent).send({"a": 1})
    assert sent.getvalue() == framed({"a": 1})


def test_the_end_of_the_stream_is_none():
    pipe = reading(framed({"a": 1}))
    assert pipe.receive() == {"a": 1}
    assert pipe.receive() is None
    assert pipe.receive() is None


@pytest.mark.parametrize("length", range(1, len(framed({"a": 1}))))
def test_a_message_cut_short_is_the_end(length):
    assert reading(framed({"a": 1})[:length]).receive() is None


def test_what_is_no_message_is_an_error():
    with pytest.raises(ProtocolError, match="not valid msgpack"):
        reading(b"\x01\0\0\0\xc1").receive()
    with pytest.raises(ProtocolError, match="not a map"):
        reading(b"\x01\0\0\0\x90").receive()


def test_a_patch_larger_than_a_clients_message_goes_through():
    message = {"edits": [{"table": bytes(MAX_MESSAGE_BYTES)}, {"table": bytes(MAX_MESSAGE_BYTES)}]}
    assert reading(framed(message)).receive() == message


def test_sending_to_nobody_is_false(ends):
    one, two = ends
    two.close()
    assert not one.send({"a": 1})
    assert two.receive() is None
    assert not two.send({"a": 1})


def test_a_message_without_wire_form_is_refused_and_the_pipe_goes_on(ends):
    one, two = ends
    with pytest.raises(ProtocolError):
        one.send({"a": object()})
    assert one.send({"a": 1})
    assert two.receive() == {"a": 1}


def test_many_threads_send_whole_messages(ends):
    one, two = ends
    threads, each = 8, 200

    def send(thread: int) -> None:
        for number in range(each):
            assert one.send({"thread": thread, "number": number, "load": bytes([thread]) * (number * 13 % 5000)})

    workers = [threading.Thread(target=send, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    seen: dict[int, list[int]] = {thread: [] for thread in range(threads)}
    for _ in range(threads * each):
        message = two.receive()
        assert message is not None
        seen[message["thread"]].append(message["number"])
        assert message["load"] == bytes([message["thread"]]) * (message["number"] * 13 % 5000)
    for worker in workers:
        worker.join()
    assert seen == {thread: list(range(each)) for thread in range(threads)}


CHILD = """
from asmu_engine.protocol.pipe import MessagePipe
pipe = MessagePipe.of_this_process()
print("this is not a message", flush=True)
while (message := pipe.receive()) is not None:
    pipe.send({"echo": message, "stdin": open(0, closefd=False).read()})
"""


def test_a_child_echoes_and_ends_with_its_stdin_and_its_prints_damage_nothing():
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    pipe = MessagePipe(process.stdout, process.stdin)
    assert pipe.send({"a": [1, 2]})
    assert pipe.receive() == {"echo": {"a": [1, 2]}, "stdin": ""}
    process.stdin.close()
    assert pipe.receive() is None
    assert process.wait(10) == 0
    assert process.stderr.read() == b"this is not a message\n"
    process.stderr.close()
    pipe.close()


def test_a_killed_child_is_the_end_of_the_pipe():
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pipe = MessagePipe(process.stdout, process.stdin)
    assert pipe.send({"a": 1})
    assert pipe.receive() is not None
    process.kill()
    assert pipe.receive() is None
    process.wait()
    assert not pipe.send({"a": 1})
    pipe.close()


def test_closing_beside_a_waiting_reader_ends_both(ends):
    one, two = ends
    heard = []
    reader = threading.Thread(target=lambda: heard.append(one.receive()))
    reader.start()
    while not one._receiving.locked():
        pass
    one.close()
    assert two.receive() is None
    two.close()
    reader.join(10)
    assert heard == [None]
