"""Taps of an engine read over tcp and CURVE through the relay, a process of its own; compared with the ring itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest
import zmq
from plain_engine import until

import asmu_control as asmu
from asmu_control.client import Client
from asmu_control.connecting import connect
from asmu_control.exceptions import EngineError, RingError
from asmu_control.existingtap import TapReader
from asmu_control.launch import start_detached
from asmu_engine.config import make_config
from asmu_engine.protocol.errors import AccessError
from asmu_engine.protocol.keys import ClientKey, KeyRing
from asmu_engine.protocol.runtime import EngineInfo, is_running
from asmu_engine.shm.block import Stamp
from asmu_engine.shm.reader import RingReader

pytestmark = pytest.mark.e2e

ROOT = Path(asmu.__file__).resolve().parent.parent
SAMPLERATE = 48000
PATIENCE = 15.0


class Relay:
    """``asmu relay`` as its user starts it."""

    def __init__(self, *arguments: str, listen: str = "tcp://127.0.0.1:*") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asmu_control", "relay", "--engine", "lab", "--listen", listen, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        found = re.search(r"listens at (tcp://127\.0\.0\.1:\d+), as", line)
        assert found, line + self.process.stderr.read()
        self.endpoint = found[1]

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.words = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self.process.stdout.closed:
            self.end(signal.SIGKILL if exception[0] else signal.SIGTERM)


def start_engine(**settings) -> EngineInfo:
    values = {"device": "virtual:inputs=2,outputs=2,buffer_s=60", "samplerate": SAMPLERATE, "blocksize": 256}
    return start_detached(make_config(name="lab", **{**values, "listen": "tcp://127.0.0.1:*", **settings}))


def end_engine(info: EngineInfo) -> None:
    if is_running("lab"):
        with connect("lab") as client:
            client.shutdown(20)
    psutil.wait_procs([psutil.Process(info.pid)] if psutil.pid_exists(info.pid) else [], timeout=30)


@pytest.fixture
def lab() -> Iterator[EngineInfo]:
    """An engine that listens on 127.0.0.1, with noise of three channels in a tap."""
    info = start_engine()
    yield info
    end_engine(info)


@pytest.fixture
def key() -> ClientKey:
    return make_key("anna")


def make_key(name: str, role: str = "operator") -> ClientKey:
    ring = KeyRing()
    server = ring.server_key(zmq.curve_keypair)
    public, secret = (part.decode() for part in zmq.curve_keypair())
    ring.allow(name, public, role)
    return ClientKey(name, public, secret, server.public)


def put_tap(client: Client, node: str = "noisetap", channels: int = 3) -> str:
    """Noise in a tap of its own; the name of its ring."""
    source = f"{node}.source"
    edits = [
        {"op": "add", "node": source, "kind": "noise", "inputs": 0, "outputs": channels, "parameters": {}},
        {"op": "add", "node": node, "kind": "tap", "inputs": channels, "outputs": 0, "parameters": {}},
        *({"op": "connect", "source": source, "output": n, "target": node, "input": n} for n in range(channels)),
    ]
    client.edit(edits)
    return client.patch()["nodes"][node]["ring"]


def same_frames(remote: TapReader, local: RingReader, blocks: int, frames: int = 1000) -> None:
    """The next blocks of both are the same, sample by sample."""
    for block in remote.blocks(frames, timeout=PATIENCE):
        expected = local.read(frames, copy=True)
        assert (block.position, block.lost, block.skipped) == (expected.position, expected.lost, 0)
        np.testing.assert_array_equal(block.data, expected.data)
        blocks -= 1
        if not blocks:
            return
    pytest.fail("the tap ended")


@contextlib.contextmanager
def both(remote: TapReader, ring: str) -> Iterator[tuple[TapReader, RingReader]]:
    """A remote reader, and one of the ring at the same place."""
    assert remote.wait(1, PATIENCE)  # of an empty tap the place is not known yet
    with remote, RingReader(ring, remote.position) as local:
        yield remote, local


def test_a_remote_tap_reads_what_the_local_one_does(lab: EngineInfo, key: ClientKey, tmp_path: Path) -> None:
    with connect("lab") as owner, Relay() as relay:
        ring = put_tap(owner)
        owner.start()
        until(owner_has_relay(owner), "the relay to announce itself")
        file = tmp_path / "anna.key"
        key.save(file)
        with connect(lab.listen, key=file) as client:
            assert client.remote
            tap = client.tap("noisetap")
            with both(tap.reader(), ring) as (remote, local):
                assert (remote.channels, remote.samplerate, remote.capacity) == (3, SAMPLERATE, local.capacity)
                same_frames(remote, local, 30)
                assert (remote.total_lost, remote.total_skipped) == (0, 0)
                # Of other blocks, but on the same axis.
                assert abs(frame_0_utc_ns(remote.stamp) - frame_0_utc_ns(local.stamp)) < 10_000_000
            positions = []
            for block in tap.blocks(500, timeout=PATIENCE):
                positions.append(block.position)
                if len(positions) == 3:
                    break
            assert np.diff(positions).tolist() == [500, 500]
            handle = tap.handle
            assert handle.startswith(f"{relay.endpoint}/noisetap@")
            with asmu.analyzer.Tap.attach(handle, key=file) as other:
                block = next(other.blocks(100, timeout=PATIENCE))
                # What came since the handle was given is not sent again.
                assert block.position - block.skipped == int(handle.rpartition("@")[2])
            with pytest.raises(RingError) as caught:
                asmu.analyzer.Tap.attach(handle)
            assert caught.value.code == "ring_access"
        assert relay.end() == 0
        assert "Traceback" not in relay.words
        until(lambda: not owner.status()["services"], "the announcement to go with the relay")


def frame_0_utc_ns(stamp: Stamp) -> int:
    return stamp.utc_ns - stamp.position * 10**9 // SAMPLERATE


def owner_has_relay(client: Client):
    return lambda: [service for service in client.status()["services"] if service["service"] == "relay"]


def test_a_stranger_reads_it_with_plain_zeromq(lab: EngineInfo, key: ClientKey) -> None:
    with connect("lab") as owner, Relay() as relay, zmq.Context() as context, context.socket(zmq.SUB) as socket:
        ring = put_tap(owner)
        socket.linger = 0
        socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
        socket.curve_serverkey = key.server.encode()
        socket.subscribe(b"noisetap\0")
        until(owner_has_relay(owner), "the relay to announce itself")
        socket.connect(relay.endpoint)
        with RingReader(ring, "first") as local:
            assert socket.poll(PATIENCE * 1000)
            topic, head, samples = socket.recv_multipart()
            header = msgpack.unpackb(head)
            assert (topic, samples, header["node"], header["channels"]) == (b"noisetap\0", b"", "noisetap", 3)
            assert "position" not in header  # nothing has been written yet
            owner.start()
            for number in range(5):
                while not header.get("frames"):
                    assert socket.poll(PATIENCE * 1000)
                    topic, head, samples = socket.recv_multipart()
                    header = msgpack.unpackb(head)
                block = local.read(header["frames"], copy=True) if local.wait(header["frames"], PATIENCE) else None
                assert (header["v"], header.get("sequence", 0), header["position"]) == (1, number, block.position)
                assert samples == block.data.tobytes()
                header = {}


def test_a_local_client_reads_the_ring_itself(lab: EngineInfo) -> None:
    with connect("lab") as client:
        ring = put_tap(client)
        with client.tap("noisetap").reader() as reader:
            assert isinstance(reader, RingReader)
            assert reader.name == ring
        for wrong in ("nothing", "noisetap.source"):
            with pytest.raises(RingError, match="taps: noisetap") as caught:
                client.tap(wrong).reader()
            assert caught.value.code == "ring_unknown"


@pytest.mark.parametrize(("form", "step"), [("int16", 2.0**-15), ("int24", 2.0**-23), ("flac", 2.0**-23)])
def test_packed_samples_are_the_nearest_steps(lab: EngineInfo, key: ClientKey, form: str, step: float) -> None:
    with connect("lab") as owner, Relay("--format", form, "--block", "300") as relay:
        edits = [
            {"op": "add", "node": "wide", "kind": "noise", "inputs": 0, "outputs": 10, "parameters": {}},
            {"op": "add", "node": "quiet", "kind": "gain", "inputs": 10, "outputs": 10, "parameters": {"gain": 0.1}},
            {"op": "add", "node": "tap", "kind": "tap", "inputs": 10, "outputs": 0, "parameters": {}},
            *({"op": "connect", "source": "wide", "output": n, "target": "quiet", "input": n} for n in range(10)),
            *({"op": "connect", "source": "quiet", "output": n, "target": "tap", "input": n} for n in range(10)),
        ]
        owner.edit(edits)
        owner.start()
        until(owner_has_relay(owner), "the relay to announce itself")
        with connect(lab.listen, key=key) as client, both(client.tap("tap").reader(), ring_of(owner, "tap")) as (remote, local):
            for count, block in enumerate(remote.blocks(1000, timeout=PATIENCE)):
                expected = local.read(1000, copy=True).data
                limited = np.clip(np.rint(expected / step), -1 / step, 1 / step - 1) * step
                np.testing.assert_array_equal(block.data, limited.astype(np.float32))
                if count == 5:
                    break
        assert relay.end() == 0


def ring_of(client: Client, node: str) -> str:
    return client.patch()["nodes"][node]["ring"]


def test_a_tap_that_is_resized_or_removed_ends_and_its_successor_is_found(lab: EngineInfo, key: ClientKey) -> None:
    with connect("lab") as owner, Relay():
        ring = put_tap(owner)
        owner.start()
        until(owner_has_relay(owner), "the relay to announce itself")
        with connect(lab.listen, key=key) as client:
            with both(client.tap("noisetap").reader(), ring) as (remote, local):
                same_frames(remote, local, 3)
                owner.edit([{"op": "resize", "node": "noisetap", "inputs": 2, "outputs": 0}])
                rest = list(remote.blocks(1000, timeout=PATIENCE))
                expected = list(local.blocks(1000, timeout=PATIENCE))
                assert [len(block) for block in rest] == [len(block) for block in expected]
                for block, same in zip(rest, expected, strict=True):
                    np.testing.assert_array_equal(block.data, same.data)
                assert remote.closed
                assert remote.total_skipped == 0
            with both(client.tap("noisetap").reader(), ring_of(owner, "noisetap")) as (remote, local):
                assert remote.channels == 2
                same_frames(remote, local, 3)
                owner.edit([{"op": "remove", "node": "noisetap"}])
                assert sum(len(block) for block in remote.blocks(1000, timeout=PATIENCE)) == sum(
                    len(block) for block in local.blocks(1000, timeout=PATIENCE)
                )
            with pytest.raises(RingError, match="has no tap 'noisetap'; taps: none") as caught:
                client.tap("noisetap").reader()
            assert (caught.value.code, caught.value.retry) == ("ring_unknown", True)


def test_the_relay_may_die_and_come_again(lab: EngineInfo, key: ClientKey) -> None:
    with connect("lab") as owner:
        ring = put_tap(owner)
        owner.start()
        with Relay() as relay:
            until(owner_has_relay(owner), "the relay to announce itself")
            endpoint = relay.endpoint
            with connect(lab.listen, key=key) as client:
                remote = client.tap("noisetap").reader()
            assert remote.wait(1, PATIENCE)
            with RingReader(ring, remote.position) as local:
                same_frames(remote, local, 5)
                relay.end(signal.SIGKILL)
        while remote.wait(1000, 0.5):  # what it had sent
            remote.read(1000)
        before = remote.position
        with Relay(listen=endpoint):
            blocks = []
            for block in remote.blocks(1000, timeout=PATIENCE):
                blocks.append(block)
                if len(blocks) == 5:
                    break
            assert blocks[0].skipped > 0
            assert blocks[0].position == before + blocks[0].skipped
            assert blocks[0].skipped % 1000 == 0
            assert [block.skipped for block in blocks[1:]] == [0] * 4
            with RingReader(ring, blocks[0].position) as local:
                for block in blocks:
                    expected = local.read(1000, copy=True)
                    assert (expected.position, expected.skipped) == (block.position, 0)
                    np.testing.assert_array_equal(block.data, expected.data)
            assert not remote.closed
        remote.close()


def test_the_engine_may_end_and_come_again(lab: EngineInfo, key: ClientKey) -> None:
    with Relay() as relay:
        with connect("lab") as owner:
            put_tap(owner)
            owner.start()
            until(owner_has_relay(owner), "the relay to announce itself")
            with connect(lab.listen, key=key) as client:
                remote = client.tap("noisetap").reader()
            next(remote.blocks(1000, timeout=PATIENCE))
            remote.close()
        with connect("lab") as owner:
            ring = put_tap(owner, "other")
            with both(asmu.analyzer.Tap.attach(f"{relay.endpoint}/other@0", key=key), ring) as (remote, local):
                same_frames(remote, local, 3)
                end_engine(lab)
                rest = [block.data for block in remote.blocks(1000, timeout=PATIENCE)]
                expected = [block.data for block in local.blocks(1000, timeout=PATIENCE)]
                np.testing.assert_array_equal(np.vstack([np.empty((0, 3)), *rest]), np.vstack([np.empty((0, 3)), *expected]))
                assert (remote.closed, remote.total_skipped) == (True, 0)
        with pytest.raises(RingError, match="does not run") as caught:
            asmu.analyzer.Tap.attach(f"{relay.endpoint}/noisetap@0", key=key)
        assert (caught.value.code, caught.value.retry) == ("ring_unknown", True)
        again = start_engine()
        try:
            with connect("lab") as owner:
                ring = put_tap(owner)
                owner.start()
                until(owner_has_relay(owner), "the relay to announce itself")
                with connect(again.listen, key=key) as client, both(client.tap("noisetap").reader(), ring) as (remote, local):
                    same_frames(remote, local, 5)
        finally:
            end_engine(again)


def test_the_audio_process_may_die_and_the_gap_is_told(lab: EngineInfo, key: ClientKey) -> None:
    with connect("lab") as owner, Relay():
        ring = put_tap(owner)
        owner.start()
        until(owner_has_relay(owner), "the relay to announce itself")
        with connect(lab.listen, key=key) as client, both(client.tap("noisetap").reader(), ring) as (remote, local):
            same_frames(remote, local, 3)
            psutil.Process(owner.status()["processes"]["audio"]["pid"]).kill()
            while not remote.total_lost:
                same_frames(remote, local, 1)
            same_frames(remote, local, 10)
            assert remote.total_lost == local.total_lost
            assert remote.gaps() == [gap for gap in local.gaps() if gap.position >= remote.gaps()[0].position]


def test_a_subscriber_that_is_stopped_is_told_what_it_lost(lab: EngineInfo, key: ClientKey, tmp_path: Path) -> None:
    file = tmp_path / "anna.key"
    key.save(file)
    program = (
        "import json, sys\n"
        "import asmu_control.relay.subscriber as subscriber\n"
        "subscriber.QUEUE_MESSAGES = 5\n"
        "from asmu_control.analyzer import Tap\n"
        "reader = Tap.attach(sys.argv[1], key=sys.argv[2])\n"
        "position = None\n"
        "for block in reader.blocks(1000, timeout=10):\n"
        "    assert position is None or block.position == position + block.skipped\n"
        "    position = block.position + len(block)\n"
        "    print(json.dumps([block.position, block.skipped, float(block.data.sum(dtype='f8'))]), flush=True)\n"
    )
    with connect("lab") as owner, Relay("--queue", "50") as relay:
        # 6 MB/s: after three seconds the queues and the system's buffers on the way are full.
        ring = put_tap(owner, channels=32)
        owner.start()
        until(owner_has_relay(owner), "the relay to announce itself")
        arguments = [sys.executable, "-c", program, f"{relay.endpoint}/noisetap@0", str(file)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        slow = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert slow.stdout.readline()
            with connect(lab.listen, key=key) as client, client.tap("noisetap").reader() as quick:
                slow.send_signal(signal.SIGSTOP)
                end = quick.position + 6 * SAMPLERATE
                for block in quick.blocks(1000, timeout=PATIENCE):
                    assert block.skipped == 0
                    if block.position > end:
                        break
            slow.send_signal(signal.SIGCONT)
            skipped = 0
            while not skipped:
                position, skipped, total = json.loads(slow.stdout.readline())
            with RingReader(ring, position) as local:
                expected = local.read(1000, copy=True)
            assert (expected.position, expected.skipped) == (position, 0)
            assert total == float(expected.data.sum(dtype="f8"))
            assert skipped % 1000 == 0
        finally:
            slow.kill()
            slow.wait()
            slow.stdout.close()
        assert relay.end() == 0


def test_who_may_subscribe(lab: EngineInfo) -> None:
    observer, gone = make_key("eye", "observer"), make_key("gone")
    public, secret = (part.decode() for part in zmq.curve_keypair())
    stranger = ClientKey("eve", public, secret, observer.server)
    with connect("lab") as owner, Relay() as relay:
        put_tap(owner)
        owner.start()
        until(owner_has_relay(owner), "the relay to announce itself")
        handle = f"{relay.endpoint}/noisetap@0"
        with asmu.analyzer.Tap.attach(handle, key=observer) as remote:
            next(remote.blocks(1000, timeout=PATIENCE))
        with pytest.raises(AccessError) as caught:
            asmu.analyzer.Tap.attach(handle, key=stranger)
        assert caught.value.code == "key_refused"
        with asmu.analyzer.Tap.attach(handle, key=gone) as remote:
            next(remote.blocks(1000, timeout=PATIENCE))
            KeyRing().revoke("gone")
            with pytest.raises(AccessError) as caught:
                for _ in remote.blocks(1000, timeout=PATIENCE):
                    pass
            assert caught.value.code == "key_refused"
        relay.end()
        assert "refused 127.0.0.1" in relay.words
        assert "key revoked: gone" in relay.words


def test_a_remote_interface_measures_as_a_local_one_does(lab: EngineInfo, key: ClientKey) -> None:
    with connect("lab") as owner, Relay():
        owner.start()
        until(owner_has_relay(owner), "the relay to announce itself")
        with connect(lab.listen, key=key) as client, asmu.Interface(engine=client) as interface:
            constant = asmu.generator.Constant(interface, [0.25, 0.5])
            rms, tap = asmu.analyzer.RMS(interface, 4800, channels=2), asmu.analyzer.Tap(interface, channels=2)
            for idx in range(2):
                constant.output(idx).connect(rms.input(idx))
                constant.output(idx).connect(tap.input(idx))
            with interface.start():
                for latest in (False, True, False):
                    result = rms.get_rms(timeout=PATIENCE, latest=latest)
                    assert result.tolist() == [0.25, 0.5]
                    assert (result.lost, result.skipped) == (0, 0)
                ends = []
                for block in tap.blocks(1000, timeout=PATIENCE):
                    np.testing.assert_array_equal(block.data, np.tile(np.float32([0.25, 0.5]), (1000, 1)))
                    ends.append(block.position)
                    if len(ends) == 3:
                        break
                assert np.diff(ends).tolist() == [1000, 1000]
                constant.output().connect(rms.input(2))  # another ring, once what is left in the one before is read
                while len(result := rms.get_rms(timeout=PATIENCE)) == 2:
                    assert result.tolist() == [0.25, 0.5]
                assert result.tolist() == [0.25, 0.5, 0.25]
                with interface.edit(), pytest.raises(EngineError, match="within edit"):
                    tap.reader()


def test_only_the_taps_that_were_named(lab: EngineInfo, key: ClientKey) -> None:
    with connect("lab") as owner, Relay("--tap", "one") as relay:
        put_tap(owner, "one")
        put_tap(owner, "two")
        owner.start()
        (service,) = until(owner_has_relay(owner), "the relay to announce itself")
        assert service["endpoint"] == relay.endpoint
        assert service["facts"] == {"format": "float32", "block": "1024", "taps": "one", "version": "1"}
        with connect(lab.listen, key=key) as client:
            next(client.tap("one").blocks(1000, timeout=PATIENCE))
            with pytest.raises(RingError, match="no relay there publishes tap 'two'"):
                client.tap("two").reader()
        with pytest.raises(RingError, match="not among those"):
            asmu.analyzer.Tap.attach(f"{relay.endpoint}/two@0", key=key)


def test_without_a_relay_the_remedy_is_named(lab: EngineInfo, key: ClientKey) -> None:
    with connect(lab.listen, key=key) as client:
        with pytest.raises(RingError, match="asmu relay --engine lab") as caught:
            client.tap("noisetap").reader()
        assert caught.value.code == "ring_unknown"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "mp3"], "use float32, int16, int24, flac"),
        (["--block", "0"], "block 0: use 1 to 65536"),
        (["--queue", "0"], "queue 0: use 1 to"),
        (["--listen", "5557"], "use tcp://ADDRESS:PORT"),
    ],
)
def test_what_cannot_be_is_one_clear_line(arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asmu_control", "relay", "--listen", "tcp://127.0.0.1:*", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("asmu: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
