"""Edits of a running patch, checked sample by sample on the stepped offline device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import asmu_control as asmu
from asmu_control.exceptions import ConfigError, DeviceError, EngineError, PatchError

pytestmark = pytest.mark.e2e

BLOCKSIZE = 64
SAMPLERATE = 48000


@pytest.fixture
def interface() -> Iterator[asmu.Interface]:
    with asmu.Interface(
        device="offline:stepped=1,inputs=4,outputs=4", samplerate=SAMPLERATE, blocksize=BLOCKSIZE, outputs=(1, 2), inputs=(1, 2)
    ) as interface:
        yield interface


def step(interface: asmu.Interface, reader, blocks: int = 1) -> np.ndarray:
    """What the tap hears in the next blocks, shape (frames, channels)."""
    interface.step(blocks)
    block = reader.read(blocks * BLOCKSIZE, copy=True)
    assert block is not None
    assert (block.lost, block.skipped) == (0, 0)
    return block.data


def test_set_frequency_goes_on_in_phase(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 1000)
    tap = asmu.analyzer.Tap(interface)
    sine.output().connect(tap.input())
    interface.open()
    reader = tap.reader()
    interface.start(drop=0)
    first = step(interface, reader)
    sine.set_frequency(3000)
    assert sine.frequency == 3000.0
    second = step(interface, reader)
    frames = np.arange(BLOCKSIZE)
    np.testing.assert_allclose(first[:, 0], np.sin(2 * np.pi * 1000 * frames / SAMPLERATE), atol=1e-6)
    np.testing.assert_allclose(second[:, 0], np.sin(2 * np.pi * (1000 * BLOCKSIZE + 3000 * frames) / SAMPLERATE), atol=1e-6)
    reader.close()


def test_set_gain_is_a_ramp_and_then_exact(interface: asmu.Interface) -> None:
    constant = asmu.generator.Constant(interface, 1.0)
    gain = asmu.effect.Gain(interface, 0.5)
    tap = asmu.analyzer.Tap(interface)
    constant.output().connect(gain.input())
    gain.output().connect(tap.input())
    interface.open()
    reader = tap.reader()
    interface.start(drop=0)
    np.testing.assert_array_equal(step(interface, reader), np.float32(0.5))
    gain.set_gain(2.0)
    ramp = step(interface, reader, 4)[:, 0]  # 256 frames hold the ramp of 240
    assert (np.diff(ramp[:240]) > 0).all()
    np.testing.assert_array_equal(ramp[240:], np.float32(2.0))
    reader.close()


def test_connect_and_disconnect_while_running(interface: asmu.Interface) -> None:
    one, two = (asmu.generator.Constant(interface, value) for value in (0.25, 0.5))
    tap = asmu.analyzer.Tap(interface)
    one.output().connect(tap.input())
    interface.open()
    reader = tap.reader()
    interface.start(drop=0)
    np.testing.assert_array_equal(step(interface, reader), np.float32(0.25))
    with interface.edit():
        tap.input().disconnect()
        two.output().connect(tap.input())
    np.testing.assert_array_equal(step(interface, reader), np.float32(0.5))
    two.output().disconnect()
    np.testing.assert_array_equal(step(interface, reader), np.float32(0))
    tap.input().connect(one.output())
    assert tap.input().connected_output == one.output()
    np.testing.assert_array_equal(step(interface, reader), np.float32(0.25))
    reader.close()


def test_new_and_removed_processors_while_running(interface: asmu.Interface) -> None:
    interface.start(drop=0)
    interface.step()
    before = interface.stats()["revision"]
    with interface.edit():
        constant = asmu.generator.Constant(interface, 0.5)
        total = asmu.effect.Sum(interface, mode="sum")
        for idx in range(3):
            constant.output().connect(total.input(idx))
        tap = asmu.analyzer.Tap(interface, channels=2)
        total.output().connect(tap.input(1))
    assert interface.stats()["revision"] == before + 1
    reader = tap.reader()
    np.testing.assert_array_equal(step(interface, reader), np.tile(np.float32([0, 1.5]), (BLOCKSIZE, 1)))
    total.disconnect()
    np.testing.assert_array_equal(step(interface, reader), np.float32(0))
    assert interface.processors == (constant, tap)
    with pytest.raises(PatchError, match="was disconnected"):
        total.input(0)
    reader.close()


def test_a_tap_that_grows_gets_another_ring(interface: asmu.Interface) -> None:
    constant = asmu.generator.Constant(interface, 0.5)
    tap = asmu.analyzer.Tap(interface)
    constant.output().connect(tap.input())
    interface.open()
    blocks = tap.blocks(BLOCKSIZE, timeout=10)
    interface.start(drop=0)
    interface.step()
    assert next(blocks).data.shape == (BLOCKSIZE, 1)
    constant.output().connect(tap.input(1))
    assert list(blocks) == []
    reader = tap.reader()
    np.testing.assert_array_equal(step(interface, reader), np.full((BLOCKSIZE, 2), 0.5, np.float32))
    assert reader.position == 2 * BLOCKSIZE
    reader.close()


def test_a_generator_that_grows_stays_in_phase(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 1000)
    tap = asmu.analyzer.Tap(interface, channels=2)
    sine.output().connect(tap.input(0))
    interface.open()
    reader = tap.reader()
    interface.start(drop=0)
    step(interface, reader)
    sine.output(1).connect(tap.input(1))
    heard = step(interface, reader)
    expected = np.sin(2 * np.pi * 1000 * np.arange(BLOCKSIZE, 2 * BLOCKSIZE) / SAMPLERATE)
    np.testing.assert_allclose(heard, np.column_stack([expected, expected]), atol=1e-6)
    reader.close()


def test_a_refused_transaction_changes_nothing(interface: asmu.Interface) -> None:
    constant = asmu.generator.Constant(interface, 0.5)
    gains = [asmu.effect.Gain(interface, 1.0) for _ in range(2)]
    tap = asmu.analyzer.Tap(interface)
    constant.output().connect(gains[0].input())
    gains[0].output().connect(tap.input())
    interface.open()
    reader = tap.reader()
    interface.start(drop=0)
    np.testing.assert_array_equal(step(interface, reader), np.float32(0.5))
    revision = interface.stats()["revision"]

    def close_a_circle() -> None:
        with interface.edit():
            gains[0].input().disconnect()
            gains[0].output().connect(gains[1].input())
            gains[1].output().connect(gains[0].input())
            constant.set_value(0.75)

    with pytest.raises(PatchError) as caught:
        close_a_circle()
    assert caught.value.code == "cycle"
    assert gains[0].name in str(caught.value)
    assert gains[1].name in str(caught.value)
    assert interface.stats()["revision"] == revision
    assert gains[0].input().connected_output == constant.output()
    assert not gains[1].input()
    assert constant.value == 0.5
    np.testing.assert_array_equal(step(interface, reader), np.float32(0.5))
    reader.close()


def test_a_body_that_raises_changes_nothing(interface: asmu.Interface) -> None:
    interface.start(drop=0)
    revision = interface.stats()["revision"]

    def fail_half_way() -> None:
        with interface.edit():
            asmu.generator.Constant(interface, 0.5)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        fail_half_way()
    assert interface.processors == ()
    assert interface.stats()["revision"] == revision


def test_feedback_through_a_delay_of_a_block(interface: asmu.Interface) -> None:
    constant = asmu.generator.Constant(interface, 1.0)
    total = asmu.effect.Sum(interface, mode="sum")
    delay = asmu.effect.Delay(interface, BLOCKSIZE)
    tap = asmu.analyzer.Tap(interface)
    constant.output().connect(total.input(0))
    total.output().connect(delay.input())
    delay.output().connect(total.input(1))
    total.output().connect(tap.input())
    interface.open()
    reader = tap.reader()
    interface.start(drop=0)
    heard = step(interface, reader, 4)[:, 0]
    np.testing.assert_array_equal(heard, np.repeat(np.float32([1, 2, 3, 4]), BLOCKSIZE))
    with pytest.raises(PatchError) as caught:
        delay.set_frames(BLOCKSIZE - 1)
    assert caught.value.code in ("cycle", "bad_value")
    reader.close()


def test_feed_plays_what_is_written(interface: asmu.Interface) -> None:
    feed = asmu.generator.Feed(interface, channels=2)
    tap = asmu.analyzer.Tap(interface, channels=2)
    for idx in range(2):
        feed.output(idx).connect(tap.input(idx))
    interface.open()
    data = np.random.default_rng(3).standard_normal((BLOCKSIZE, 2)).astype(np.float32)
    with feed.writer() as writer:
        assert writer.write(data) == BLOCKSIZE
        writer.finish()
        reader = tap.reader()
        interface.start(drop=0)
        np.testing.assert_array_equal(step(interface, reader), data)
        np.testing.assert_array_equal(step(interface, reader), np.float32(0))
    reader.close()


def test_a_channel_that_is_not_open_is_refused_and_named(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 100)
    interface.start(drop=0)
    sine.output().connect(interface.ioutput(ch=2))
    with pytest.raises(PatchError) as caught:
        sine.output().connect(interface.ioutput(ch=4))
    assert caught.value.code == "unknown_port"
    assert "4" in str(caught.value)
    assert not interface.ioutput(ch=4)


def test_device_without_the_channels_is_refused_and_nothing_stays() -> None:
    interface = asmu.Interface(device="virtual:inputs=2,outputs=2")
    asmu.generator.Sine(interface, 100).output().connect(interface.ioutput(ch=7))
    with pytest.raises(DeviceError) as caught:
        interface.start()
    assert caught.value.code == "device_channels"
    assert "7" in str(caught.value)
    assert "2" in str(caught.value)
    assert interface.stats()["state"] == "closed"


def test_unknown_device_is_refused_before_any_process() -> None:
    with pytest.raises(ConfigError) as caught:
        asmu.Interface(device="virtual:channels=7")
    assert caught.value.code == "bad_device_text"


def test_rings_need_an_engine() -> None:
    interface = asmu.Interface(device="virtual")
    tap = asmu.analyzer.Tap(interface)
    for use in (tap.reader, lambda: tap.handle, interface.step, lambda: interface.client, lambda: interface.fault("stall")):
        with pytest.raises(EngineError) as caught:
            use()
        assert caught.value.code == "engine_state"
        assert "interface.start()" in str(caught.value)


def test_a_lost_device_is_told_when_the_stream_is_closed() -> None:
    interface = asmu.Interface(device="virtual", blocksize=256)
    interface.iinput(ch=1).connect(asmu.analyzer.Tap(interface).input())
    stream = interface.start()
    interface.fault("gone")
    assert stream.wait(10)
    assert interface.stats()["state"] == "lost"
    why = "device virtual is gone"
    assert interface.stats()["reason"] == why
    with pytest.raises(EngineError, match=f"the device is lost: {why}$"):
        interface.clock_fit()
    with pytest.raises(DeviceError, match=f"lost while the stream ran: {why}; recordings are whole") as caught:
        stream.close()
    assert caught.value.code == "device_lost"
    assert interface.stats()["state"] == "closed"


def test_faults_are_counted() -> None:
    interface = asmu.Interface(device="virtual:buffer_s=60", samplerate=SAMPLERATE, blocksize=256, ring_seconds=60.0)
    tap = asmu.analyzer.Tap(interface)
    interface.iinput(ch=1).connect(tap.input())
    with interface.start():
        lost = 0
        for number, block in enumerate(tap.blocks(256, start="oldest", timeout=5)):
            lost += block.lost
            if number == 0:
                interface.fault("lose", frames=1000)
            if lost == 1000 or number == 1000:
                break
        assert lost == 1000
    stats = interface.stats()
    assert stats["lost_frames"] == 1000
    assert stats["input_overflow"] == 1


def test_a_second_start_is_refused_and_the_first_goes_on(interface: asmu.Interface) -> None:
    stream = interface.start(drop=0)
    with pytest.raises(EngineError, match="runs already") as caught:
        interface.start()
    assert caught.value.code == "engine_state"
    assert stream.active


def test_profile_names_the_nodes(interface: asmu.Interface) -> None:
    sine = asmu.generator.Sine(interface, 100)
    sine.output().connect(interface.ioutput(ch=1))
    interface.start(drop=0)
    interface.profile(True)
    interface.step(10)
    assert interface.profile(False)[sine.name] > 0


def test_the_device_is_known_even_when_the_stream_ended_before_anyone_asked() -> None:
    interface = asmu.Interface(device="offline:inputs=1,outputs=1", samplerate=48000, blocksize=256)
    interface.iinput(ch=1)
    interface.ioutput(ch=1)
    with interface.start(end_frame=1):
        pass
    assert interface.stats()["device"]["kind"] == "offline"
    assert interface.get_latency() == 256
