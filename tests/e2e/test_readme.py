"""README is true: its scripts run as they stand, its commands exist."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import asmu_control
from asmu_engine.protocol.runtime import find_engine

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def block_with(words: str) -> str:
    (found,) = [block for block in python_blocks() if words in block]
    return found


def commands(heading: str) -> list[list[str]]:
    """The asmu commands of one section, as lists of arguments."""
    section = re.split(r"^#+ ", README.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [shlex.split(line) for line in re.findall(r"^    asmu (.*)$", section, flags=re.MULTILINE)]


def run(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def asmu(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "asmu_control", *arguments], folder)


def ran(folder: Path, *arguments: str) -> None:
    answer = asmu(folder, *arguments)
    assert answer.returncode == 0, (arguments, answer.stdout, answer.stderr)


def poll(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [0, 1])
def test_the_scripts_run_as_they_stand(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(python_blocks()[number])
    answer = run([sys.executable, str(script)], tmp_path, ASMU_DEVICE="virtual")
    assert answer.returncode == 0, answer.stderr
    if number == 1:
        assert (tmp_path / "answer.wav").exists()
        assert answer.stdout.splitlines()[-1] == "0"


def test_the_processor_of_ones_own_runs_as_it_stands(tmp_path):
    code = block_with("class AClipper")
    assert len(code.splitlines()) < 30
    (tmp_path / "clipper.py").write_text(code)
    (tmp_path / "use.py").write_text(
        "import numpy as np\n"
        "import asmu_control as asmu\n"
        "from clipper import Clipper\n"
        "interface = asmu.Interface(device='virtual:inputs=1,outputs=1', samplerate=48000, plugins=['clipper.py'])\n"
        "noise = asmu.generator.Noise(interface, seed=1)\n"
        "clipper = Clipper(interface, 0.5)\n"
        "tap = asmu.analyzer.Tap(interface)\n"
        "noise.output().connect(clipper.input())\n"
        "clipper.output().connect(tap.input())\n"
        "with interface.start():\n"
        "    first = next(tap.blocks(4096, timeout=10))\n"
        "    clipper.set_threshold(0.25)\n"
        "    for block in tap.blocks(4096, timeout=10):\n"
        "        if abs(block.data).max() == 0.25: break\n"
        "print(abs(first.data).max(), abs(block.data).max())\n"
    )
    answer = run([sys.executable, "use.py"], tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["0.5", "0.25"]


def test_the_commands_of_an_engine(tmp_path):
    start, *others, stop = commands("One engine, several clients")
    assert [start[1], stop[1]] == ["start", "stop"]
    try:
        ran(tmp_path, *start)
        for command in others:
            ran(tmp_path, *command)
        (tmp_path / "client.py").write_text(block_with('name="notebook"'))
        answer = run([sys.executable, "client.py"], tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.splitlines()[0].split() == ["snapshot"]
        with asmu_control.connect("lab") as client:
            poll(lambda: "hum" in client.patch()["nodes"])
    finally:
        ran(tmp_path, *stop)


def test_the_commands_of_a_patch(tmp_path):
    ran(tmp_path, "engine", "start", "lab", "--device", "virtual", "--journal", "lab.journal", "--autostart")
    try:
        with asmu_control.connect("lab") as client:
            for node in ("one", "two", "three"):
                client.edit([{"op": "add", "node": node, "kind": "sine", "outputs": 1}], keep=True)
        for command in commands("The patch as a file, and as a history"):
            if command[0] == "patch":
                ran(tmp_path, *command)
        with asmu_control.connect("lab") as client:
            # The third transaction, which added "three", was taken back before the patch was saved and loaded.
            assert list(client.patch()["nodes"]) == ["one", "two"]
    finally:
        ran(tmp_path, "engine", "stop", "lab")
    (replay,) = [command for command in commands("The patch as a file, and as a history") if command[0] == "replay"]
    ran(tmp_path, *replay)
    assert (tmp_path / "again.wav").stat().st_size > 44
    assert "<svg" in (tmp_path / "patch.svg").read_text()


def test_the_commands_for_another_machine(tmp_path):
    keys, start, relay = commands("From another machine")
    free = [re.sub(r"^tcp://\*:\d+$", "tcp://127.0.0.1:*", argument) for argument in relay]
    ran(tmp_path, *keys)
    assert (tmp_path / "anna.key").stat().st_mode & 0o777 == 0o600
    ran(tmp_path, *(re.sub(r"^tcp://\*:\d+$", "tcp://127.0.0.1:*", argument) for argument in start), "--device", "virtual")
    try:
        relaying = subprocess.Popen(
            [sys.executable, "-m", "asmu_control", *free], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            with asmu_control.connect("lab") as client:
                client.edit(
                    [
                        {"op": "add", "node": "tap1", "kind": "tap", "inputs": 1},
                        {"op": "connect", "source": "in", "output": 0, "target": "tap1", "input": 0},
                    ]
                )
                poll(lambda: [one["service"] for one in client.status()["services"]] == ["relay"])
                client.start()
                endpoint = find_engine("lab").listen
                script = "import asmu_control as asmu\n" + block_with('key="anna.key"').replace("tcp://lab.local:5555", endpoint)
                (tmp_path / "remote.py").write_text(script + "        break\n")
                answer = run([sys.executable, "remote.py"], tmp_path)
            assert answer.returncode == 0, answer.stderr
            assert answer.stdout.split()[2:] == ["0", "0"]
        finally:
            relaying.send_signal(signal.SIGINT)
            relaying.wait(20)
    finally:
        ran(tmp_path, "engine", "stop", "lab")


def test_the_two_commands_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    for ending in ("asmu demo", "python -m pytest"):
        assert re.search(rf"^    python3 -m venv .*{ending}$", README, flags=re.MULTILINE)
        assert ending in ci
