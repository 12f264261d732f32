"""The patch stepped by hand in this process, and what the interface says of its clocks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import asmu_control as asmu
from asmu_control.exceptions import EngineError, PatchError
from asmu_engine.protocol.runtime import running_engines

FRAMES = 256
X = np.random.default_rng(20_251).standard_normal((5000, 3)).astype(np.float32)


@pytest.fixture
def interface():
    interface = asmu.Interface(device="virtual", samplerate=48000, blocksize=FRAMES)
    yield interface
    interface.close()


def blocks(interface: asmu.Interface, count: int, channels: int = 1, indata=None, frames: int = FRAMES) -> np.ndarray:
    out = np.full((count * frames, channels), np.nan, np.float32)
    for begin in range(0, len(out), frames):
        part = None if indata is None else indata[begin : begin + frames]
        interface.callback(part, out[begin : begin + frames], frames)
    return out


def sine(frames: int, frequency: float = 1000.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(frames) / 48000)


def test_channel_ch_is_column_ch_minus_one(interface):
    gain = asmu.effect.Gain(interface, 0.5)
    interface.iinput(ch=3).connect(gain.input())
    gain.output().connect(interface.ioutput(ch=2))
    interface.iinput(1, 1).connect(interface.ioutput(1, 4))
    out = blocks(interface, 4, channels=5, indata=X)
    assert np.array_equal(out[:, 1], X[:1024, 2] * np.float32(0.5))
    assert np.array_equal(out[:, 3], X[:1024, 0])
    assert not out[:, [0, 2, 4]].any()


def test_generators_go_on_from_block_to_block_of_any_length(interface):
    asmu.generator.Sine(interface, 1000).output().connect(interface.ioutput(ch=1))
    out = np.empty((3000, 1), np.float32)
    begin = 0
    for frames in (1, 255, 256, 7, 1000, 1481):  # also longer than the blocksize
        interface.callback(None, out[begin : begin + frames], frames, None, None)
        begin += frames
    assert np.abs(out[:, 0] - sine(3000)).max() < 1e-6


def test_either_array_may_be_missing(interface):
    interface.iinput(ch=1).connect(interface.ioutput(ch=1))
    interface.callback(None, None, FRAMES)
    interface.callback(X[:FRAMES], None, FRAMES)
    assert not blocks(interface, 1).any()
    assert interface.stats()["blocks"] == 3
    assert interface.stats()["frame_position"] == 3 * FRAMES


def test_other_numbers_and_orders_of_memory(interface):
    interface.iinput(ch=2).connect(interface.ioutput(ch=1))
    out = np.empty((FRAMES, 1), np.float64, order="F")
    interface.callback(np.asfortranarray(X[:FRAMES].astype(np.float64)), out, FRAMES)
    assert np.array_equal(out[:, 0], X[:FRAMES, 1])


def test_the_patch_may_change_between_blocks(interface):
    first = asmu.generator.Constant(interface, 0.25)
    first.output().connect(interface.ioutput(ch=1))
    assert (blocks(interface, 1) == 0.25).all()
    second = asmu.generator.Constant(interface, 0.5)
    first.disconnect()
    second.output().connect(interface.ioutput(ch=1))
    assert (blocks(interface, 1) == 0.5).all()
    with interface.edit():
        second.output().disconnect()
        with pytest.raises(EngineError, match=r"cannot step within edit\(\)"):
            interface.callback(None, None, FRAMES)
    assert not blocks(interface, 1).any()


def test_what_an_engine_would_refuse_is_refused(interface):
    gain = asmu.effect.Gain(interface, 1)
    interface.callback(None, None, FRAMES)
    with pytest.raises(PatchError, match="cycle"):
        gain.output().connect(gain.input())
    with pytest.raises(PatchError):
        gain.set_gain(float("nan"))
    assert not gain.input()
    with pytest.raises(EngineError, match="stepped by hand"):
        interface.step()


@pytest.mark.parametrize(
    ("indata", "outdata", "frames", "text"),
    [
        (X[:9, :1], None, 9, "indata has 1 columns; the patch uses channel 2, which is column 1"),
        (None, np.zeros((9, 2)), 9, "outdata has 2 columns; the patch uses channel 3"),
        (X[:8], None, 9, r"indata has shape \(8, 3\); a block of 9 frames has shape \(9, channels\)"),
        (X[:9, 0], None, 9, r"indata has shape \(9,\)"),
        (None, None, 0, "a block of 0 frames"),
    ],
)
def test_arrays_that_do_not_fit(interface, indata, outdata, frames, text):
    interface.iinput(ch=2).connect(interface.ioutput(ch=3))
    with pytest.raises(ValueError, match=text):
        interface.callback(indata, outdata, frames)
    assert interface.stats().get("blocks", 0) == 0


def test_a_core_that_fails_is_heard_of(interface, tmp_path):
    plugin = tmp_path / "brittle.py"
    plugin.write_text(
        "from asmu_control.acore import AGenerator\n"
        "class ABrittle(AGenerator):\n"
        "    kind = 'brittle'\n"
        "    def process(self, inputs, outputs):\n"
        "        raise ZeroDivisionError('at last')\n"
    )

    class Brittle(asmu.processor.Generator):
        kind = "brittle"

    interface = asmu.Interface(device="virtual", plugins=[str(plugin)])
    Brittle(interface).output().connect(interface.ioutput(ch=1))
    asmu.generator.Constant(interface, 1).output().connect(interface.ioutput(1, 2))
    out = np.ones((FRAMES, 2), np.float32)
    with pytest.raises(PatchError, match="brittle1: its core failed: ZeroDivisionError: at last") as caught:
        interface.callback(None, out, FRAMES)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    interface.callback(None, out, FRAMES)
    assert not out[:, 0].any()
    assert (out[:, 1] == 1).all()
    interface.close()


# -- files ------------------------------------------------------------------------------------------------------


def test_a_player_is_exact_to_its_last_frame(interface, tmp_path):
    soundfile.write(tmp_path / "a.wav", X[:1000], 48000, "FLOAT")
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        player = asmu.generator.Player(interface, file)
    for ch in (1, 2, 3):
        player.output(ch - 1).connect(interface.ioutput(ch - 1, ch))
    out = blocks(interface, 3, channels=3)
    assert not player.finished(block=False)
    out = np.concatenate([out, blocks(interface, 2, channels=3)])
    assert np.array_equal(out[:1000], X[:1000])
    assert not out[1000:].any()
    assert player.finished()
    assert not player.looped(block=False)


def test_a_loop_is_gapless_and_every_turn_is_told_once(interface, tmp_path):
    afile = asmu.AFile(interface, "w", tmp_path / "a.wav", channels=3)
    with afile:
        afile.write(X[:1000])
        player = asmu.generator.Player(interface, afile, loop=True)
    for ch in (1, 2, 3):
        player.output(ch - 1).connect(interface.ioutput(ch - 1, ch))
    assert np.array_equal(blocks(interface, 14, channels=3), X[np.arange(14 * FRAMES) % 1000])
    assert [player.looped(timeout=5), player.looped(timeout=5), player.looped(timeout=5)] == [True] * 3
    assert not player.looped(timeout=0.05)
    assert not player.finished(block=False)


def test_seek_before_meanwhile_and_after(interface, tmp_path):
    soundfile.write(tmp_path / "a.wav", X, 48000, "FLOAT")
    player = asmu.generator.Player(interface, tmp_path / "a.wav")
    for ch in (1, 2, 3):
        player.output(ch - 1).connect(interface.ioutput(ch - 1, ch))
    for wrong in (-1, 5001, 0.5):
        with pytest.raises(ValueError, match="there is no frame"):
            player.set_seek(wrong)
    player.set_seek(100)
    assert np.array_equal(blocks(interface, 2, channels=3), X[100:612])
    for position in (4000, 17, 17):
        player.set_seek(position)
        assert np.array_equal(blocks(interface, 1, channels=3), X[position : position + FRAMES])
    player.set_seek(4900)
    out = blocks(interface, 1, channels=3)
    assert np.array_equal(out[:100], X[4900:])
    assert not out[100:].any()
    assert player.finished()
    player.set_seek(3000)
    assert not player.finished(block=False)
    assert np.array_equal(blocks(interface, 1, channels=3), X[3000:3256])
    interface.acore.reset()
    assert np.array_equal(blocks(interface, 1, channels=3), X[:256])
    player.disconnect()


def test_a_recording_has_every_frame(interface, tmp_path):
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "a.wav", channels=2)
    interface.iinput(ch=1).connect(recorder.input(0))
    interface.iinput(1, 3).connect(recorder.input(1))
    blocks(interface, 12, indata=X)
    assert recorder.close()["lost_frames"] == 0
    data, samplerate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert samplerate == 48000
    assert np.array_equal(data, X[: 12 * FRAMES, [0, 2]])


def test_a_tap_is_read_while_the_patch_is_stepped(interface):
    tap = asmu.analyzer.Tap(interface)
    asmu.generator.Sine(interface, 1000).output().connect(tap.input())
    interface.callback(None, None, FRAMES)
    with tap.reader("oldest") as reader:
        interface.callback(None, None, FRAMES)
        block = reader.read(2 * FRAMES, copy=True)
    assert np.abs(block.data[:, 0] - sine(2 * FRAMES)).max() < 1e-6


# -- reset ------------------------------------------------------------------------------------------------------


def test_reset_and_drop(interface):
    asmu.generator.Sine(interface, 1000).output().connect(interface.ioutput(ch=1))
    assert np.abs(blocks(interface, 3)[:, 0] - sine(3 * FRAMES)).max() < 1e-6
    interface.acore.reset()
    assert np.abs(blocks(interface, 1)[:, 0] - sine(FRAMES)).max() < 1e-6
    interface.acore.reset(drop=2)
    out = blocks(interface, 3)[:, 0]
    assert not out[: 2 * FRAMES].any()
    assert np.abs(out[2 * FRAMES :] - sine(FRAMES)).max() < 1e-6
    with pytest.raises(ValueError, match="drop of -1"):
        interface.acore.reset(-1)


def test_drop_before_the_first_block(interface):
    asmu.generator.Constant(interface, 1).output().connect(interface.ioutput(ch=1))
    interface.acore.reset(drop=1)
    assert blocks(interface, 3).sum() == 2 * FRAMES


# -- life and clocks --------------------------------------------------------------------------------------------


def test_closed_and_stepped_again_it_begins_anew(interface, folders):
    tap = asmu.analyzer.Tap(interface)
    generator = asmu.generator.Sine(interface, 1000)
    generator.output().connect(interface.ioutput(ch=1))
    generator.output().connect(tap.input())
    blocks(interface, 1)
    assert list(folders.shm.iterdir())
    assert not running_engines()
    interface.close()
    assert not list(folders.shm.iterdir())
    assert interface.stats()["state"] == "closed"
    assert np.abs(blocks(interface, 1)[:, 0] - sine(FRAMES)).max() < 1e-6


def test_latency_from_the_times_that_a_device_gives(interface):
    with pytest.raises(ValueError, match="no stream ran yet"):
        interface.get_latency()
    interface.callback(None, None, FRAMES)
    with pytest.raises(ValueError, match="no stream ran yet"):
        interface.get_latency()
    time = SimpleNamespace(inputBufferAdcTime=100.0, currentTime=100.01, outputBufferDacTime=100.0 + 512.2 / 48000)
    interface.callback(None, None, FRAMES, time, 0)
    assert interface.get_latency() == 512
    for wrong in (99.0, 100.0, 200.0, float("nan")):
        interface.callback(None, None, FRAMES, SimpleNamespace(inputBufferAdcTime=100.0, outputBufferDacTime=wrong), None)
        with pytest.raises(ValueError, match="which cannot be"):
            interface.get_latency()


def test_status_is_counted(interface):
    flags = SimpleNamespace(input_underflow=False, input_overflow=True, output_underflow=True, output_overflow=False)
    interface.callback(None, None, FRAMES, None, flags)
    interface.callback(None, None, FRAMES, None, 2)
    interface.callback(None, None, FRAMES, None, None)
    stats = interface.stats()
    assert [stats[name] for name in ("input_underflow", "input_overflow", "output_underflow", "output_overflow")] == [0, 2, 1, 0]
    with pytest.raises(ValueError, match="not what sounddevice gives"):
        interface.callback(None, None, FRAMES, None, "late")


def test_no_engine_no_device_no_portaudio(tmp_path):
    program = (
        "import sys\n"
        "sys.modules['sounddevice'] = sys.modules['zmq'] = None\n"
        "import asmu_control as asmu\n"
        "interface = asmu.Interface(device='portaudio:none of that name')\n"
        "interface.asetup = asmu.ASetup('lab.asmu')\n"
        "asmu.generator.Sine(interface, 1000).output().connect(interface.ioutput(ch=1))\n"
        "interface.callback(None, None, 64, None, None)\n"
        "interface.asetup.save(); interface.close(); interface.asetup.load()\n"
        "with asmu.AFile(interface, 'w', 'a.wav', channels=1) as afile: afile.write([0.5])\n"
        "print(interface.stats()['blocks'])\n"
    )
    root = Path(asmu.__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{program}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_an_interface_that_is_forgotten_leaves_nothing(tmp_path, folders):
    soundfile.write(tmp_path / "a.wav", X, 48000, "FLOAT")
    interface = asmu.Interface(device="virtual", samplerate=48000, blocksize=FRAMES)
    player = asmu.generator.Player(interface, tmp_path / "a.wav")
    recorder = asmu.analyzer.Recorder(interface, tmp_path / "b.wav")
    player.output().connect(recorder.input())
    interface.callback(None, None, FRAMES)
    assert list(folders.shm.iterdir())
    del interface, player, recorder
    gc.collect()
    assert not list(folders.shm.iterdir())
    assert np.array_equal(soundfile.read(tmp_path / "b.wav", dtype="float32")[0], X[:FRAMES, 0])


def test_a_script_that_never_closes_ends_in_order(tmp_path, folders):
    program = (
        "import asmu_control as asmu\n"
        "interface = asmu.Interface(device='virtual', samplerate=48000, blocksize=256)\n"
        "recorder = asmu.analyzer.Recorder(interface, 'b.wav')\n"
        "asmu.generator.Constant(interface, 0.5).output().connect(recorder.input())\n"
        "for _ in range(3): interface.callback(None, None, 256)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(asmu.__file__).resolve().parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (soundfile.read(tmp_path / "b.wav")[0] == np.full(768, 0.5)).all()
    assert not list(folders.shm.iterdir())


def test_threads_may_edit_while_another_steps(interface):
    gain = asmu.effect.Gain(interface, 1)
    interface.iinput(ch=1).connect(gain.input())
    gain.output().connect(interface.ioutput(ch=1))
    interface.callback(X[:FRAMES], None, FRAMES)
    over = threading.Event()

    def edit() -> None:
        while not over.is_set():
            gain.set_gain(0.5)
            asmu.generator.Sine(interface, 100).disconnect()

    with ThreadPoolExecutor(1) as pool:
        editing = pool.submit(edit)
        try:
            blocks(interface, 100)
        finally:
            over.set()
        editing.result()
    assert interface.stats()["blocks"] == 101
