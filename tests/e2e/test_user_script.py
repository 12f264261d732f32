"""Scripts as users run them: files without a guard, that end or are killed."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import asmu_control as asmu
from asmu_control.exceptions import EngineError
from asmu_engine.protocol.runtime import running_engines

pytestmark = pytest.mark.e2e

ROOT = Path(asmu.__file__).resolve().parent.parent

CLASSIC = """
import time
import asmu_control as asmu
interface = asmu.Interface()
sine = asmu.generator.Sine(interface, 250)
sine.output().connect(interface.ioutput(ch=1))
sine.output().connect(interface.ioutput(ch=2))
with interface.start():
    time.sleep(5)
"""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "ASMU_DEVICE": "virtual", **more}


def run(tmp_path: Path, text: str, warnings: str = "error", **more: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", warnings, str(script)],
        cwd=tmp_path,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_for(condition: Callable[[], object], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_the_classic_script_runs_as_it_stands_and_prints_nothing(tmp_path: Path) -> None:
    # Its five seconds of sound are shortened to a tenth; nothing else is changed.
    done = run(tmp_path, CLASSIC.replace("sleep(5)", "sleep(0.5)"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_script_that_never_closes_leaves_nothing_behind(tmp_path: Path) -> None:
    text = CLASSIC.replace("with interface.start():\n    time.sleep(5)", "stream = interface.start()\nassert stream.active")
    done = run(tmp_path, text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_random_py_beside_the_script_does_not_break_the_engine(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('not the one that you look for')", encoding="utf-8")
    done = run(tmp_path, CLASSIC.replace("sleep(5)", "sleep(0.1)").replace("import time", "import sys, time; sys.path.pop(0)"))
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_in_the_body_is_the_one_that_is_seen(tmp_path: Path) -> None:
    done = run(tmp_path, CLASSIC.replace("time.sleep(5)", "raise KeyError('mine')"))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "KeyError: 'mine'"


def test_a_script_killed_takes_its_engine_along(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CLASSIC.replace("sleep(5)", "sleep(60)"), encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)], env=environment()) as process:
        wait_for(running_engines)
        (info,) = running_engines()
        assert info.private
        with asmu.client.Client.connect(info) as client:
            wait_for(lambda: client.request({"type": "status"})["counters"]["blocks"] > 3)
        engine = psutil.Process(info.pid)
        family = [engine, *engine.children(recursive=True)]
        assert len(family) >= 2
        process.send_signal(signal.SIGKILL)
        process.wait()
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, alive
    assert len(gone) == len(family)


def test_a_recording_is_whole_when_its_script_is_killed(tmp_path: Path) -> None:
    import soundfile

    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "import asmu_control as asmu\n"
        "interface = asmu.Interface(samplerate=48000, blocksize=256)\n"
        f"recorder = asmu.analyzer.Recorder(interface, {str(tmp_path / 'a.wav')!r})\n"
        "asmu.generator.Constant(interface, 0.5).output().connect(recorder.input())\n"
        "with interface.start():\n"
        "    time.sleep(60)\n",
        encoding="utf-8",
    )
    with subprocess.Popen([sys.executable, str(script)], env=environment()) as process:
        wait_for(running_engines)
        (info,) = running_engines()
        with asmu.client.Client.connect(info) as client:
            wait_for(lambda: client.request({"type": "status"})["counters"]["blocks"] > 20)
        process.kill()
        process.wait()
    wait_for(lambda: (tmp_path / "a.wav").exists() and not psutil.pid_exists(info.pid))
    recorded = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    assert len(recorded) >= 17 * 256
    assert (recorded == 0.5).all()


def test_ctrl_c_ends_script_and_engine_in_order(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    # A shell lets what it runs in the background ignore Ctrl-C, and so this test run, perhaps; its user's terminal does not.
    heeding = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script.write_text(heeding + CLASSIC.replace("sleep(5)", "sleep(60)"), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment(), stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        wait_for(running_engines)
        (info,) = running_engines()
        with asmu.client.Client.connect(info) as client:
            wait_for(lambda: client.request({"type": "status"})["counters"]["blocks"] > 3)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in stderr.splitlines()[-1]
    wait_for(lambda: not psutil.pid_exists(info.pid))


def test_a_script_that_forks_does_not_end_its_parents_engine(tmp_path: Path) -> None:
    text = (
        "import os, time\n"
        "import asmu_control as asmu\n"
        "from asmu_control.exceptions import EngineError\n"
        "interface = asmu.Interface()\n"
        "sine = asmu.generator.Sine(interface, 250)\n"
        "sine.output().connect(interface.ioutput(ch=1))\n"
        "with interface.start() as stream:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        try:\n"
        "            sine.set_frequency(100)\n"
        "        except EngineError as error:\n"
        "            code = 7 if 'belongs to process' in str(error) else 8\n"
        "        raise SystemExit(code)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "    assert stream.active\n"
        "    sine.set_frequency(200)\n"
    )
    # Python 3.12 warns of forks beside threads, and pyzmq of a socket that the fork inherited and cannot close.
    done = run(tmp_path, text, warnings="ignore")
    assert (done.returncode, done.stderr) == (0, "")


def test_import_is_light(tmp_path: Path) -> None:
    text = "import sys\nimport asmu_control\nimport json\nprint(json.dumps(sorted(sys.modules)))"
    modules = set(json.loads(run(tmp_path, text).stdout))
    assert not modules & {
        "zmq",
        "pydantic",
        "soundfile",
        "sounddevice",
        "matplotlib",
        "scipy",
        "pyfftw",
        "numpy",
        "typer",
        "rich",
    }


def test_an_engine_that_is_killed_is_told_at_the_next_call() -> None:
    interface = asmu.Interface(device="virtual")
    sine = asmu.generator.Sine(interface, 250)
    sine.output().connect(interface.ioutput(ch=1))
    interface.start()
    host = psutil.Process(interface.client.request({"type": "status"})["pid"])
    family = [host, *host.children(recursive=True)]
    host.kill()
    with pytest.raises(EngineError) as caught:
        sine.set_frequency(500)
    assert caught.value.code == "engine_gone"
    assert sine.frequency == 250.0
    assert interface.stats()["state"] == "failed"
    with pytest.raises(EngineError, match="ended while the stream ran"):
        interface.close()
    psutil.wait_procs(family, timeout=30)
    with interface.start() as stream:  # a new engine
        assert stream.active
        sine.set_frequency(500)


def test_an_interface_that_is_forgotten_ends_its_engine() -> None:
    """As in a notebook, where a cell that makes an interface is run again."""
    interface = asmu.Interface(device="virtual")
    asmu.generator.Sine(interface, 250).output().connect(interface.ioutput(ch=1))
    interface.start()
    (info,) = running_engines()
    del interface
    gc.collect()
    wait_for(lambda: not psutil.pid_exists(info.pid))
    assert not running_engines()


def test_edits_from_many_threads() -> None:
    # Of blocks of a second: one that was late by less has not missed its deadline, whatever else the machine had to do.
    interface = asmu.Interface(device="virtual:buffer_s=60", samplerate=8000, blocksize=8192)
    gains = [asmu.effect.Gain(interface, 1.0) for _ in range(4)]
    with interface.start():
        wait_for(lambda: interface.stats()["blocks"] > 0)
        before = interface.stats()

        def turn(gain: asmu.effect.Gain) -> None:
            for step in range(50):
                gain.set_gain(step / 50)
                time.sleep(0.04)  # through several blocks

        threads = [threading.Thread(target=turn, args=(gain,)) for gain in gains]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert interface.stats()["revision"] == before["revision"] + 200
        wait_for(lambda: interface.stats()["edits"] == before["edits"] + 200)
        wait_for(lambda: interface.stats()["blocks"] > before["blocks"] + 2)
        nodes = interface.client.request({"type": "patch"})["nodes"]
        assert [nodes[gain.name]["parameters"]["gain"] for gain in gains] == [0.98] * 4
        assert interface.stats()["deadline_misses"] == 0
