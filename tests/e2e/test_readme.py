"""README is true: its scripts run as they stand, its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


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
    code = python_blocks()[2]
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
    commands = re.findall(r"^    asmu (engine .*)$", README, flags=re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        answer = asmu(tmp_path, *command.split())
        assert answer.returncode == 0, (command, answer.stdout, answer.stderr)


def test_the_two_commands_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    for ending in ("asmu demo", "python -m pytest"):
        assert re.search(rf"^    python3 -m venv .*{ending}$", README, flags=re.MULTILINE)
        assert ending in ci
